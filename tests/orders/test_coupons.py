"""Coupons with orders, over real services: held, used, given back, and never used too often."""

import asyncio

import pytest

from vendrail.api.ledger import Chart
from vendrail.api.orders import OrderState, PlaceStatus, RefundOrder
from vendrail.api.promotions import (
    CodePage,
    Coupon,
    CouponHold,
    CouponId,
    CouponQuestion,
    CouponStatus,
    CouponUseQuery,
    MakeCouponCodes,
    Promotions,
)
from vendrail.api.wallets import Wallets, WalletTerms
from vendrail.app.audit import audit
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Database
from vendrail.kernel.ids import new_id
from vendrail.promotions.service import PromotionsService

PRICE_MINOR, OFF_MINOR = 1_990, 500
TERMS = WalletTerms(
    "CNY", is_on=True, top_up_minor_min=100, top_up_minor_max=10**6, balance_minor_max=10**7
)


class Desk:
    """A merchant's coupons, and short words for what tests do with them."""

    def __init__(self, market) -> None:
        self.market = market
        self.promotions: Promotions = market.house.api(Promotions)
        self.service = market.house.services["promotions"]

    async def put(self, word="SPRING", codes=0, currency="CNY", **changes):
        """Make a coupon: five off, by a word and by made codes."""
        id = CouponId(new_id(self.market.clock.now()))
        terms = {"amount_minor": OFF_MINOR, "uses_per_code": 100} | changes
        coupon = Coupon(id, self.market.merchant, "Five off", currency, word=word, **terms)
        assert ["created"] == await self.promotions.put_coupons([coupon])
        if codes:
            await self.promotions.make_codes([MakeCouponCodes(id, self.market.merchant, codes)])
        return coupon

    async def codes(self, coupon):
        """Read a coupon's codes in the clear."""
        [codes] = await self.promotions.list_codes([CodePage(coupon.id, coupon.merchant)])
        return [each.code for each in codes]

    async def place(self, *codes, sku="GAME", **more):
        """Place an order with each code, all of them at once, as buyers do."""
        orders = [self.market.choose(sku, coupon=code, **more) for code in codes]
        placed = await asyncio.gather(
            *(self.market.orders.place_orders([order]) for order in orders)
        )
        return [each for [each] in placed]

    def holds(self, code, *orders):
        """Ask for a coupon with orders, as placing does."""
        asked = CouponQuestion(
            code, self.market.merchant, new_id(self.market.clock.now()), "", PRICE_MINOR, "CNY"
        )
        return [CouponHold(order, asked, "contact") for order in orders]

    async def look(self):
        """Let the loop look twice, so that what has ended comes back."""
        for _ in range(2):
            self.market.clock.advance(31)
            await self.service.look_at_due(self.market.orders)

    async def counts(self, coupon):
        """Give what is held, what is used, and how much that took off."""
        [view] = await self.promotions.read_coupons([coupon.id])
        return view.held_count, view.used_count, view.used_minor

    async def findings(self):
        """Say which promises the books break."""
        report = await audit(self.market.house.platform.database_url)
        return [(each.name, each.findings) for each in report.outcomes if each.findings]


@pytest.fixture
async def desk(market):
    """The coupons of a market that sells one thing."""
    await market.offer("GAME", keys=60)
    return Desk(market)


async def test_a_coupon_is_taken_off_held_and_used(desk, market):
    """The buyer pays less, the fee is of what was paid, and the use is counted once."""
    coupon = await desk.put()
    [placed] = await desk.place("spring")
    held = await desk.counts(coupon)
    await market.pay(placed.order, amount_minor=PRICE_MINOR - OFF_MINOR)
    await market.run()
    await desk.look()
    view = await market.read(placed)
    [uses] = await desk.promotions.list_uses([CouponUseQuery(coupon.id, market.merchant)])
    [fee] = await market.ledger.read_balances([Chart("CNY").platform_fee().id])

    assert (1_490, 500) == (placed.amount_minor, placed.discount.amount_minor)
    assert (1, 0, 0) == held
    assert (0, 1, 500) == await desk.counts(coupon)
    assert ("delivered", 1_490, "Five off") == (view.state, view.amount_minor, view.discount.title)
    assert [(placed.order, 500, "used")] == [
        (each.order, each.discount_minor, each.state) for each in uses
    ]
    assert 1_490 * 250 // 10_000 + 10 == fee.credit_minor
    assert [] == await desk.findings()


@pytest.mark.parametrize("kind", ["word", "total", "code", "buyer"])
async def test_x21_fifty_racing_orders_never_use_a_coupon_too_often(desk, market, kind):
    """Whichever bound is met, exactly as many orders get the coupon as it allows."""
    bounds = {
        "word": {"uses_per_code": 7},
        "total": {"uses_max": 7},
        "code": {"word": "", "codes": 1, "uses_per_code": 7},
        "buyer": {"uses_per_buyer": 7},
    }
    coupon = await desk.put(**({"word": "SPRING"} | bounds[kind]))
    [code, *_] = await desk.codes(coupon)
    more = {"contact": "one@example.com"} if kind == "buyer" else {}
    placed = await desk.place(*[code] * 50, **more)

    statuses = [each.status for each in placed]
    assert (7, 43) == (
        statuses.count(PlaceStatus.PLACED),
        statuses.count(PlaceStatus.COUPON_REFUSED),
    )
    wanted = CouponStatus.BUYER_LIMIT_REACHED if kind == "buyer" else CouponStatus.USED_UP
    assert {wanted} == {each.coupon_problem for each in placed if each.coupon_problem}
    assert (7, 0, 0) == await desk.counts(coupon)
    assert [] == await desk.findings()


