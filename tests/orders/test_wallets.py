"""Wallets of buyers: topped up by any channel, spent whole or in part, refunded into; audited."""

import asyncio
from uuid import UUID

import pytest

from vendrail.api.catalog import HoldPolicy
from vendrail.api.orders import (
    FreeWalletPart,
    OrderId,
    Orders,
    OrderState,
    PayFromWallet,
    PayOrder,
    PayStatus,
    PlaceTopUp,
    RefundOrder,
    RefundOrderStatus,
    TopUpPlaceStatus,
    WalletPartState,
    WalletPayStatus,
)
from vendrail.api.wallets import (
    WALLET_DESK,
    WalletKey,
    WalletMovement,
    WalletQuery,
    Wallets,
    WalletTerms,
)
from vendrail.app.audit import audit
from vendrail.app.wiring import House
from vendrail.kernel import rpc
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import new_id, shard_of
from vendrail.kernel.waiting import wait_at_most

PRICE_MINOR = 1_990
TERMS = WalletTerms("CNY", True, 100, 50_000, 60_000)


class Purse:
    """A signed-in buyer of the market, and short words for what they do."""

    def __init__(self, market) -> None:
        self.market = market
        self.wallets: Wallets = market.house.api(Wallets)
        self.buyer = new_id(market.clock.now())

    async def run(self) -> None:
        """Let the background work come to rest."""
        await self.market.run()
        await self.market.runner.free_wallet_parts()

    def top_up_of(self, amount_minor: int, **more) -> PlaceTopUp:
        """Make a top-up as a face would."""
        id = OrderId(new_id(self.market.clock.now(), shard_of(WALLET_DESK)))
        return PlaceTopUp(id, self.buyer, "Top-up", amount_minor, "CNY", "alipay", **more)

    async def place_top_up(self, amount_minor: int):
        """Place a top-up."""
        return (await self.market.orders.place_top_ups([self.top_up_of(amount_minor)]))[0]

    async def top_up(self, amount_minor: int):
        """Pay into the wallet over the channel, to the end."""
        placed = await self.place_top_up(amount_minor)
        await self.market.pay(placed.order, amount_minor=amount_minor)
        await self.run()
        return placed

    async def read(self) -> tuple[int, int]:
        """Give what is in the wallet, and what of it is reserved."""
        [wallet] = await self.wallets.read_wallets([WalletKey(self.buyer, "CNY")])
        return wallet.balance_minor, wallet.held_minor

    async def place(self, sku="GAME", **more):
        """Place an order, signed in, its way to pay still to be chosen."""
        return await self.market.place(sku, buyer=self.buyer, **{"method": "", **more})

    async def pay(self, placed, amount_minor=PRICE_MINOR, buyer: UUID | None = None):
        """Pay so much of an order out of the wallet."""
        asked = PayFromWallet(placed.order, placed.secret, buyer or self.buyer, amount_minor)
        return (await self.market.orders.pay_from_wallets([asked]))[0]

    async def pay_rest(self, placed, method="alipay"):
        """Open the channel's part; give the attempt's number and amount."""
        request = PayOrder(placed.order, placed.secret, method)
        [result] = await self.market.orders.pay_orders([request])
        assert result.status is PayStatus.OPENED
        [views] = await self.market.payments.read_attempts([placed.order])
        return views[-1].attempt

    async def state(self, placed) -> OrderState:
        """Say where an order stands."""
        return (await self.market.read(placed)).state

    async def part(self, placed) -> WalletPartState | None:
        """Say where the wallet's part of an order stands."""
        [view] = await self.market.orders.read_wallet_parts([placed.order])
        return view.state if view is not None else None

    async def refund(self, placed, amount_minor=0, *, to_wallet=False):
        """Ask for money back, and let it run."""
        asked = RefundOrder(
            new_id(self.market.clock.now()), placed.order, amount_minor, "wish", "op", to_wallet
        )
        first = (await self.market.orders.refund_orders([asked]))[0]
        again = (await self.market.orders.refund_orders([asked]))[0]
        if first is RefundOrderStatus.ACCEPTED:
            assert again is RefundOrderStatus.EXISTS
        await self.run()
        return first

    async def refunds(self, placed):
        """Tell an order's refunds: how much, into the wallet or not, and how they stand."""
        [views] = await self.market.orders.read_refunds([placed.order])
        return [(each.amount_minor, each.is_to_wallet, each.state) for each in views]

    async def broken(self):
        """Say which promises the books break."""
        report = await audit(self.market.house.platform.database_url)
        return [(each.name, each.findings) for each in report.outcomes if each.findings]


