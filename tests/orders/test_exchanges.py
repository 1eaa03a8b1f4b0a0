"""Orders paid in another currency: quoted, captured, split, and given back as they were paid."""

import pytest

from vendrail.api.catalog import (
    HoldPolicy,
    KeyIntake,
    KeyLine,
    Product,
    ProductId,
    Variant,
    VariantId,
)
from vendrail.api.fx import Fx, QuoteId, QuoteRequest
from vendrail.api.ledger import Chart
from vendrail.api.orders import (
    OrderState,
    PayOrder,
    PlaceStatus,
    RefundOrder,
    RefundOrderStatus,
    SoldOrderQuery,
)
from vendrail.api.payments import (
    CaptureReport,
    CaptureSource,
    CaptureStatus,
    UnmatchedQuery,
    UnmatchedVerdict,
)
from vendrail.api.risk import ListEntry, ListKind, RiskDecision, Verdict
from vendrail.app.audit import audit
from vendrail.kernel.codec import replace
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import new_id
from vendrail.orders import decide
from vendrail.payments.attempts import out_trade_no

PRICE_MINOR = 999  # Dollars and cents; buyers pay yuan.


async def is_clean(market):
    """Say which promises the books break; those nothing speaks of are left out."""
    report = await audit(market.house.platform.database_url)
    return [(each.name, each.findings) for each in report.outcomes if each.findings]


class Abroad:
    """The market with goods priced in dollars, and buyers who pay yuan."""

    def __init__(self, market) -> None:
        self.market = market
        self.fx: Fx = market.house.api(Fx)

    async def offer(self, sku, keys=5, **more):
        """Put a product on sale in dollars."""
        market, now = self.market, self.market.clock.now()
        variant = Variant(VariantId(new_id(now)), sku, "One", {"USD": PRICE_MINOR})
        product = Product(ProductId(new_id(now)), market.shop, sku.lower(), sku, [variant], **more)
        await market.catalog.put_products([product])
        lines = [KeyLine(n + 1, f"{sku}-{n}") for n in range(keys)]
        if lines:
            await market.catalog.add_keys([KeyIntake(sku, new_id(now), lines)])

    async def quote(self, amount_minor=PRICE_MINOR, currency="USD", paid_currency="CNY"):
        """Have an amount quoted."""
        id = QuoteId(new_id(self.market.clock.now()))
        asked = QuoteRequest(id, amount_minor, currency, paid_currency)
        return (await self.fx.quote_amounts([asked]))[0].quote

    def choose(self, sku, quote, **more):
        """Make an order with a quote."""
        order = self.market.choose(sku, quote=quote.id, paid_currency="CNY", **more)
        return replace(order, currency="USD")

    async def place(self, sku, **more):
        """Have one quoted and place the order."""
        order = self.choose(sku, await self.quote(), **more)
        return (await self.market.orders.place_orders([order]))[0]

    async def pay(self, placed, attempt=1, amount_minor=None):
        """Let the buyer's yuan arrive."""
        report = self.report(placed, attempt, amount_minor)
        return (await self.market.payments.record_captures([report]))[0]

    def report(self, placed, attempt=1, amount_minor=None):
        """Tell of the buyer's yuan as a provider does."""
        market = self.market
        market.numbers += 1
        return CaptureReport(
            market.channel,
            f"20261123{market.numbers:020}",
            out_trade_no(placed.order, attempt),
            amount_minor or placed.exchange.amount_minor,
            "CNY",
            market.clock.now(),
            CaptureSource.QUERY,
        )

    async def sell(self, sku="GAME"):
        """Sell one key to the end."""
        placed = await self.place(sku)
        await self.pay(placed)
        await self.market.run()
        return placed

    async def refund(self, placed, *amounts):
        """Ask for parts of the price back."""
        asked = [
            RefundOrder(new_id(self.market.clock.now()), placed.order, amount, "wish", "tester")
            for amount in amounts
        ]
        return asked, await self.market.orders.refund_orders(asked)

    async def balances(self):
        """What the merchant has in dollars, and the platform's position in both."""
        usd, cny = Chart("USD"), Chart("CNY")
        accounts = [
            usd.merchant(self.market.merchant, "available"),
            usd.platform_fee(),
            usd.fx("CNY"),
            cny.fx("USD"),
            cny.provider("alipay"),
            cny.refund_clearing(),
        ]
        found = await self.market.ledger.read_balances([each.id for each in accounts])
        return [each.credit_minor if each is not None else 0 for each in found]


