"""Letters to staff: what begins to stand is told once, to whom it matters, while it stands."""

from datetime import timedelta

import pytest

from vendrail.api.catalog import ShopProductQuery
from vendrail.api.identity import (
    Actor,
    ActorKind,
    Identity,
    Invitation,
    LinkUse,
    Role,
)
from vendrail.api.notify import CheckReport, LetterChoice
from vendrail.api.payments import PresentRequest
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id
from vendrail.payments.attempts import out_trade_no

CLI = Actor(ActorKind.COMMAND_LINE, None, "root (command line)")


async def join(market, email, role, locale="en"):
    """Let somebody join: the market's merchant, or the operator."""
    identity: Identity = market.house.api(Identity)
    merchant = None if role.value.startswith("operator_") else market.merchant
    new = Invitation(
        new_id(market.clock.now()), email, merchant, role, CLI, merchant_name="Merchant"
    )
    [invited] = await identity.invite_people([new])
    await identity.use_links([LinkUse(invited.token, "a quiet lake at dawn", "Ann", locale)])


def of_staff(mails):
    """The letters that tell of what stands: to whom, and what."""
    words = ("Running out", "库存不足", "for a person")
    return [
        (mail["To"], mail.get_body(("plain",)).get_content())
        for mail in mails
        if any(word in mail["Subject"] for word in words)
    ]


@pytest.fixture
async def staff(market):
    """Of the merchant: who may take keys in, and who may not; of the operator: two of three."""
    await join(market, "seller@example.com", Role.SELLER)
    await join(market, "support@example.com", Role.SUPPORT)
    await join(market, "finance@platform.example", Role.OPERATOR_FINANCE)
    await join(market, "risk@platform.example", Role.OPERATOR_RISK)


async def test_low_stock_is_told_once_for_each_crossing(market, post, staff):
    """Once when it runs out, not with each sale; again only after it was refilled."""
    await market.offer("GAME", keys=11)
    await market.offer("MANY", keys=50)
    await post.watching.look()
    before = of_staff(await post.letters())
    for _ in range(3):
        placed = await market.place("GAME")
        await market.pay(placed.order)
        await market.run()
        await post.watching.look()
    once = of_staff(await post.letters())
    await market.stock("GAME", 5)  # Above the bound, but not far: nothing new when it falls again.
    await post.watching.look()
    await market.place("GAME", quantity=6)
    await post.watching.look()
    still = of_staff(await post.letters())
    await market.stock("GAME", 40)
    market.clock.advance(60)
    await post.watching.look()
    for _ in range(4):
        placed = await market.place("GAME", quantity=10)
        await market.pay(placed.order, quantity=10)
        await market.run()
    await post.watching.look()
    again = of_staff(await post.letters())

    assert [] == before
    assert ["seller@example.com"] == [to for to, _ in once]
    assert "Product GAME" in once[0][1]
    assert "MANY" not in once[0][1]
    assert 1 == len(still)
    assert ["seller@example.com"] * 2 == [to for to, _ in again]


async def test_stock_that_was_refilled_is_not_told(market, post, staff):
    """X25: refilled while the letter waited: it is dropped, and counted."""
    await market.offer("GAME", keys=3)
    await post.watching.look()
    await market.stock("GAME", 60)
    market.clock.advance(60)
    await post.watching.look()

    assert [] == of_staff(await post.letters())
    assert 1 == post.count("stock_low", "overtaken")


async def test_a_merchant_may_not_want_to_be_told(market, post, staff):
    """Turned off, what is new is not told and what waits is dropped; turned on, what is new is."""
    off = LetterChoice(market.merchant, "stock_low", is_wanted=False)
    await market.offer("GAME", keys=3)
    await post.watching.look()
    strange = LetterChoice(market.merchant, "order_delivered", is_wanted=False)
    statuses = await post.notify.choose_letters([off, off, strange])
    await market.offer("MORE", keys=3)
    await post.watching.look()
    none = of_staff(await post.letters())
    chosen = await post.notify.read_choices([market.merchant])
    await post.notify.choose_letters([replace(off, is_wanted=True)])
    await market.offer("LAST", keys=3)
    await post.watching.look()
    [(_, text)] = of_staff(await post.letters())

    assert ["changed", "unchanged", "template_unknown"] == statuses
    assert [] == none
    assert [[off]] == chosen
    assert "LAST" in text
    assert "GAME" not in text


async def test_unmatched_money_is_told_to_who_may_settle_it(market, post, staff):
    """Money that fits nothing and waits is told to the operator's finance, once, and alone."""
    await market.offer("GAME", keys=50)
    placed = await market.place("GAME")
    await market.pay(placed.order, amount_minor=5)
    await market.run()
    await post.watching.look()
    early = of_staff(await post.letters())
    market.clock.advance(3_700)
    for _ in range(3):
        await post.watching.look()
    late = of_staff(await post.letters())

    assert [] == early
    assert ["finance@platform.example"] == [to for to, _ in late]
    assert "0.05 CNY" in late[0][1]
    assert out_trade_no(placed.order, 1) not in late[0][1]


async def test_two_watchers_tell_once(market, post, staff):
    """Two processes that look one after the other: one letter."""
    await market.offer("GAME", keys=3)
    other = type(post)(market)
    await post.watching.look()
    await other.watching.look()

    assert 1 == len(of_staff(await post.letters()))