class Line:
    """Wallets of another process, over a line that is slow, or breaks."""

    def __init__(self, inner: Wallets, carry) -> None:
        self._inner = inner
        self._carry = carry

    def __getattr__(self, name: str):
        operation = getattr(self._inner, name)

        async def call(*values):
            return await self._carry(name, lambda: operation(*values))

        return call


def beside(purse: Purse, carry) -> House:
    """Another process over the same database, its calls to wallets carried so."""

    def link(api, service):
        whole = rpc.guard(api, service)
        return Line(whole, carry) if api is Wallets else whole

    house = purse.market.house
    return House(house.platform, {}, house.clock, house.vault, link=link)


@pytest.fixture
async def purse(market) -> Purse:
    """A buyer whose wallet holds nothing yet, and a product on sale."""
    made = Purse(market)
    await made.wallets.put_wallet_terms([TERMS])
    await market.offer("GAME", keys=60)
    return made


async def test_a_top_up_is_paid_over_a_channel_and_is_the_buyers(purse):
    """Paid over any channel, the whole amount is in the wallet, and no merchant has any of it."""
    placed = await purse.place_top_up(5_000)
    before = await purse.read()
    await purse.market.pay(placed.order, amount_minor=5_000)
    await purse.run()
    view = await purse.market.read(placed)
    [entries] = await purse.wallets.read_wallet_entries([WalletQuery(purse.buyer, "CNY")])

    assert TopUpPlaceStatus.PLACED is placed.status
    assert ((0, 0), (5_000, 0)) == (before, await purse.read())
    assert (OrderState.DELIVERED, True, False) == (view.state, view.is_top_up, view.is_charge)
    assert [(WalletMovement.TOPPED_UP, placed.order, 5_000)] == [
        (each.movement, each.order, each.amount_minor) for each in entries
    ]
    assert [] == await purse.broken()


async def test_top_ups_keep_to_the_terms(purse):
    """Too little, too much, or more than a wallet may hold is refused before anybody pays."""
    await purse.top_up(50_000)
    asked = [purse.top_up_of(amount) for amount in (99, 50_001, 10_001, 10_000)]
    placed = await purse.market.orders.place_top_ups(asked)
    again = await purse.market.orders.place_top_ups(asked[3:])

    assert [
        TopUpPlaceStatus.AMOUNT_TOO_SMALL,
        TopUpPlaceStatus.AMOUNT_TOO_LARGE,
        TopUpPlaceStatus.BALANCE_TOO_HIGH,
        TopUpPlaceStatus.PLACED,
    ] == [each.status for each in placed]
    assert [TopUpPlaceStatus.EXISTS] == [each.status for each in again]


async def test_two_top_ups_that_are_too_much_together_go_not_both_in(purse):
    """Both were allowed when placed; of what was paid, the wallet takes what it may hold."""
    first, second = [await purse.place_top_up(40_000) for _ in range(2)]
    await purse.market.pay(first.order, amount_minor=40_000)
    await purse.market.pay(second.order, amount_minor=40_000)
    await purse.run()

    assert (40_000, 0) == await purse.read()
    assert {OrderState.DELIVERED, OrderState.REFUNDING} == {
        await purse.state(first),
        await purse.state(second),
    }
    assert [] == await purse.broken()


