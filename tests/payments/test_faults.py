"""Faults of the field that must be impossible here; each test is named by its number."""

import asyncio
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.payments.conftest import altered, channel_of, number_of, open_shop

from vendrail.api.payments import PresentRequest, UnmatchedQuery, UnmatchedVerdict
from vendrail.kernel import db as kernel_db
from vendrail.kernel.codec import replace
from vendrail.kernel.db import connect_once
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import new_id
from vendrail.kernel.vault import Vault
from vendrail.payments.decide import must_confirm


async def _processes(database_url: str, folder: Path, count: int) -> list[subprocess.Popen[str]]:
    script = Path(__file__).with_name("callback_process.py")
    made = [
        subprocess.Popen(
            [sys.executable, script, database_url, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    for process in made:
        assert process.stdout is not None
        assert "ready\n" == await asyncio.to_thread(process.stdout.readline)
    return made


@pytest.fixture
def vault_folder(tmp_path: Path) -> Path:
    """A vault that several processes open."""
    return tmp_path / "vault"


@pytest.fixture
def vault(vault_folder: Path) -> Vault:
    """The vault of this test alone."""
    return Vault.open(vault_folder)


async def test_x2_duplicate_callbacks_are_one_capture_and_one_event(
    local_shop, database_url, vault_folder
):
    """Sixty tasks in two processes send the same callbacks: each payment is captured once."""
    attempts = [await local_shop.opened() for _ in range(5)]
    bodies = [body.decode() for body in await local_shop.sign(*attempts)]
    bodies += [body.decode() for body in await local_shop.sign(*attempts)]  # Told anew.
    order = {"channel": str(local_shop.channel.id), "tasks": 30, "bodies": bodies}
    processes = await _processes(database_url, vault_folder, 2)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
    answers = []
    for process in processes:
        stdout, _ = await asyncio.to_thread(process.communicate)
        answers += json.loads(stdout)

    assert 60 == len(answers)
    events = await local_shop.events()
    assert {attempt.order for attempt in attempts} == {event.capture.order for event in events}
    assert 5 == len(events)
    found = await local_shop.payments.read_captures([attempt.order for attempt in attempts])
    assert [1] * 5 == [len(captures) for captures in found]


async def test_x2_one_payment_of_the_provider_pays_one_order(local_shop):
    """The same provider's number, told for a second order, is not captured a second time."""
    first, second = await local_shop.opened(), await local_shop.opened()
    (body,) = await local_shop.sign(first)
    (again,) = await local_shop.sign(first, out_trade_no=number_of(second))

    await local_shop.tell(body, again)
    await local_shop.tell(again)

    assert [first.order] == [event.capture.order for event in await local_shop.events()]


async def test_x8_a_lost_callback_is_found_by_asking(local_shop, service, clock):
    """A shown attempt is asked about by itself; when the provider is silent, asked again."""
    attempt = await local_shop.shown()
    await local_shop.pay(attempt)
    unseen = await local_shop.opened()

    async def walk() -> int:
        while await service.ask_presented():
            pass
        return len(await local_shop.events())

    assert 0 == await walk()
    clock.advance(6)
    local_shop.alipay.fault("gateway_down", match={"method": "alipay.trade.query"})
    assert 0 == await walk()
    clock.advance(25)
    assert 1 == await walk()
    ((capture,),) = await local_shop.payments.read_captures([attempt.order])
    assert ("query", attempt.id) == (capture.source, capture.attempt)
    clock.advance(90_000)
    assert 1 == await walk()
    assert ["open"] == await local_shop.payments.query_attempts([unseen.id])


async def test_x11_a_wrong_amount_does_not_pay(local_shop):
    """One fen less, or more, or a thousandth: signed or not, the order is not paid by it."""
    attempts = [await local_shop.opened() for _ in range(2)]
    bodies = [
        *await local_shop.sign(attempts[0], amount="12.29"),
        *await local_shop.sign(attempts[1], amount="12.31"),
    ]
    odd = await local_shop.opened()
    (odd_body,) = await local_shop.sign(odd, total_amount="12.300")

    assert [b"success", b"success", b"failure"] == await local_shop.tell(*bodies, odd_body)
    events = await local_shop.events()
    assert ["amount_differs"] * 2 == [event.capture.fit for event in events]
    views = await local_shop.payments.read_attempts([attempt.order for attempt in attempts])
    assert ["closed"] * 2 == [view.state for (view,) in views]
    assert [[]] == await local_shop.payments.read_captures([odd.order])


@pytest.mark.parametrize(
    "overrides",
    [
        {"app_id": "2021000000000001"},
        {"seller_id": "2088000000000001"},
        {"seller_id": ""},
    ],
)
async def test_x12_another_application_or_account_is_refused(local_shop, overrides):
    """Money of somebody else, though the provider signed it, is refused and kept as evidence."""
    attempt = await local_shop.opened()
    (body,) = await local_shop.sign(attempt, **overrides)

    assert [b"failure"] == await local_shop.tell(body)
    assert [] == await local_shop.events()
    assert [[]] == await local_shop.payments.read_captures([attempt.order])
    assert [[]] == await local_shop.payments.list_unmatched([UnmatchedQuery()])


@pytest.mark.parametrize(
    "overrides",
    [
        {"trade_status": "WAIT_BUYER_PAY"},
        {"trade_status": "TRADE_CLOSED"},
        {"trade_status": ""},
        {"notify_type": "open_app_auth_notify"},
        {"refund_fee": "0.01"},
        {"gmt_refund": "2026-11-23 12:00:00.123"},
        {"trade_status": "TRADE_CLOSED", "refund_fee": "12.30"},
    ],
)
async def test_x12_another_status_is_no_money(local_shop, overrides):
    """Only a paid trade is money: not one that waits, is closed, or tells of a refund."""
    attempt = await local_shop.opened()
    (body,) = await local_shop.sign(attempt, **overrides)

    assert [b"success"] == await local_shop.tell(body)
    assert [] == await local_shop.events()
    (good,) = await local_shop.sign(attempt, trade_status="TRADE_FINISHED")
    assert [b"success"] == await local_shop.tell(good)
    assert 1 == len(await local_shop.events())


async def test_x12_another_currency_does_not_pay(local_shop):
    """The same number in another currency goes to the desk, not to the order."""
    attempt = await local_shop.opened()
    (body,) = await local_shop.sign(attempt, trans_currency="JPY")

    assert [b"success"] == await local_shop.tell(body)
    (event,) = await local_shop.events()
    assert ("currency_differs", "JPY") == (event.capture.fit, event.capture.currency)


async def test_x13_forged_callbacks_change_nothing(local_shop):
    """A changed field, a missing or foreign signature, another sign type: refused, no trace."""
    attempt = await local_shop.opened()
    (body,) = await local_shop.sign(attempt)
    other = await local_shop.opened()
    forged = [
        altered(body, total_amount="99.00"),
        altered(body, out_trade_no=number_of(other)),
        altered(body, sign=""),
        altered(body, sign="AAAA"),
        altered(body, sign_type="RSA"),
        altered(body, added="1"),
        body + b"&out_trade_no=" + number_of(other).encode(),
        b"",
    ]

    assert [b"failure"] * len(forged) == await local_shop.tell(*forged)
    assert [] == await local_shop.events()
    assert [b"success"] == await local_shop.tell(body)


async def test_x13_another_channel_cannot_pay(local_shop, alipay):
    """Who holds the key of one account cannot pay what was asked through another."""
    own = alipay.register()
    second = channel_of(own, alipay.url, "second")
    assert ["created"] == await local_shop.payments.put_channels([second])
    attempt = await local_shop.opened(channel=local_shop.channel.id)
    trade = {"out_trade_no": number_of(attempt), "total_amount": "12.30"}
    (body,) = await asyncio.to_thread(alipay.sign, own[0]["app_id"], trade)

    assert [b"failure"] == await local_shop.tell(body, channel=second.id)
    assert [b"failure"] == await local_shop.tell(body)
    assert [] == await local_shop.events()


async def test_x13_an_empty_secret_verifies_nothing(local_shop, database_url, clock):
    """Without a key a channel cannot be written, and one that lost it takes no callback."""
    attempt = await local_shop.opened()
    (body,) = await local_shop.sign(attempt)
    bare = {**local_shop.channel.settings, "alipay_public_key": ""}
    account = replace(local_shop.channel, settings=bare)
    assert ["setting_missing"] == await local_shop.payments.put_channels([account])
    owner = await connect_once(database_url)
    await owner.execute(
        "update payments.channel set settings = settings - 'alipay_public_key',"
        " version = version + 1"
    )
    await owner.close()
    clock.advance(2)

    assert [b"success"] != await local_shop.tell(body)
    assert [] == await local_shop.events()


async def test_x14_a_leaked_key_is_no_free_money(make_service, key_app, alipay, clock):
    """Above the limit the provider is asked; what it denies is never told, and goes to the desk."""
    service = await make_service()
    shop = await open_shop(service, key_app, alipay, clock)
    limited = replace(shop.channel, confirm_above_minor=10_000)
    assert ["changed"] == await service.put_channels([limited])
    small, large, forged = [await shop.opened(amount) for amount in (10_000, 10_001, 500_000)]
    assert [b"success"] * 3 == await shop.tell(*await shop.sign(small, large, forged))
    alipay.fault("query_disagrees", count=0, match={"out_trade_no": number_of(forged)})

    assert [small.order] == [event.capture.order for event in await shop.events()]
    assert [[]] == await service.read_captures([large.order])
    for _ in range(3):
        await service.confirm_captures()
        clock.advance(3_600)
    assert [small.order, large.order] == [event.capture.order for event in await shop.events()]
    ((disputed,),) = await service.list_unmatched([UnmatchedQuery()])
    assert ("disputed", forged.order) == (disputed.fit, disputed.order)

    verdict = UnmatchedVerdict(disputed.id, forged.order, "mei", "the buyer says so")
    assert ["provider_disagrees"] == await service.settle_unmatched([verdict])
    assert 2 == len(await shop.events())
    alipay.clear()
    assert ["settled"] == await service.settle_unmatched([verdict])
    assert "fits" == (await shop.events())[-1].capture.fit


async def test_x14_confirmation_holds_for_every_channel_and_waits_for_an_answer(
    make_service, key_app, alipay, clock
):
    """The platform's own limit holds too; a silent provider is asked until it speaks."""
    service = await make_service(confirm_above_minor=100)
    shop = await open_shop(service, key_app, alipay, clock)
    attempt = await shop.opened()
    await shop.tell(*await shop.sign(attempt))
    alipay.fault("query_unknown", count=5)

    for _ in range(5):
        assert "captured" == (
            (await service.present_attempts([PresentRequest(attempt.id)]))[0].problem
        )
        await service.confirm_captures()
        assert [] == await shop.events()
        clock.advance(3_600)
    await service.confirm_captures()
    assert [attempt.order] == [event.capture.order for event in await shop.events()]


async def test_x14_a_limit_in_another_currency_confirms_all(make_service, key_app, alipay, clock):
    """Money in a currency that the limit is not of is confirmed, however little it is."""
    service = await make_service(confirm_above_minor=1_000_000, confirm_currency="JPY")
    shop = await open_shop(service, key_app, alipay, clock)
    attempt = await shop.shown()
    await shop.pay(attempt)
    await shop.tell(*await shop.sign(attempt))

    assert [] == await shop.events()
    await service.confirm_captures()
    assert [attempt.order] == [event.capture.order for event in await shop.events()]


@pytest.mark.parametrize(
    "amount_minor,currency,limits,wanted",
    [
        (10, "CNY", [(10, "CNY"), (0, "USD")], False),
        (11, "CNY", [(10, "CNY"), (0, "USD")], True),
        (1, "USD", [(10, "CNY")], True),
        (10**9, "USD", [(0, "CNY"), (0, "CNY")], False),
        (5, "USD", [(10, "USD"), (4, "USD")], True),
    ],
)
def test_x14_a_limit_is_of_one_currency(amount_minor, currency, limits, wanted):
    """Above a limit, or beside its currency, a signature alone is not believed; 0 is no limit."""
    assert wanted is must_confirm(amount_minor, currency, limits)


async def test_x14_what_the_provider_says_later_ends_a_dispute(
    make_service, key_app, alipay, clock
):
    """A provider that lagged behind its own callback strands nobody: asking finds the money."""
    service = await make_service(confirm_above_minor=100)
    shop = await open_shop(service, key_app, alipay, clock)
    attempt = await shop.shown()
    await shop.pay(attempt)
    await shop.tell(*await shop.sign(attempt))
    alipay.fault("query_disagrees", count=3)
    for _ in range(3):
        await service.confirm_captures()
        clock.advance(3_600)
    assert [] == await shop.events()
    assert ["disputed"] == [
        capture.fit for capture in (await service.list_unmatched([UnmatchedQuery()]))[0]
    ]

    assert ["captured"] == await service.query_attempts([attempt.id])
    assert [attempt.order] == [event.capture.order for event in await shop.events()]
    assert [[]] == await service.list_unmatched([UnmatchedQuery()])


async def test_x23_no_lock_is_held_while_a_provider_is_asked(local_shop, database_url, service):
    """During the slowest answer the database holds no lock and no open transaction of ours."""
    attempt = await local_shop.shown()
    local_shop.alipay.fault("slow", params={"delay_s": 1.0})
    owner = await connect_once(database_url)

    async def look() -> int:
        await asyncio.sleep(0.5)
        return await owner.fetchval(
            "select count(*) from pg_stat_activity a where a.datname = current_database()"
            " and a.application_name = 'vendrail-payments'"
            " and (a.state <> 'idle' or exists (select 1 from pg_locks l where l.pid = a.pid))"
        )

    states, held = await asyncio.gather(service.query_attempts([attempt.id]), look())
    assert (["open"], 0) == (states, held)
    async with service._store.transaction():
        with pytest.raises(Broken, match="open transaction"):
            await service._lines.line(local_shop.channel.id).send("GET", "http://127.0.0.1:1/")
    await owner.close()
    assert not kernel_db._open_transactions.get()


async def test_x23_a_callback_scans_no_table(local_shop, database_url):
    """Among many attempts and captures a callback reads its own rows, and no table whole."""
    now = local_shop.clock.now()
    owner = await connect_once(database_url)
    await owner.execute(
        "insert into payments.attempt select"
        " overlay(gen_random_uuid()::text placing $1::text from 1 for 8)::uuid, gen_random_uuid(),"
        " 1, gen_random_uuid(), $2::text::uuid, 'alipay', 100, 'CNY', 't', now(), now(), '', ''"
        " from generate_series(1, 20000)",
        str(new_id(now))[:8],
        str(local_shop.channel.id),
    )
    await owner.execute(
        "insert into payments.capture select id, channel, 'n' || id, id, order_id, merchant,"
        " method, amount_minor, currency, 'fits', 'callback', 'o', now(), now(), ''"
        " from payments.attempt"
    )
    await owner.execute("analyze payments.attempt; analyze payments.capture")
    attempts = [await local_shop.opened() for _ in range(8)]
    bodies = await local_shop.sign(*attempts)

    async def scans() -> dict[str, int]:
        rows = await owner.fetch(
            "select relname, seq_scan from pg_stat_user_tables where schemaname = 'payments'"
            " and relname in ('attempt', 'capture', 'inbox', 'event')"
        )
        return {row["relname"]: row["seq_scan"] for row in rows}

    await owner.execute("select pg_stat_force_next_flush()")
    await asyncio.sleep(1.2)  # What was set up is counted before, not after.
    before = await scans()
    for body in bodies:
        assert [b"success"] == await local_shop.tell(body)
    await local_shop.payments.read_captures([attempts[0].order])
    await local_shop.payments.read_attempts([attempts[0].order])
    await local_shop.payments.list_unmatched([UnmatchedQuery()])
    await asyncio.sleep(1.2)  # Sessions hand their statistics in once a second.
    await local_shop.payments.read_attempts([attempts[0].order])
    await asyncio.sleep(0.1)
    assert before == await scans()
    await owner.close()


async def test_what_happens_is_counted(local_shop, metrics):
    """Captures, refusals and answers of providers are counted by channel and outcome."""
    attempts = [await local_shop.opened() for _ in range(3)]
    short = await local_shop.opened()
    bodies = await local_shop.sign(*attempts)
    (wrong,) = await local_shop.sign(short, amount="1.00")
    await local_shop.tell(*bodies, *bodies, wrong, altered(bodies[0], total_amount="1.00"))
    shown = await local_shop.shown()
    await local_shop.payments.query_attempts([shown.id])

    assert [3, 1, 3 * 1230 + 100, 7, 1, 1] == [
        metrics.value("vendrail_payments_total", "alipay", "alipay", "captured"),
        metrics.value("vendrail_payments_total", "alipay", "alipay", "unmatched"),
        metrics.value("vendrail_payments_minor_total", "alipay", "CNY"),
        metrics.value("vendrail_callbacks_total", "alipay", "captured"),
        metrics.value("vendrail_callbacks_total", "alipay", "signature_wrong"),
        metrics.value("vendrail_provider_call_seconds", "alipay", "query", "unpaid"),
    ]


async def test_a_late_payment_is_taken(local_shop, clock):
    """Money for an expired and closed attempt is still money, and fits."""
    attempt = await local_shop.opened(expires_at=clock.now() + timedelta(seconds=1))
    clock.advance(600)
    assert ["closed"] == await local_shop.payments.close_attempts([attempt.order])

    assert [b"success"] == await local_shop.tell(*await local_shop.sign(attempt))
    assert ["fits"] == [event.capture.fit for event in await local_shop.events()]