async def test_a_stuck_saga_is_told_to_who_may_retry_it(market, post, staff):
    """A saga that became a case for a person is told to those who may wake it, until it is gone."""
    await join(market, "admin@platform.example", Role.OPERATOR_ADMIN)
    await market.offer("GAME", keys=50)
    placed = await market.place("GAME")
    await market.pay(placed.order)
    await market.runner.consume_captures()
    await market.runner.drain()
    async with market.house.databases["orders"].transaction() as tx:
        await tx.execute(
            "insert into orders.saga (id, kind, subject, data, state, problem, trace_id,"
            "  started_at, due_at) values ($1, 'refund', $2, '{}', 'stuck', 'refused', '',"
            "  now(), now())",
            new_id(market.clock.now()),
            placed.order,
        )
    await post.watching.look()
    told = of_staff(await post.letters())

    assert "admin@platform.example" in [to for to, _ in told]
    assert "risk@platform.example" not in [to for to, _ in told]
    assert "refused" in told[0][1]


async def test_an_audit_that_found_something_is_told_once(market, post, staff):
    """Each thing an audit finds is told once to who answers for the books, until it is mended."""
    now = market.clock.now()

    def audit(minutes: int, **findings: int) -> CheckReport:
        return CheckReport("audit", now + timedelta(minutes=minutes), not findings, findings)

    backup = CheckReport("backup", now, is_good=True)
    statuses = await post.notify.report_checks([audit(0, balanced=2), backup])
    for _ in range(2):
        await post.watching.look()
    once = of_staff(await post.letters())
    statuses += await post.notify.report_checks([audit(1, balanced=3, held=1), audit(-1)])
    await post.watching.look()
    more = of_staff(await post.letters())
    await post.notify.report_checks([audit(2)])
    market.clock.advance(60)
    await post.watching.look()
    await post.notify.report_checks([audit(3, balanced=1)])
    await post.watching.look()
    again = of_staff(await post.letters())

    assert ["recorded", "recorded", "recorded", "older"] == statuses
    assert ["finance@platform.example"] == [to for to, _ in once]
    assert "balanced (2)" in once[0][1]
    assert "held (1)" in more[1][1]
    assert "balanced" not in more[1][1]
    assert [1, 2, 3] == [len(once), len(more), len(again)]


async def test_a_provider_that_fails_is_told_and_that_it_is_back(market, post, staff):
    """Left alone beyond a moment, once; that it answers again, once; to who may see channels."""
    [account] = await market.payments.list_channels()
    dead = replace(
        account, settings=account.settings | {"gateway_url": "http://127.0.0.1:1/gateway.do"}
    )
    await market.payments.put_channels([dead])
    for _ in range(8):
        await market.payments.probe_channels(
            [account.id]
        )  # Of a person's question nothing follows.
    await market.offer("GAME", keys=50)
    placed = await market.place("GAME")
    [[attempt]] = await market.payments.read_attempts([placed.order])
    await market.payments.present_attempts([PresentRequest(attempt.attempt.id)])
    for _ in range(5):
        await market.payments.query_attempts([attempt.attempt.id])
    await post.watching.look()
    early = of_staff(await post.letters())
    market.clock.advance(90)
    for _ in range(2):
        await post.watching.look()
    away = of_staff(await post.letters())
    async with market.house.databases["payments"].transaction() as tx:
        await tx.execute("update payments.outage set ended_at = $1", market.clock.now())
    market.clock.advance(60)
    for _ in range(2):
        await post.watching.look()
    back = of_staff(await post.letters())

    assert [] == early
    assert ["finance@platform.example"] == [to for to, _ in away]
    assert "fail and are left alone" in away[0][1]
    assert 2 == len(back)
    assert "answer again" in back[1][1]
    assert f"{account.name} ({account.title})" in back[1][1]


async def test_an_outage_that_is_long_over_is_not_told(market, post, staff):
    """X25: who looks again only after hours tells neither that it was away nor that it is back."""
    [account] = await market.payments.list_channels()
    async with market.house.databases["payments"].transaction() as tx:
        await tx.execute(
            "insert into payments.outage (channel, began_at, ended_at) values ($1, $2, $3)",
            account.id,
            market.clock.now() - timedelta(hours=6),
            market.clock.now() - timedelta(hours=3),
        )
    await post.watching.look()

    assert [] == of_staff(await post.letters())


async def test_a_saga_that_does_not_end_is_told_after_an_hour(market, post, staff):
    """One that waits for no person is told of once when it is late; one under review is not."""
    async with market.house.databases["orders"].transaction() as tx:
        for reason in ("", "review"):
            await tx.execute(
                "insert into orders.saga (id, kind, subject, data, state, reason, problem,"
                " trace_id, started_at, due_at) values ($1, 'refund', $1, '{}', 'waiting', $2, '',"
                " '', $3::timestamptz, $3::timestamptz + interval '9 days')",
                new_id(market.clock.now()),
                reason,
                market.clock.now(),
            )
    await post.watching.look()
    early = of_staff(await post.letters())
    market.clock.advance(3_700)
    for _ in range(2):
        await post.watching.look()
    late = of_staff(await post.letters())

    assert [] == early
    assert ["finance@platform.example"] == [to for to, _ in late]
    assert 1 == late[0][1].count("- refund ")


async def test_low_is_what_the_merchant_says(market, post, staff):
    """A shop's or a variant's bound counts before the platform's; what is never low is not told."""
    await market.offer("GAME", keys=11)
    await market.offer("CARD", keys=3)
    [[shop]] = await market.catalog.list_shops([market.merchant])
    await market.catalog.put_shops([replace(shop, low_stock_max=11)])
    [[card]] = await market.catalog.list_products([ShopProductQuery(market.merchant, "card")])
    never = [replace(each, low_stock_max=0) for each in card.product.variants]
    await market.catalog.put_products([replace(card.product, variants=never)])
    await post.watching.look()
    [(reader, text)] = of_staff(await post.letters())

    assert "seller@example.com" == reader
    assert "Product GAME" in text
    assert "Product CARD" not in text