async def test_two_processes_never_top_a_wallet_up_beyond_what_it_may_hold(purse):
    """Of two judged at the same instant the wallet has what is delivered; the rest goes back."""
    first, second = [await purse.place_top_up(40_000) for _ in range(2)]
    both, judged = asyncio.Event(), []

    async def carry(name, call):
        answer = await call()
        if name == "judge_top_ups":
            judged.append(name)
            if len(judged) > 1:
                both.set()
            # Where nothing holds the other off, both are judged before either goes on.
            await wait_at_most(both, 0.5)
        return answer

    houses = [beside(purse, carry), beside(purse, carry)]
    runners = [house.services["orders"].runner for house in houses]
    for each, runner in zip((first, second), runners, strict=True):
        await purse.market.pay(each.order, amount_minor=40_000)
        await runner.consume_captures()
    for house, runner in zip(houses, runners, strict=True):
        await runner.drain()
        await house.stop()
    purse.market.clock.advance(600)
    await purse.run()
    states = [await purse.state(first), await purse.state(second)]
    delivered = states.count(OrderState.DELIVERED)

    assert delivered < 2
    assert 2 - delivered == states.count(OrderState.REFUNDING)
    assert (40_000 * delivered, 0) == await purse.read()
    assert [] == await purse.broken()


async def test_late_and_double_money_of_a_top_up_is_money(purse):
    """Late, it is in the wallet all the same; what comes twice goes back."""
    placed = await purse.place_top_up(5_000)
    purse.market.clock.advance(7_200)
    await purse.run()
    ended = await purse.state(placed)
    await purse.market.pay(placed.order, amount_minor=5_000)
    await purse.market.pay(placed.order, amount_minor=5_000)
    await purse.run()

    assert OrderState.EXPIRED is ended
    assert (5_000, 0) == await purse.read()
    assert OrderState.DELIVERED is await purse.state(placed)
    assert [] == await purse.broken()


async def test_a_wallet_buys_at_once(purse):
    """Confirmed, the key is there without any provider; again is the same; the books agree."""
    await purse.top_up(5_000)
    placed = await purse.place()
    statuses = [await purse.pay(placed), await purse.pay(placed)]
    await purse.run()
    view = await purse.market.read(placed)

    assert [WalletPayStatus.PAID, WalletPayStatus.PAID] == statuses
    assert (OrderState.DELIVERED, 1) == (view.state, len(view.items))
    assert (5_000 - PRICE_MINOR, 0) == await purse.read()
    assert WalletPartState.SPENT is await purse.part(placed)
    assert [] == await purse.broken()


async def test_who_has_too_little_pays_nothing(purse):
    """Nothing is taken; after a top-up the same order is paid."""
    await purse.top_up(1_000)
    placed = await purse.place()
    poor = [await purse.pay(placed), await purse.pay(placed)]
    await purse.top_up(1_000)
    rich = await purse.pay(placed)
    await purse.run()

    assert [WalletPayStatus.BALANCE_TOO_LOW] * 2 == poor
    assert WalletPayStatus.PAID is rich
    assert (10, 0) == await purse.read()
    assert [] == await purse.broken()


async def test_each_refusal_has_its_own_word(purse):
    """A wrong secret, a strange amount, a top-up, a paid and an ended order: nothing moves."""
    await purse.top_up(9_000)
    placed = await purse.place()
    top_up = await purse.place_top_up(1_000)
    paid = await purse.place()
    await purse.pay(paid)
    ended = await purse.place()
    asked = [
        replace(placed, secret="wrong"),
        placed,
        placed,
        top_up,
        paid,
    ]
    amounts = [PRICE_MINOR, 0, PRICE_MINOR + 1, 1_000, 100]
    statuses = [await purse.pay(each, amount) for each, amount in zip(asked, amounts, strict=True)]
    purse.market.clock.advance(7_200)
    statuses.append(await purse.pay(ended))
    await purse.run()

    assert [
        WalletPayStatus.ORDER_NOT_FOUND,
        WalletPayStatus.AMOUNT_OUT_OF_RANGE,
        WalletPayStatus.AMOUNT_OUT_OF_RANGE,
        WalletPayStatus.NOT_OFFERED,
        WalletPayStatus.PAID_ALREADY,
        WalletPayStatus.ORDER_ENDED,
    ] == statuses
    assert (9_000 - PRICE_MINOR, 0) == await purse.read()
    assert [] == await purse.broken()