@pytest.fixture
def old_rates(tmp_path):
    """Let the rates that are installed count, however old they are."""
    (tmp_path / "vendrail.toml").write_text("[fx]\nage_s_max = 1000000000\n")


@pytest.fixture
async def abroad(old_rates, market) -> Abroad:
    """The market, its rates read."""
    await market.house.services["fx"].fetch_due()
    return Abroad(market)


async def test_b6_dollars_are_bought_with_yuan(abroad):
    """The buyer pays what was quoted, the merchant gets the price, the platform stands between."""
    await abroad.offer("GAME")
    placed = await abroad.place("GAME")
    before = await abroad.market.read(placed)
    (attempts,) = await abroad.market.payments.read_attempts([placed.order])
    await abroad.pay(placed)
    await abroad.market.run()
    view = await abroad.market.read(placed)
    paid_minor = placed.exchange.amount_minor
    [position] = await abroad.fx.list_positions()

    assert PlaceStatus.PLACED is placed.status
    assert (PRICE_MINOR, "USD") == (before.amount_minor, before.currency)
    assert (paid_minor, "CNY") == (before.due_minor, before.due_currency)
    assert [(paid_minor, "CNY")] == [
        (each.attempt.amount_minor, each.attempt.currency) for each in attempts
    ]
    assert (OrderState.DELIVERED, 1) == (view.state, len(view.items))
    available, fee, dollars, yuan, provider, _ = await abroad.balances()
    assert PRICE_MINOR == available + fee == -dollars
    assert paid_minor == yuan == -provider
    assert (paid_minor, -PRICE_MINOR) == (position.currency_minor, position.other_minor)
    # Our spread is what the position would leave if it were changed back now.
    assert 0 <= position.result_minor <= placed.exchange.spread_minor
    assert [] == await is_clean(abroad.market)


async def test_a_price_is_locked_from_placing_on(abroad):
    """Whatever rates do, ways to pay opened later ask for what was quoted first."""
    await abroad.offer("GAME")
    placed = await abroad.place("GAME", method="")
    abroad.market.clock.advance(600)
    request = PayOrder(placed.order, placed.secret, "alipay")
    await abroad.market.orders.pay_orders([request])
    ((attempt,),) = await abroad.market.payments.read_attempts([placed.order])

    assert placed.exchange.amount_minor == attempt.attempt.amount_minor
    assert "CNY" == attempt.attempt.currency


async def test_a_quote_is_spent_on_one_order(abroad):
    """Used, of another amount, of another currency, over, or half told: no order is placed."""
    await abroad.offer("GAME", keys=9)
    used = await abroad.quote()
    first = abroad.choose("GAME", used)
    old = await abroad.quote()
    abroad.market.clock.advance(901)
    fresh = await abroad.quote()
    wrong = [
        abroad.choose("GAME", used),
        abroad.choose("GAME", old),
        abroad.choose("GAME", await abroad.quote(PRICE_MINOR - 1)),
        abroad.choose("GAME", await abroad.quote(PRICE_MINOR, "EUR")),
        replace(abroad.choose("GAME", fresh), paid_currency="JPY"),
        replace(abroad.choose("GAME", fresh), paid_currency=""),
        replace(abroad.choose("GAME", fresh), quote=None),
    ]
    first = replace(first, id=abroad.market.choose("GAME").id, quote=(await abroad.quote()).id)
    placed = await abroad.market.orders.place_orders([first])
    wrong[0] = replace(wrong[0], quote=first.quote)
    refused = await abroad.market.orders.place_orders(wrong)
    (count,) = await abroad.market.catalog.count_stock(["GAME"])

    assert PlaceStatus.PLACED is placed[0].status
    assert [PlaceStatus.QUOTE_NOT_USABLE] * 7 == [each.status for each in refused]
    assert (8, 1) == (count.free, count.held)


async def test_repeating_a_placement_gives_the_same_exchange(abroad):
    """The same order again, also with a newer quote, is the first one; in its own currency not."""
    await abroad.offer("GAME")
    key = "k" * 20
    order = abroad.choose("GAME", await abroad.quote(), idempotency_key=key, contact="a@b.cd")
    [placed] = await abroad.market.orders.place_orders([order])
    again = replace(
        abroad.choose("GAME", await abroad.quote()), idempotency_key=key, contact="a@b.cd"
    )
    plain = replace(again, quote=None, paid_currency="")
    repeated, other = await abroad.market.orders.place_orders([again, plain])

    assert (PlaceStatus.EXISTS, placed.exchange) == (repeated.status, repeated.exchange)
    assert PlaceStatus.EXISTS_DIFFERENT is other.status


