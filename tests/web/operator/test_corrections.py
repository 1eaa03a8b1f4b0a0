"""Corrections: new transfers by two people, within the accounts that people may correct."""

import re

import pytest
from tests.web.console.conftest import make_app

from vendrail.api.identity import Role
from vendrail.api.ledger import Chart, Ledger
from vendrail.app.audit import audit
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import to_serial

PATH = "/operator/corrections"
CHART = Chart("CNY")


@pytest.fixture
async def desk(world):
    """A form that is filled in, and who sends it and approves it."""
    world.app = make_app(world.house, world.home, second_person_above_minor=1_000_000)
    first = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await first.go(PATH)
    form = {
        "nonce": re.search(r'name="nonce" value="(\w+)"', first.page.text)[1],
        "from": "platform_fee",
        "to": "merchant",
        "merchant": to_serial(world.market.merchant),
        "amount": "1.20",
        "currency": "CNY",
        "reference": "2026-11-28",
        "reason": "fee taken twice",
    }

    async def held() -> tuple[int, int]:
        accounts = (CHART.platform_fee(), CHART.merchant(world.market.merchant, "available"))
        fee, own = await world.house.api(Ledger).read_balances([each.id for each in accounts])
        return fee.credit_minor, own.credit_minor

    first.form, first.held = form, held
    return first


async def approve(world) -> None:
    """Let another person approve all that waits."""
    world.others = getattr(world, "others", 0) + 1
    other = await world.join(f"ad{world.others}@rail.example", Role.OPERATOR_ADMIN)
    await other.go("/operator/approvals")
    for each in set(re.findall(r'action="(/operator/approvals/\w{26})"', other.page.text)):
        await other.send(each, decision="approve")


async def test_a_correction_is_booked_once_when_a_second_person_approves(world, desk, place):
    """However small, it waits for another; sent twice it is one; its note says what and why."""
    fee, own = await desk.held()
    for _ in range(2):
        await desk.send(PATH, **desk.form)
        assert "A second person must approve it" in desk.text
    assert (fee, own) == await desk.held()
    await approve(world)
    await approve(world)

    assert (fee - 120, own + 120) == await desk.held()
    serial = desk.form["nonce"]
    await desk.go(f"/operator/search?q={serial}")
    assert "Adjustment" in desk.text
    assert ["correction.posted.proposed", "correction.posted.approved"] == await world.acts(
        act="correction."
    )
    found = {each.name: each.count for each in (await audit(place.url)).outcomes}
    assert 0 == found["corrections_are_told"]


async def test_a_deed_that_breaks_off_waits_and_is_done_once(world, desk, place):
    """Approved while the books are away, it stays to be done again; the log tells it was not."""
    fee, own = await desk.held()
    await desk.send(PATH, **desk.form | {"reason": "x" * 400})
    owner = await connect_once(place.url)
    try:
        await owner.execute("alter table ledger.transfer rename to mislaid")
        await approve(world)
        await owner.execute("alter table ledger.mislaid rename to transfer")
    finally:
        await owner.close()
    assert (fee, own) == await desk.held()
    await approve(world)
    await approve(world)

    assert (fee - 120, own + 120) == await desk.held()
    told = await world.acts(act="correction.")
    assert [f"correction.posted{end}" for end in (".proposed", ".approved", "")] == told


@pytest.mark.parametrize(
    "field, written, why",
    [
        ("to", "platform_fee", "two different accounts"),
        ("to", "refund:clearing", "two different accounts"),
        ("from", "provider:nobody", "two different accounts"),
        ("merchant", "", "two different accounts"),
        ("merchant", "01M8MGDVMCE7FVDR73Z0WZMBB2", "two different accounts"),
        ("reference", "", "Say what it corrects"),
        ("amount", "-1", "amount above zero"),
        ("amount", "1.205", "amount above zero"),
        ("reason", "", "Say why"),
    ],
)
async def test_what_cannot_be_corrected_is_refused(world, desk, field, written, why):
    """Unknown accounts, those that services keep in step, and what says nothing: none is put up."""
    before = await desk.held()
    await desk.send(PATH, **desk.form | {field: written})

    assert 422 == desk.page.status_code
    assert why in desk.text
    await approve(world)
    assert before == await desk.held()


async def test_a_merchant_is_not_brought_below_zero(world, desk):
    """More than is there is not taken: it is approved, and then not booked."""
    fee, own = await desk.held()
    turned = {"from": "merchant", "to": "platform_fee", "amount": f"{(own + 1) / 100:.2f}"}
    await desk.send(PATH, **desk.form | turned)
    await approve(world)

    assert (fee, own) == await desk.held()