async def test_fifty_orders_at_once_spend_exactly_what_is_there(purse):
    """Of fifty orders paid at once from one wallet, as many are filled as it holds the price of."""
    await purse.top_up(PRICE_MINOR * 7 + 100)
    placed = [await purse.place(contact=f"many{n}@example.com") for n in range(50)]
    statuses = await asyncio.gather(*(purse.pay(each) for each in placed))
    await purse.run()
    states = [await purse.state(each) for each in placed]

    assert 7 == statuses.count(WalletPayStatus.PAID)
    assert 43 == statuses.count(WalletPayStatus.BALANCE_TOO_LOW)
    assert 7 == states.count(OrderState.DELIVERED)
    assert (100, 0) == await purse.read()
    assert [] == await purse.broken()


async def test_one_order_paid_many_times_at_once_is_paid_once(purse):
    """Twenty clicks of one buyer: one purchase, the price taken once."""
    await purse.top_up(9_000)
    placed = await purse.place()
    statuses = await asyncio.gather(*(purse.pay(placed) for _ in range(20)))
    await purse.run()

    assert {WalletPayStatus.PAID} == set(statuses)
    assert (9_000 - PRICE_MINOR, 0) == await purse.read()
    assert [] == await purse.broken()


async def test_part_wallet_part_channel(purse):
    """The part is reserved, the channel asks for the rest, and both together fill the order."""
    await purse.top_up(500)
    placed = await purse.place()
    status = await purse.pay(placed, 500)
    again = await purse.pay(placed, 500)
    reserved = await purse.read()
    attempt = await purse.pay_rest(placed)
    await purse.market.pay(placed.order, attempt.number, amount_minor=attempt.amount_minor)
    await purse.run()
    view = await purse.market.read(placed)

    assert [WalletPayStatus.RESERVED] * 2 == [status, again]
    assert (500, 500) == reserved
    assert PRICE_MINOR - 500 == attempt.amount_minor
    assert (OrderState.DELIVERED, 1) == (view.state, len(view.items))
    assert (0, 0) == await purse.read()
    assert [] == await purse.broken()


async def test_a_reserved_part_is_free_when_its_order_ends_unpaid(purse):
    """Expired or cancelled, what was reserved is the buyer's to spend again."""
    await purse.top_up(1_000)
    placed = await purse.place()
    await purse.pay(placed, 500)
    reserved = await purse.read()
    purse.market.clock.advance(7_200)
    await purse.run()

    assert (1_000, 500) == reserved
    assert (1_000, 0) == await purse.read()
    assert WalletPartState.FREED is await purse.part(placed)
    assert OrderState.EXPIRED is await purse.state(placed)
    assert [] == await purse.broken()


