"""Providers' settlements through the api: booked once, out of what is owed, wherever it breaks."""

import asyncio
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.ledger import Chart
from vendrail.api.payouts import (
    Remittance,
    RemittanceQuery,
    RemittanceStatus,
    RemittanceTarget,
    ReserveSource,
)
from vendrail.app.audit import CHECKS
from vendrail.kernel.codec import replace
from vendrail.kernel.db import connect_once
from vendrail.kernel.errors import Broken, Malformed
from vendrail.kernel.money import EXPONENTS
from vendrail.web.remittances import LineMalformed, read_bytes, read_lines, read_written, write_line

from tests.payouts.conftest import LEASE_S, World  # isort: skip


def settled(world: World, **changes) -> Remittance:
    """A settlement of a hundred yuan, of which the provider keeps sixty fen."""
    values = {
        "channel_name": "alipay", "number": "20261128-1", "currency": "CNY",
        "gross_minor": 10_000, "fee_minor": 60, "target": RemittanceTarget.RESERVE,
        "paid_on": world.clock.now().date(), "by": "ops@example.com", "reason": "statement",
    }  # fmt: skip
    return Remittance(**(values | changes))


async def book(world: World, *lines: Remittance) -> list[RemittanceStatus]:
    """Book them."""
    return await world.payouts.book_remittances(lines)


async def stand(world: World) -> dict[str, int]:
    """Give what is in the accounts that settlements touch."""
    chart = Chart("CNY")
    accounts = {
        "provider": chart.provider("alipay"), "reserve": chart.payout_reserve("alipay"),
        "bank": chart.bank(), "cost": chart.platform_channel_cost(),
    }  # fmt: skip
    found = await world.ledger.read_balances([each.id for each in accounts.values()])
    return {
        name: -balance.credit_minor if balance is not None else 0
        for name, balance in zip(accounts, found, strict=True)
    }


async def change(world: World, before: dict[str, int]) -> dict[str, int]:
    """Give what has changed since, zeros left out."""
    after = await stand(world)
    return {name: after[name] - minor for name, minor in before.items() if after[name] != minor}


async def test_a_settlement_fills_the_reserve_and_costs_what_was_kept(world: World) -> None:
    """What is owed shrinks by all of it, the reserve has what arrived, the rest is a cost; once."""
    await world.earn(30_000)
    before, new = await stand(world), settled(world)

    assert ["booked"] == await book(world, new)
    assert ["exists", "exists"] == await book(world, new, new)
    assert {"provider": -10_000, "reserve": 9_940, "cost": 60} == await change(world, before)
    [view] = await world.payouts.list_remittances(RemittanceQuery())
    assert (new, True) == (view.remittance, view.is_booked)


async def test_a_number_is_matched_once(world: World) -> None:
    """The same number with another amount, fee, place or day is told apart, and books nothing."""
    await world.earn(90_000)
    new = settled(world)
    assert ["booked"] == await book(world, new)
    before = await stand(world)
    others = [
        replace(new, gross_minor=10_001),
        replace(new, fee_minor=0),
        replace(new, target=RemittanceTarget.BANK),
        replace(new, paid_on=date(2026, 1, 1)),
    ]

    assert ["exists_different"] * 4 == await book(world, *others)
    assert {} == await change(world, before)


async def test_no_more_is_settled_than_is_owed(world: World) -> None:
    """The second of a file that together is too much is refused, before and while it is booked."""
    await world.earn(12_000)
    owed = (await stand(world))["provider"]
    lines = [
        settled(world, number="A", gross_minor=owed - 1),
        settled(world, number="B", gross_minor=100, target=RemittanceTarget.BANK),
    ]

    assert ["booked", "more_than_owed"] == await world.payouts.check_remittances(lines)
    assert [] == await world.payouts.list_remittances(RemittanceQuery())
    assert ["booked", "more_than_owed"] == await book(world, *lines)
    assert 1 == (await stand(world))["provider"]