async def test_b10_parts_go_back_as_yuan_by_their_share(abroad):
    """Refunds of the price give back the yuan of its share; the last takes the remainder."""
    await abroad.offer("GAME")
    placed = await abroad.sell()
    paid_minor = placed.exchange.amount_minor
    asked, statuses = await abroad.refund(placed, 333, 333, 333, 1)
    (refunds,) = await abroad.market.orders.read_refunds([placed.order])
    parts = [each.paid_minor for each in refunds]

    assert ["accepted", "accepted", "accepted", "more_than_captured"] == statuses
    assert paid_minor == sum(parts)
    assert [paid_minor * 333 // 999, paid_minor * 666 // 999] == [parts[0], parts[0] + parts[1]]
    assert {"CNY"} == {each.paid_currency for each in refunds}
    assert [RefundOrderStatus.EXISTS] * 3 == (await abroad.market.orders.refund_orders(asked[:3]))
    await abroad.market.run()  # The provider is not there: they lie in clearing, in yuan.
    *_, clearing = await abroad.balances()
    assert paid_minor == clearing
    assert [] == await is_clean(abroad.market)


async def test_a_part_below_the_smallest_coin_is_refused(abroad):
    """A fraction of a fen cannot go back: it is refused, and the whole is not."""
    await abroad.offer("GAME")
    placed = await abroad.sell()

    assert 0 == decide.refund_paid(7, 1_000, [], 100)
    assert 1 == decide.refund_paid(7, 1_000, [(100, 0)], 100)
    assert 7 == decide.refund_paid(7, 1_000, [], 1_000)
    _, statuses = await abroad.refund(placed, 0)
    assert ["accepted"] == statuses


async def test_x05_yuan_for_what_is_sold_out_go_back_whole(abroad):
    """Paid but sold out: all yuan are on their way back, and no dollars were ever moved."""
    await abroad.offer("GONE", keys=0, hold_policy=HoldPolicy.AT_PAYMENT)
    placed = await abroad.sell("GONE")
    view = await abroad.market.read(placed)
    available, fee, dollars, yuan, _, clearing = await abroad.balances()

    assert OrderState.REFUNDING is view.state
    assert placed.exchange.amount_minor == clearing
    assert [0, 0, 0, 0] == [available, fee, dollars, yuan]
    assert [] == await is_clean(abroad.market)


async def test_x09_yuan_paid_twice_deliver_once(abroad):
    """Of two payments in yuan one buys the key and the other goes back whole (X9)."""
    await abroad.offer("GAME")
    placed = await abroad.place("GAME")
    await abroad.pay(placed)
    await abroad.pay(placed)
    await abroad.market.run()
    view = await abroad.market.read(placed)
    *_, clearing = await abroad.balances()

    assert (OrderState.DELIVERED, 1) == (view.state, len(view.items))
    assert placed.exchange.amount_minor == clearing
    assert [] == await is_clean(abroad.market)


async def test_x10_yuan_that_come_too_late_for_their_rate_go_back(abroad):
    """An hour after its end an order in dollars is still bought, and no longer after that."""
    await abroad.offer("GAME")
    market = abroad.market
    inside, late, plain = [await abroad.place("GAME") for _ in range(3)]
    assert inside.expires_at is not None
    market.clock.advance((inside.expires_at - market.clock.now()).total_seconds() + 3_599)
    await abroad.pay(inside)
    await market.run()
    market.clock.advance(10)
    await abroad.pay(late)
    await market.run()
    available, fee, dollars, _, _, clearing = await abroad.balances()

    assert OrderState.DELIVERED is (await market.read(inside)).state
    assert (await market.read(late)).state in (OrderState.PLACED, OrderState.EXPIRED)
    assert PRICE_MINOR == available + fee == -dollars
    assert late.exchange.amount_minor == clearing
    assert [] == await is_clean(market)

    stray = replace(abroad.report(plain), out_trade_no="0123456789ABCDEFGHJKMNPQRS1")
    await market.payments.record_captures([stray])
    await market.run()
    ((capture,),) = await market.payments.list_unmatched([UnmatchedQuery()])
    verdict = UnmatchedVerdict(capture.id, plain.order, "tester", "a person may")
    await market.payments.settle_unmatched([verdict])
    await market.run()

    assert OrderState.DELIVERED is (await market.read(plain)).state
    assert [] == await is_clean(market)


async def test_x11_yuan_that_are_not_what_was_quoted_wait_for_a_person(abroad):
    """One fen less is on the desk; matched to an order of just that amount it fills it."""
    await abroad.offer("GAME")
    placed = await abroad.place("GAME")
    short = placed.exchange.amount_minor - 1
    recorded = await abroad.pay(placed, amount_minor=short)
    await abroad.market.run()
    ((capture,),) = await abroad.market.payments.list_unmatched([UnmatchedQuery()])
    verdict = UnmatchedVerdict(capture.id, placed.order, "tester", "looks right")
    [status] = await abroad.market.payments.settle_unmatched([verdict])

    assert (CaptureStatus.RECORDED, "amount_differs") == (recorded, status)
    assert OrderState.PLACED is (await abroad.market.read(placed)).state
    assert [] == await is_clean(abroad.market)


async def test_a_person_matches_yuan_to_an_order_in_dollars(abroad):
    """Money of a closed number that fits the quote is matched, and changed as if it had come."""
    await abroad.offer("GAME")
    market = abroad.market
    placed = await abroad.place("GAME")
    stranger = CaptureReport(
        market.channel,
        "2026112399",
        "0123456789ABCDEFGHJKMNPQRS1",
        placed.exchange.amount_minor,
        "CNY",
        market.clock.now(),
        CaptureSource.QUERY,
    )
    await market.payments.record_captures([stranger])
    await market.run()
    ((capture,),) = await market.payments.list_unmatched([UnmatchedQuery()])
    verdict = UnmatchedVerdict(capture.id, placed.order, "tester", "the buyer says so")
    await market.payments.settle_unmatched([verdict])
    await market.run()

    assert OrderState.DELIVERED is (await market.read(placed)).state
    assert [] == await is_clean(market)


async def test_a_review_holds_yuan_until_a_person_decides(abroad):
    """Booked while a person looks; refused, the yuan go back, and released they are changed."""
    await abroad.offer("GAME")
    market = abroad.market
    await market.risk.put_list_entries(
        [ListEntry(f"contact:{name}@example.com", ListKind.REVIEWED) for name in ("good", "bad")]
    )
    market.clock.advance(2)
    good = await abroad.place("GAME", contact="good@example.com")
    bad = await abroad.place("GAME", contact="bad@example.com")
    for placed in (good, bad):
        await abroad.pay(placed)
    await market.run()
    held = await is_clean(market)
    await market.risk.settle_reviews(
        [
            Verdict(good.order, RiskDecision.ALLOW, "tester", "known"),
            Verdict(bad.order, RiskDecision.REFUSE, "tester", "fraud"),
        ]
    )
    await market.orders.wake_orders([good.order, bad.order])
    await market.run()

    assert [] == held
    assert OrderState.DELIVERED is (await market.read(good)).state
    assert OrderState.REFUNDING is (await market.read(bad)).state
    assert [] == await is_clean(market)


async def test_merchants_see_the_price_and_what_was_paid(abroad):
    """A merchant's list shows the price in its own currency, and what the buyer paid beside it."""
    await abroad.offer("GAME")
    placed = await abroad.sell()
    ((sold,),) = await abroad.market.orders.list_orders([SoldOrderQuery(abroad.market.merchant)])

    assert (PRICE_MINOR, "USD") == (sold.view.amount_minor, sold.view.currency)
    assert placed.exchange == sold.view.exchange


@pytest.mark.parametrize(
    "change",
    [
        "update fx.quote set paid_minor = paid_minor + 1",
        'update fx.quote set "order" = null',
        "update ledger.transfer set amount_minor = amount_minor - 1 where code = 'exchange'",
        "update ledger.transfer set code = 'adjustment' where code = 'exchange'",
    ],
)
async def test_an_exchange_that_is_not_as_quoted_is_found(abroad, change):
    """What the audit promises of exchanges is seen to break, and names the order."""
    await abroad.offer("GAME")
    placed = await abroad.sell()
    owner = await connect_once(abroad.market.house.platform.database_url)
    await owner.execute(change)
    await owner.close()

    assert ("exchanges_are_kept", [str(placed.order)]) in await is_clean(abroad.market)