async def test_a_part_is_taken_back_and_chosen_anew(purse):
    """Taken back, another part can be reserved; what the old one left to pay goes back."""
    await purse.top_up(1_000)
    placed = await purse.place()
    await purse.pay(placed, 500)
    old = await purse.pay_rest(placed)
    other = await purse.pay(placed, 700)
    freed = await purse.market.orders.free_wallet_parts(
        [FreeWalletPart(placed.order, placed.secret), FreeWalletPart(placed.order, "wrong")]
    )
    whole = await purse.pay_rest(placed)
    anew = await purse.pay(placed, 700)
    rest = await purse.pay_rest(placed)
    await purse.market.pay(placed.order, old.number, amount_minor=old.amount_minor)
    await purse.run()
    waiting = await purse.state(placed)
    await purse.market.pay(placed.order, rest.number, amount_minor=rest.amount_minor)
    await purse.run()

    assert WalletPayStatus.RESERVED_DIFFERENT is other
    assert [True, False] == freed
    assert PRICE_MINOR == whole.amount_minor
    assert WalletPayStatus.RESERVED is anew
    assert (PRICE_MINOR - 500, PRICE_MINOR - 700) == (old.amount_minor, rest.amount_minor)
    assert OrderState.PLACED is waiting
    assert OrderState.DELIVERED is await purse.state(placed)
    assert (300, 0) == await purse.read()
    assert [] == await purse.broken()


@pytest.mark.parametrize("is_voided", [True, False])
async def test_a_part_whose_freeing_broke_off_is_freed_before_another_stands(purse, is_voided):
    """Broken off before or after the wallet was told: what is reserved anew really is reserved."""
    await purse.top_up(5_000)
    placed = await purse.place()
    await purse.pay(placed, 1_000)

    async def carry(name, call):
        if name != "free_wallets" or is_voided:
            await call()
        raise Broken("A crash.")

    crashing = beside(purse, carry)
    with pytest.raises(Broken):
        await crashing.api(Orders).free_wallet_parts([FreeWalletPart(placed.order, placed.secret)])
    await crashing.stop()
    broken_off = await purse.part(placed)
    anew = await purse.pay(placed, 1_000)
    reserved = await purse.read()
    await purse.run()
    attempt = await purse.pay_rest(placed)
    await purse.market.pay(placed.order, attempt.number, amount_minor=attempt.amount_minor)
    await purse.run()

    assert WalletPartState.FREEING is broken_off
    assert WalletPayStatus.RESERVED is anew
    assert (5_000, 1_000) == reserved
    assert PRICE_MINOR - 1_000 == attempt.amount_minor
    assert OrderState.DELIVERED is await purse.state(placed)
    assert (4_000, 0) == await purse.read()
    assert [] == await purse.broken()


async def test_taking_back_beside_paying_leaves_what_is_said(purse):
    """Many clicks on both at once: what stands afterwards is in the wallet, and the order fills."""
    await purse.top_up(5_000)
    for _ in range(6):
        placed = await purse.place()
        await purse.pay(placed, 1_000)
        asked = FreeWalletPart(placed.order, placed.secret)
        await asyncio.gather(
            *(purse.market.orders.free_wallet_parts([asked]) for _ in range(2)),
            *(purse.pay(placed, 1_000) for _ in range(3)),
            purse.market.orders.free_wallet_parts([asked]),
        )
        held = (await purse.read())[1]
        assert (await purse.part(placed), held) in (
            (WalletPartState.HELD, 1_000),
            (WalletPartState.FREED, 0),
        )
        assert WalletPayStatus.RESERVED is await purse.pay(placed, 1_000)
        attempt = await purse.pay_rest(placed)
        before = (await purse.read())[0]
        await purse.market.pay(placed.order, attempt.number, amount_minor=attempt.amount_minor)
        await purse.run()
        assert OrderState.DELIVERED is await purse.state(placed)
        assert (before - 1_000, 0) == await purse.read()
        await purse.top_up(1_000)
    assert [] == await purse.broken()


async def test_a_whole_payment_leaves_the_reserved_part_alone(purse):
    """Paid whole over an attempt opened before, the order is filled and the part comes free."""
    await purse.top_up(500)
    placed = await purse.place()
    whole = await purse.pay_rest(placed)
    await purse.pay(placed, 500)
    await purse.market.pay(placed.order, whole.number, amount_minor=whole.amount_minor)
    await purse.run()

    assert OrderState.DELIVERED is await purse.state(placed)
    assert (500, 0) == await purse.read()
    assert WalletPartState.FREED is await purse.part(placed)
    assert [] == await purse.broken()