async def test_rivals_do_not_settle_more_than_is_owed(world: World) -> None:
    """Many at one instant, each of more than half of what is owed: one is booked."""
    await world.earn(12_000)
    owed = (await stand(world))["provider"]
    lines = [settled(world, number=f"R{at}", gross_minor=owed // 2 + 1) for at in range(8)]
    outcomes = await asyncio.gather(*(book(world, each) for each in lines))

    assert 1 == outcomes.count(["booked"])
    assert 7 == outcomes.count(["more_than_owed"])
    assert owed - owed // 2 - 1 == (await stand(world))["provider"]


@pytest.mark.parametrize(
    "fields, status",
    [
        ({"number": ""}, "field_malformed"),
        ({"number": " 7"}, "field_malformed"),
        ({"number": "7\n8"}, "field_malformed"),
        ({"fee_minor": 10_000}, "field_malformed"),
        ({"fee_minor": -1}, "field_malformed"),
        ({"gross_minor": 0, "fee_minor": 0}, "field_malformed"),
        ({"currency": "XXX"}, "field_malformed"),
        ({"paid_on": date(2126, 1, 1)}, "field_malformed"),
        ({"channel_name": "nobody"}, "channel_unknown"),
        ({"currency": "JPY"}, "channel_unknown"),
    ],
)
async def test_what_cannot_be_a_settlement_is_refused(world: World, fields, status) -> None:
    """Each with its reason, and nothing moves."""
    await world.earn(30_000)
    before = await stand(world)

    assert [status] == await book(world, settled(world, **fields))
    assert {} == await change(world, before)


async def test_the_bank_fills_a_reserve_and_is_never_overdrawn(world: World) -> None:
    """What arrived in the bank can be put into a reserve, and no more than that."""
    await world.earn(30_000)
    assert ["booked"] == await book(world, settled(world, target=RemittanceTarget.BANK))
    before = await stand(world)

    assert 9_940 == before["bank"]
    assert "bank_too_low" == await world.top_up(9_941, ReserveSource.BANK)
    assert "done" == await world.top_up(9_940, ReserveSource.BANK)
    assert {"bank": -9_940, "reserve": 9_940} == await change(world, before)


async def test_payouts_that_waited_go_out(world: World) -> None:
    """A payout for which the reserve was too low goes out as soon as a settlement is booked."""
    [found] = await world.payouts.list_reserves()
    await world.top_up(-found.free_minor)
    await world.earn(20_000)
    asked = world.ask(5_000)
    assert "taken" == await world.request(asked)
    await world.run()
    assert "ready" == await world.state(asked)

    assert ["booked"] == await book(world, settled(world))
    await world.run()
    assert 5_000 == world.paid(asked.id)


async def test_the_same_settlement_from_many_sides_is_booked_once(world: World) -> None:
    """Twenty at once: one is booked, all others are told so."""
    await world.earn(30_000)
    before, new = await stand(world), settled(world)

    answers = await asyncio.gather(*(book(world, new) for _ in range(20)))

    assert {"booked", "exists"} >= {status for [status] in answers}
    assert {"provider": -10_000, "reserve": 9_940, "cost": 60} == await change(world, before)


async def test_it_is_booked_wherever_it_breaks_off(make_world, fuse) -> None:
    """After a crash at any point nothing or all of it is in the books, and a job ends it."""
    world = await make_world(fuse=fuse)
    await world.be_verified()
    await world.earn(900_000)
    await book(world, settled(world, number="first"))  # Opens the accounts.
    begun = fuse.count
    await book(world, settled(world, number="counted"))
    points, service = fuse.count - begun, world.house.services["payouts"]
    assert points > 5
    for point in range(points):
        before, new = await stand(world), settled(world, number=f"broken {point}")
        with fuse.broken_after(point), pytest.raises(Broken):
            await book(world, new)
        views = await world.payouts.list_remittances(RemittanceQuery())
        is_written = new in [each.remittance for each in views]
        world.clock.advance(LEASE_S)
        await service.book_due()

        whole = {"provider": -10_000, "reserve": 9_940, "cost": 60}
        assert (whole if is_written else {}) == await change(world, before), point
        assert ["exists" if is_written else "booked"] == await book(world, new)
        assert whole == await change(world, before), point


async def test_the_audit_finds_what_is_not_in_the_books(world: World, platform_url) -> None:
    """A settlement whose row says another amount than the books is found; a whole one is not."""
    await world.earn(30_000)
    await book(world, settled(world), settled(world, number="2", target=RemittanceTarget.BANK))
    [check] = [each for each in CHECKS if each.name == "remittances_are_booked"]
    owner = await connect_once(platform_url)
    try:
        assert [] == await owner.fetch(check.finds)
        await owner.execute("update payouts.remittance set fee_minor = 61 where number = '2'")
        assert 1 == len(await owner.fetch(check.finds))
    finally:
        await owner.close()


_AMOUNT = st.integers(1, 10**12)


@given(
    st.sampled_from(sorted(EXPONENTS)),
    _AMOUNT,
    _AMOUNT,
    st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=40),
    st.sampled_from(RemittanceTarget),
    st.dates(),
)
def test_lines_are_read_as_they_were_written(currency, net, fee, number, target, paid_on) -> None:
    """Whatever stands in a number, the line that a second person reads is what is booked."""
    new = Remittance("alipay", number, currency, net + fee, fee, target, paid_on)

    assert new == read_written(write_line(new))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_file_is_read_however_its_lines_end(end: str) -> None:
    """Also by a bare carriage return, as old spreadsheets write it."""
    head, line = "channel,number,paid_on,currency,gross", "alipay,1,2026-11-20,CNY,1.00"
    [found] = read_bytes(f"{head}{end}{line}{end}".encode())

    assert ("1", 100) == (found.number, found.gross_minor)


def test_a_file_names_its_columns_in_any_order() -> None:
    """Fee and target may be left out; GB 18030 and a byte order mark are read; lines are named."""
    text = "Number,channel,PAID_ON,currency,gross,备注\n7,alipay,2026-11-28,cny,12.30,早\n\n"

    assert (
        [Remittance("alipay", "7", "CNY", 1_230, 0, RemittanceTarget.RESERVE, date(2026, 11, 28))]
        == read_lines("\ufeff" + text)
        == read_bytes(text.encode("gb18030"))
    )
    with pytest.raises(LineMalformed, match="Line 3"):
        read_lines(text.strip() + "\n8,alipay,2026-11-28,CNY,1.234,\n")
    with pytest.raises(LineMalformed, match="gross"):
        read_lines("channel,number,paid_on,currency\n")
    with pytest.raises(Malformed):
        read_lines("channel,number,paid_on,currency,gross\n")