async def test_a_coupon_comes_back_when_its_order_ends_unpaid(desk, market):
    """Expired, it is free for another buyer; what is paid for it late goes back whole."""
    coupon = await desk.put(uses_max=1)
    [placed] = await desk.place("SPRING")
    [beaten] = await desk.place("SPRING")
    market.clock.advance(3_600)
    await market.run()
    await desk.look()
    [second] = await desk.place("SPRING")
    await market.pay(placed.order, amount_minor=PRICE_MINOR - OFF_MINOR)
    await market.run()
    view = await market.read(placed)
    [held] = await market.ledger.read_balances([Chart("CNY").held(market.merchant).id])

    assert (PlaceStatus.COUPON_REFUSED, PlaceStatus.PLACED) == (beaten.status, second.status)
    assert (OrderState.EXPIRED, []) == (view.state, view.items)
    assert (1, 0, 0) == await desk.counts(coupon)
    assert 0 == held.credit_minor
    assert [] == await desk.findings()


async def test_a_coupon_comes_back_with_all_of_the_money(desk, market):
    """A part that goes back leaves the coupon used; no refund gives more than was paid."""
    coupon, buyer = await desk.put(), new_id(market.clock.now())
    await market.house.api(Wallets).put_wallet_terms([TERMS])
    [placed] = await desk.place("SPRING", buyer=buyer)
    paid_minor = PRICE_MINOR - OFF_MINOR
    await market.pay(placed.order, amount_minor=paid_minor)
    await market.run()
    await desk.look()

    async def refund(amount_minor):
        id = new_id(market.clock.now())
        asked = RefundOrder(id, placed.order, amount_minor, "wrong", "lin", to_wallet=True)
        [status] = await market.orders.refund_orders([asked])
        await market.run()
        await desk.look()
        return status

    too_much = await refund(PRICE_MINOR)
    part = await refund(490)
    kept = await desk.counts(coupon)
    rest = await refund(0)
    view = await market.read(placed)

    assert ("more_than_captured", "accepted", "accepted") == (too_much, part, rest)
    assert (0, 1, 500) == kept
    assert (0, 0, 0) == await desk.counts(coupon)
    assert paid_minor == view.refunded_minor
    assert [] == await desk.findings()


async def test_sending_an_order_again_takes_its_coupon_once(desk, market):
    """The same order gives the same discount again; with another code it is another request."""
    coupon = await desk.put()
    order = market.choose("GAME", coupon="SPRING", idempotency_key="once-" + "x" * 16)
    first, again, other = [
        (await market.orders.place_orders([each]))[0]
        for each in (order, order, replace(order, coupon=""))
    ]

    assert ("placed", "exists", "exists_different") == (first.status, again.status, other.status)
    assert first.discount == again.discount
    assert (1, 0, 0) == await desk.counts(coupon)


async def test_an_order_sent_twice_at_once_keeps_its_coupon(desk, market):
    """Whichever of the two is first, the order stands and nobody else gets its coupon."""
    for number in range(15):
        coupon = await desk.put(word=f"TWICE{number}", uses_max=1)
        order = market.choose("GAME", coupon=coupon.word)
        answers = await asyncio.gather(*(market.orders.place_orders([order]) for _ in range(2)))
        [later] = await market.orders.place_orders([order])
        [other] = await desk.place(coupon.word)

        assert ["exists", "placed"] == sorted(each.status for [each] in answers)
        assert ("exists", "coupon_refused") == (later.status, other.status)
        assert (1, 0, 0) == await desk.counts(coupon)


async def test_a_first_try_that_is_refused_leaves_the_coupon_to_the_second(desk, market):
    """A hold that was asked for again is not given back by who was first, but by the loop."""
    coupon = await desk.put(uses_max=1)
    [hold] = desk.holds("SPRING", market.choose("GAME").id)
    [first] = await desk.promotions.hold_coupons([hold])
    [second] = await desk.promotions.hold_coupons([hold])
    [is_released] = await desk.promotions.release_coupons([hold.order])
    kept = await desk.counts(coupon)
    market.clock.advance(600)
    await desk.look()

    assert (CouponStatus.HELD, CouponStatus.EXISTS) == (first.status, second.status)
    assert (False, (1, 0, 0)) == (is_released, kept)
    assert (0, 0, 0) == await desk.counts(coupon)