async def test_late_money_of_a_freed_part_goes_back(purse):
    """A channel's part that comes after the wallet's was freed fills nothing, and goes back."""
    await purse.top_up(500)
    placed = await purse.place()
    await purse.pay(placed, 500)
    attempt = await purse.pay_rest(placed)
    purse.market.clock.advance(7_200)
    await purse.run()
    await purse.market.pay(placed.order, attempt.number, amount_minor=attempt.amount_minor)
    await purse.run()
    [captures] = await purse.market.payments.read_captures([placed.order])

    assert OrderState.EXPIRED is await purse.state(placed)
    assert 1 == len(captures)
    assert (500, 0) == await purse.read()
    assert [] == await purse.broken()


async def test_what_cannot_be_filled_goes_back_into_the_wallet(purse):
    """Sold out after payment: what the wallet gave is in it again, of a whole or of a part."""
    await purse.market.offer("RARE", keys=0, hold_policy=HoldPolicy.AT_PAYMENT)
    await purse.top_up(5_000)
    whole, part = await purse.place("RARE"), await purse.place("RARE")
    paid = await purse.pay(whole)
    await purse.pay(part, 500)
    attempt = await purse.pay_rest(part)
    await purse.market.pay(part.order, attempt.number, amount_minor=attempt.amount_minor)
    await purse.run()
    view = await purse.market.read(whole)

    assert WalletPayStatus.PAID is paid
    assert (OrderState.REFUNDED, PRICE_MINOR) == (view.state, view.refunded_minor)
    # The provider of the other has not said yet; the wallet's part waits for nobody.
    assert OrderState.REFUNDING is await purse.state(part)
    assert (5_000, 0) == await purse.read()
    assert [] == await purse.broken()


async def test_money_comes_back_to_the_wallet_that_paid(purse):
    """Refunds of a wallet's order go into the wallet, the last takes the rest, none more."""
    await purse.top_up(PRICE_MINOR)
    placed = await purse.place()
    await purse.pay(placed)
    await purse.run()
    statuses = [
        await purse.refund(placed, 990),
        await purse.refund(placed, 1_001),
        await purse.refund(placed),
    ]
    last = await purse.refund(placed)

    assert [
        RefundOrderStatus.ACCEPTED,
        RefundOrderStatus.MORE_THAN_CAPTURED,
        RefundOrderStatus.ACCEPTED,
    ] == statuses
    assert RefundOrderStatus.NOT_PAID is last
    assert [(990, True, "paid"), (1_000, True, "paid")] == sorted(await purse.refunds(placed))
    assert OrderState.REFUNDED is await purse.state(placed)
    assert (PRICE_MINOR, 0) == await purse.read()
    assert [] == await purse.broken()


async def test_an_order_of_a_channel_is_refunded_into_the_wallet(purse):
    """By choice, what a channel took goes into the buyer's wallet; no provider is asked."""
    placed = await purse.place(method="alipay")
    await purse.market.pay(placed.order)
    await purse.run()
    status = await purse.refund(placed, 990, to_wallet=True)

    assert RefundOrderStatus.ACCEPTED is status
    assert [(990, True, "paid")] == await purse.refunds(placed)
    assert (990, 0) == await purse.read()
    assert [] == await purse.broken()


async def test_nobody_known_has_no_wallet_to_refund_into(purse):
    """A guest's order, a top-up, and a currency whose wallets are off: refused by a word."""
    guest = await purse.market.place("GAME")
    await purse.market.pay(guest.order)
    top_up = await purse.top_up(1_000)
    mine = await purse.place(method="alipay")
    await purse.market.pay(mine.order)
    await purse.run()
    statuses = [await purse.refund(each, to_wallet=True) for each in (guest, top_up)]
    await purse.wallets.put_wallet_terms([replace(TERMS, is_on=False)])
    statuses.append(await purse.refund(mine, to_wallet=True))

    assert [RefundOrderStatus.NO_WALLET] * 3 == statuses


async def test_no_refund_goes_into_the_wallet_of_a_deleted_account(purse):
    """What its wallet paid stays where it is, by a word; what a channel took goes back over it."""
    await purse.top_up(PRICE_MINOR + 500)
    whole = await purse.place()
    await purse.pay(whole)
    parted = await purse.place()
    await purse.pay(parted, 500)
    attempt = await purse.pay_rest(parted)
    await purse.market.pay(parted.order, attempt.number, amount_minor=attempt.amount_minor)
    over_channel = await purse.place(method="alipay")
    await purse.market.pay(over_channel.order)
    await purse.run()
    told = await purse.market.orders.forget_buyers([purse.buyer])
    statuses = [
        await purse.refund(whole),
        await purse.refund(parted),
        await purse.refund(parted, PRICE_MINOR - 500),
        await purse.refund(over_channel, to_wallet=True),
        await purse.refund(over_channel),
    ]
    refused, accepted = RefundOrderStatus.NO_WALLET, RefundOrderStatus.ACCEPTED

    assert [True] == told
    assert [refused, refused, accepted, refused, accepted] == statuses
    assert (0, 0) == await purse.read()
    assert [] == await purse.broken()


async def test_an_account_stays_while_money_of_its_wallet_is_under_way(purse):
    """Paid and not yet delivered, or on its way back into it: the account goes once it arrived."""
    await purse.top_up(PRICE_MINOR)
    placed = await purse.place()
    await purse.pay(placed)
    paid = await purse.market.orders.forget_buyers([purse.buyer])
    await purse.run()
    asked = RefundOrder(
        new_id(purse.market.clock.now()), placed.order, 990, "wish", "op", to_wallet=True
    )
    await purse.market.orders.refund_orders([asked])
    returning = await purse.market.orders.forget_buyers([purse.buyer])
    await purse.run()
    settled = await purse.market.orders.forget_buyers([purse.buyer])

    assert ([False], [False], [True]) == (paid, returning, settled)
    assert (990, 0) == await purse.read()


async def test_a_part_part_order_gives_back_to_each_source(purse):
    """Over the channel what came over it, then into the wallet; never more than each gave."""
    await purse.top_up(500)
    placed = await purse.place()
    await purse.pay(placed, 500)
    attempt = await purse.pay_rest(placed)
    await purse.market.pay(placed.order, attempt.number, amount_minor=attempt.amount_minor)
    await purse.run()
    statuses = [await purse.refund(placed, 1_000), await purse.refund(placed)]
    refunds = await purse.refunds(placed)

    assert [RefundOrderStatus.ACCEPTED] * 2 == statuses
    assert [(1_000, False), (490, False), (500, True)] == sorted(
        ((amount, is_to_wallet) for amount, is_to_wallet, _ in refunds),
        key=lambda each: (each[1], -each[0]),
    )
    assert [(500, True, "paid")] == [each for each in refunds if each[1]]
    assert (500, 0) == await purse.read()
    assert [] == await purse.broken()


async def test_a_top_up_goes_back_as_far_as_it_is_there(purse):
    """What is still in the wallet leaves it when its refund is asked; what was spent stays."""
    top_up = await purse.top_up(3_000)
    placed = await purse.place()
    await purse.pay(placed)
    await purse.run()
    too_much = await purse.refund(top_up)
    after = await purse.read()
    rest = await purse.refund(top_up, 1_010)
    refunds = await purse.refunds(top_up)

    assert RefundOrderStatus.ACCEPTED is too_much is rest
    assert (1_010, 0) == after
    assert (0, 0) == await purse.read()
    assert [(1_010, False, "asked"), (3_000, False, "failed")] == sorted(refunds)
    assert [] == await purse.broken()