async def test_a_double_press_with_a_coupon_for_one_is_one_order(desk, market):
    """The second of two with one idempotency key is answered with the order of the first."""
    coupon = await desk.put(uses_max=1)
    pressed = [
        market.choose(
            "GAME", coupon="SPRING", contact="a@b.cn", idempotency_key="twice-" + "x" * 16
        )
        for _ in range(2)
    ]
    first, second = await market.orders.place_orders(pressed)

    assert ("placed", "exists") == (first.status, second.status)
    assert (first.order, first.discount) == (second.order, second.discount)
    assert (1, 0, 0) == await desk.counts(coupon)


async def test_a_hold_of_more_than_an_order_costs_refuses_that_order_alone(desk, market):
    """Held at a higher price, a coupon is refused at a lower one; the batch goes on."""
    await desk.put()
    await market.offer("CHEAP", keys=5, price_minor=OFF_MINOR)
    cheap, dear = market.choose("CHEAP", coupon="SPRING"), market.choose("GAME", coupon="SPRING")
    await desk.promotions.hold_coupons(desk.holds("SPRING", cheap.id))
    placed = await market.orders.place_orders([cheap, dear])

    assert ["coupon_refused", "placed"] == [each.status for each in placed]


async def test_two_coupons_that_ask_for_a_word_at_once_are_one(desk, market):
    """Exactly one is written of each word; the other hears that its word is taken."""
    one = desk.service  # It has one connection; processes together have several.
    wide = Database(one._db.dsn, one._db.service, role=one._db.role, connections_max=3)
    many = PromotionsService(wide, one._vault, one.clock, one._metrics, one._settings)
    terms = Coupon(CouponId(new_id(market.clock.now())), market.merchant, "Five off", "CNY")
    terms = replace(terms, amount_minor=OFF_MINOR)
    for each in range(5):
        words = [f"WORD{each}{number}" for number in range(8)]
        batches = [
            [replace(terms, id=CouponId(new_id(market.clock.now())), word=word) for word in words]
            for _ in range(3)
        ]
        answers = await asyncio.gather(*map(many.put_coupons, batches))
        ids = [coupon.id for batch in batches for coupon in batch]
        written = await desk.promotions.read_coupons(ids)

        assert [["created", "word_taken", "word_taken"]] * 8 == [
            sorted(asked) for asked in zip(*answers, strict=True)
        ]
        assert 8 == len([coupon for coupon in written if coupon is not None])
    await wide.close()


async def test_a_code_allows_no_less_than_was_taken_of_it(desk, market):
    """A bound below what orders have of one code is refused."""
    coupon = await desk.put()
    await desk.place("SPRING", "SPRING")
    answers = [
        (await desk.promotions.put_coupons([replace(coupon, uses_per_code=count)]))[0]
        for count in (1, 2)
    ]

    assert ["uses_below_taken", "changed"] == answers
    assert [] == await desk.findings()


async def test_what_is_refused_after_its_coupon_gives_it_back(desk, market):
    """Sold out, or a way to pay that is not offered: nothing is held of the coupon."""
    coupon = await desk.put()
    await market.offer("NONE", keys=0)
    [sold_out] = await desk.place("SPRING", sku="NONE")
    [no_way] = await desk.place("SPRING", method="nothing")

    assert ("sold_out", "method_not_offered") == (sold_out.status, no_way.status)
    assert (0, 0, 0) == await desk.counts(coupon)
    assert [] == await desk.findings()


async def test_wrong_codes_are_counted_by_network(desk, market):
    """After ten wrong ones even the right one says nothing for a while; others go on."""
    await desk.put()
    wrong = [(await desk.place(f"WRONG{n}", address="10.0.0.1"))[0] for n in range(10)]
    [barred] = await desk.place("SPRING", address="10.0.0.1")
    [other] = await desk.place("SPRING", address="10.0.0.2")
    market.clock.advance(601)
    [later] = await desk.place("SPRING", address="10.0.0.1")

    assert {CouponStatus.CODE_NOT_FOUND} == {each.coupon_problem for each in wrong}
    assert CouponStatus.TOO_MANY_GUESSES == barred.coupon_problem
    assert (PlaceStatus.PLACED, PlaceStatus.PLACED) == (other.status, later.status)


async def test_codes_are_made_once_and_only_their_merchant_reads_them(desk, market):
    """Asking again makes no more; no two are alike, none stands in the database."""
    coupon = await desk.put(word="", codes=500, uses_per_code=1)
    await desk.promotions.make_codes([MakeCouponCodes(coupon.id, market.merchant, 500)])
    codes = await desk.codes(coupon)
    stranger = new_id(market.clock.now())
    [theirs] = await desk.promotions.list_codes([CodePage(coupon.id, stranger)])
    [made] = await desk.promotions.make_codes([MakeCouponCodes(coupon.id, stranger, 900)])
    [priced] = await desk.promotions.price_coupons(
        [
            CouponQuestion(
                f"{codes[0][:4]}-{codes[0][4:].lower()}",
                market.merchant,
                stranger,
                "",
                PRICE_MINOR,
                "CNY",
            )
        ]
    )

    assert (500, {16}) == (len(set(codes)), {len(code) for code in codes})
    assert ([], None) == (theirs, made)
    assert (CouponStatus.HELD, 500) == (priced.status, priced.discount_minor)
