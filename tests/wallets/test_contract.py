"""Wallets: what is paid in can be spent once, and every movement is told with what was left."""

import asyncio
import random

import pytest

from vendrail.api.ledger import AccountStatus, Chart
from vendrail.api.settlement import RefundPostingStatus, SaleStatus
from vendrail.api.wallets import (
    TopUpQuestion,
    TopUpStatus,
    WalletHoldStatus,
    WalletKey,
    WalletMovement,
    WalletQuery,
    WalletSum,
    WalletTerms,
    WalletTermsStatus,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id

CURRENCY = "CNY"
TERMS = WalletTerms(CURRENCY, True, 100, 50_000, 100_000, 20_000)


async def test_a_top_up_is_the_buyers_whole_and_costs_no_fee(world):
    """All that was paid in is the buyer's: no fee, nothing of it at a merchant, once."""
    sale = await world.top_up(5_000)
    [again] = await world.settlement.split_sales([sale])

    assert (SaleStatus.SPLIT, 0, 5_000) == (again.status, again.fee_minor, again.share_minor)
    assert {"provider": -5_000, "wallet": 5_000} == await world.balances()
    assert 5_000 == (await world.read()).free_minor


async def test_a_wallet_that_was_never_used_holds_nothing(world):
    """Reading a stranger's wallet is no error."""
    [wallet] = await world.wallets.read_wallets([WalletKey(new_id(world.clock.now()), "USD")])

    assert (0, 0, 0) == (wallet.balance_minor, wallet.held_minor, wallet.free_minor)


async def test_a_wallet_pays_a_whole_order(world):
    """Reserved, then posted with the split: the merchant has it less the fee, once."""
    await world.top_up(5_000)
    hold = world.hold(1_990)
    held = await world.reserve(hold)
    reserved = await world.read()
    first = await world.split(world.sale(hold))
    again = await world.split(world.sale(hold))

    assert WalletHoldStatus.HELD is held
    assert (5_000, 1_990, 3_010) == (
        reserved.balance_minor,
        reserved.held_minor,
        reserved.free_minor,
    )
    assert (SaleStatus.SPLIT, 1_990) == (first.status, first.fee_minor + first.share_minor)
    assert first == again
    assert {
        "provider": -5_000,
        "wallet": 3_010,
        "available": first.share_minor,
        "fee": first.fee_minor,
    } == await world.balances()
    assert 0 == (await world.read()).held_minor


async def test_part_wallet_part_channel_fills_one_order(world):
    """The wallet's part is posted with the channel's: both in held, both split, none left over."""
    await world.top_up(500)
    hold = world.hold(500)
    await world.reserve(hold)
    result = await world.split(world.sale(hold, channel_minor=1_490))

    assert (SaleStatus.SPLIT, 1_990) == (result.status, result.fee_minor + result.share_minor)
    assert {
        "provider": -1_990,
        "available": result.share_minor,
        "fee": result.fee_minor,
    } == await world.balances()


async def test_a_part_that_was_let_go_fills_nothing(world):
    """Where the wallet's part is gone the split stops, and what did arrive can still be booked."""
    await world.top_up(500)
    hold = world.hold(500)
    await world.reserve(hold)
    freed = await world.wallets.free_wallets([hold])
    sale = world.sale(hold, channel_minor=1_490)
    result = await world.split(sale)
    booked = await world.settlement.book_captures([replace(sale.booking, wallet=None)])

    assert [True] == freed
    assert SaleStatus.NOT_HELD is result.status
    assert [True] == booked
    assert {"provider": -1_990, "held": 1_490, "wallet": 500} == await world.balances()


async def test_a_spoiled_chain_books_both_parts_once(world):
    """A purchase that turns after its chain was refused still books what came, each part once."""
    await world.top_up(500)
    hold = world.hold(500)
    await world.reserve(hold)
    sale = world.sale(hold, channel_minor=1_490)
    reversed_ = await world.settlement.reverse_sales([sale])
    late = await world.split(sale)
    again = await world.settlement.book_captures([sale.booking])

    assert [True] == reversed_
    assert SaleStatus.CANCELLED is late.status
    assert [True] == again
    assert {"provider": -1_990, "held": 1_990} == await world.balances()


async def test_fifty_payments_at_once_spend_exactly_what_is_there(world):
    """Of fifty that ask at once for 300 each, ten are held by a wallet of 3,100: never eleven."""
    await world.top_up(3_100)
    holds = [world.hold(300) for _ in range(50)]
    statuses = await asyncio.gather(*(world.reserve(hold) for hold in holds))
    held = [
        hold
        for hold, status in zip(holds, statuses, strict=True)
        if status is WalletHoldStatus.HELD
    ]
    results = await asyncio.gather(*(world.split(world.sale(hold)) for hold in held))

    assert 10 == len(held)
    assert {WalletHoldStatus.HELD, WalletHoldStatus.BALANCE_TOO_LOW} == set(statuses)
    assert {SaleStatus.SPLIT} == {result.status for result in results}
    assert (100, 0) == ((await world.read()).balance_minor, (await world.read()).held_minor)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_is_asked_no_wallet_loses_or_gains(world, seed):
    """Holds, releases, payments and refunds in any order, many at once: the sums agree after."""
    chance = random.Random(seed)
    topped_up = 0
    for _ in range(3):
        amount = chance.randint(200, 2_000)
        await world.top_up(amount)
        topped_up += amount
    holds = [world.hold(chance.randint(50, 900)) for _ in range(24)]

    async def live(hold):
        if await world.reserve(hold) is not WalletHoldStatus.HELD:
            return 0
        if chance.random() < 0.4:
            await asyncio.gather(world.wallets.free_wallets([hold]), world.reserve(hold))
            return 0
        sale = world.sale(hold)
        assert SaleStatus.SPLIT is (await world.split(sale)).status
        if chance.random() < 0.5:
            return hold.amount_minor
        back = chance.randint(1, hold.amount_minor)
        posting = world.refund(sale, back, to_wallet=world.buyer, channel="wallet")
        await world.settlement.open_refunds([posting])
        await world.settlement.pay_refunds([posting])
        return hold.amount_minor - back

    spent = await asyncio.gather(*(live(hold) for hold in holds))
    wallet = await world.read()
    entries = await world.wallets.read_wallet_entries(
        [WalletQuery(world.buyer, CURRENCY, entries_max=500)]
    )

    assert (topped_up - sum(spent), 0) == (wallet.balance_minor, wallet.held_minor)
    assert wallet.balance_minor == sum(entry.amount_minor for entry in entries[0])
    assert "clearing" not in await world.balances()


async def test_holding_again_is_the_same_hold(world):
    """A repeat holds nothing more; another amount under the id is refused."""
    await world.top_up(1_000)
    hold = world.hold(600)
    statuses = [
        await world.reserve(hold),
        await world.reserve(hold),
        await world.reserve(replace(hold, amount_minor=100)),
    ]

    assert [
        WalletHoldStatus.HELD,
        WalletHoldStatus.EXISTS,
        WalletHoldStatus.EXISTS_DIFFERENT,
    ] == statuses
    assert 400 == (await world.read()).free_minor


async def test_a_hold_that_comes_after_its_release_holds_nothing(world):
    """Letting go of what never arrived takes its id: late, it finds the place taken."""
    await world.top_up(1_000)
    hold = world.hold(600)
    freed = await world.wallets.free_wallets([hold, hold])
    late = await world.reserve(hold)

    assert [True, True] == freed
    assert WalletHoldStatus.EXISTS_DIFFERENT is late
    assert 1_000 == (await world.read()).free_minor


async def test_what_was_spent_is_not_let_go(world):
    """Letting go after the split answers that it was spent, each time."""
    await world.top_up(1_000)
    hold = world.hold(600)
    await world.reserve(hold)
    await world.split(world.sale(hold))
    freed = [await world.wallets.free_wallets([hold]) for _ in range(2)]

    assert [[False], [False]] == freed
    assert 400 == (await world.read()).balance_minor


async def test_a_refund_goes_into_the_wallet_in_one_step(world):
    """No provider is asked: clearing to wallet, at most what the order took, the rest refused."""
    await world.top_up(1_990)
    hold = world.hold(1_990)
    await world.reserve(hold)
    sale = world.sale(hold)
    await world.split(sale)
    to = {"to_wallet": world.buyer, "channel": "wallet"}
    first = world.refund(sale, 990, "one", **to)
    second = world.refund(sale, 1_000, "two", refunded_minor=990, **to)
    third = world.refund(sale, 1, "three", refunded_minor=1_990, **to)
    opened = await world.settlement.open_refunds([first, second, third])
    paid = await world.settlement.pay_refunds([first, second])
    again = await world.settlement.pay_refunds([first])
    other = await world.settlement.open_refunds([replace(first, to_wallet=None)])

    assert [
        RefundPostingStatus.POSTED,
        RefundPostingStatus.POSTED,
        RefundPostingStatus.MORE_THAN_CAPTURED,
    ] == opened
    assert [RefundPostingStatus.POSTED] * 2 == paid
    assert [RefundPostingStatus.EXISTS] == again
    assert [RefundPostingStatus.EXISTS_DIFFERENT] == other
    assert 1_990 == (await world.read()).balance_minor
    assert "clearing" not in await world.balances()


async def test_a_top_up_goes_back_out_of_its_wallet(world):
    """A top-up that is not spent goes back over its channel, and the wallet is less by that."""
    sale = await world.top_up(5_000)
    posting = world.refund(sale, 2_000, from_wallet=world.buyer)
    opened = await world.settlement.open_refunds([posting])
    paid = await world.settlement.pay_refunds([posting])

    assert [RefundPostingStatus.POSTED] == opened == paid
    assert {"provider": -3_000, "wallet": 3_000} == await world.balances()


async def test_a_top_up_that_was_spent_stays(world):
    """A wallet owes nothing: what is not there goes not back, and the rest can still."""
    sale = await world.top_up(5_000)
    hold = world.hold(4_000)
    await world.reserve(hold)
    too_much = world.refund(sale, 1_001, "all", from_wallet=world.buyer)
    rest = world.refund(sale, 1_000, "rest", from_wallet=world.buyer)
    refused = [await world.settlement.open_refunds([too_much]) for _ in range(2)]
    opened = await world.settlement.open_refunds([rest])
    paid = await world.settlement.pay_refunds([rest])
    returned = await world.settlement.return_refunds([too_much])

    assert [[RefundPostingStatus.WALLET_TOO_LOW]] * 2 == refused
    assert [RefundPostingStatus.POSTED] == opened == paid
    assert [RefundPostingStatus.NOT_OPEN] == returned
    assert {"provider": -4_000, "wallet": 4_000} == await world.balances()
    assert "debt" not in await world.balances()


async def test_a_returned_top_up_refund_is_in_the_wallet_again(world):
    """Where the provider refuses, the money is where it was taken from."""
    sale = await world.top_up(5_000)
    posting = world.refund(sale, 2_000, from_wallet=world.buyer)
    await world.settlement.open_refunds([posting])
    returned = await world.settlement.return_refunds([posting])

    assert [RefundPostingStatus.POSTED] == returned
    assert {"provider": -5_000, "wallet": 5_000} == await world.balances()


async def test_the_statement_tells_every_movement_and_what_was_left(world):
    """Newest first, in a word each, page by page the same as at once; reservations move nothing."""
    topped_up = await world.top_up(5_000)
    await world.clock.sleep(1)
    hold = world.hold(1_990)
    await world.reserve(hold)
    sale = world.sale(hold)
    await world.split(sale)
    await world.clock.sleep(1)
    back = world.refund(sale, 990, to_wallet=world.buyer, channel="wallet")
    await world.settlement.open_refunds([back])
    await world.settlement.pay_refunds([back])
    await world.clock.sleep(1)
    out = world.refund(topped_up, 1_000, "out", from_wallet=world.buyer)
    await world.settlement.open_refunds([out])
    await world.clock.sleep(1)
    freed = world.hold(100)
    await world.reserve(freed)
    await world.wallets.free_wallets([freed])
    query = WalletQuery(world.buyer, CURRENCY)
    [whole] = await world.wallets.read_wallet_entries([query])
    paged, last = [], None
    for _ in range(4):
        [[entry]] = await world.wallets.read_wallet_entries(
            [replace(query, before=last, entries_max=1)]
        )
        paged.append(entry)
        last = entry.transfer
    ends = await world.wallets.read_wallet_entries([replace(query, before=last)])

    assert [
        (WalletMovement.TOP_UP_RETURNED, -1_000, 3_000),
        (WalletMovement.REFUNDED, 990, 4_000),
        (WalletMovement.PAID, -1_990, 3_010),
        (WalletMovement.TOPPED_UP, 5_000, 5_000),
    ] == [(each.movement, each.amount_minor, each.balance_minor) for each in whole]
    assert [hold.order, hold.order] == [whole[1].order, whole[2].order]
    assert whole == paged
    assert [[]] == ends


async def test_what_is_owed_to_buyers_is_summed_by_currency(world):
    """All wallets together hold what top-ups, payments and refunds have left."""
    before = await world.wallets.sum_wallets()
    await world.top_up(5_000)
    hold = world.hold(1_990)
    await world.reserve(hold)
    await world.split(world.sale(hold))
    chart = Chart("USD")
    opened = await world.ledger.open_accounts([chart.buyer_wallet(world.buyer)])
    after = await world.wallets.sum_wallets()

    assert [] == before
    assert [AccountStatus.CREATED] == opened
    assert [WalletSum("CNY", 1, 3_010), WalletSum("USD", 1, 0)] == after


async def test_top_ups_are_judged_by_the_terms(world):
    """Each bound has its own answer, and two of one wallet see each other."""
    await world.top_up(40_000)
    asked = [99, 50_001, 50_000, 20_000, 10_000]
    statuses = await world.wallets.judge_top_ups(
        [TopUpQuestion(world.buyer, CURRENCY, amount) for amount in asked]
        + [TopUpQuestion(world.buyer, "USD", 1_000)]
    )

    assert [
        TopUpStatus.AMOUNT_TOO_SMALL,
        TopUpStatus.AMOUNT_TOO_LARGE,
        TopUpStatus.ALLOWED,
        TopUpStatus.BALANCE_TOO_HIGH,
        TopUpStatus.ALLOWED,
        TopUpStatus.WALLET_OFF,
    ] == statuses


async def test_terms_are_written_whole_and_bounded(world):
    """What makes no sense is refused, what is the same is not written, off may be empty."""
    off = WalletTerms("USD")
    statuses = await world.wallets.put_wallet_terms(
        [
            TERMS,
            replace(TERMS, top_up_minor_max=200_000),
            replace(TERMS, top_up_minor_min=0),
            replace(TERMS, step_up_minor=-1),
            replace(TERMS, currency="XXX"),
            replace(TERMS, is_on=False),
            replace(off, is_on=True),
            off,
        ]
    )
    listed = await world.wallets.list_wallet_terms()

    malformed = WalletTermsStatus.LIMITS_MALFORMED
    assert [
        WalletTermsStatus.UNCHANGED,
        malformed,
        malformed,
        malformed,
        WalletTermsStatus.CURRENCY_UNKNOWN,
        WalletTermsStatus.WRITTEN,
        malformed,
        WalletTermsStatus.WRITTEN,
    ] == statuses
    assert [replace(TERMS, is_on=False), off] == listed


async def test_a_wallet_that_is_off_can_still_be_spent(world):
    """The money is the buyer's: switching off takes in nothing more, and keeps nothing back."""
    await world.top_up(1_000)
    await world.wallets.put_wallet_terms([replace(TERMS, is_on=False)])

    assert WalletHoldStatus.HELD is await world.reserve(world.hold(1_000))


async def test_each_hold_of_a_batch_sees_the_ones_before(world):
    """One batch spends no more than many calls do; amounts that are none are refused."""
    await world.top_up(1_000)
    holds = [world.hold(amount) for amount in (600, 500, 0, 400)]
    statuses = await world.wallets.hold_wallets(holds)

    assert [
        WalletHoldStatus.HELD,
        WalletHoldStatus.BALANCE_TOO_LOW,
        WalletHoldStatus.AMOUNT_NOT_POSITIVE,
        WalletHoldStatus.HELD,
    ] == statuses


async def test_an_undone_top_up_leaves_the_wallet(world):
    """A top-up that is turned back before its pivot is in held again, out of the wallet."""
    sale = await world.top_up(5_000)
    undone = await world.settlement.reverse_sales([sale])

    assert [True] == undone
    assert {"provider": -5_000, "desk": 5_000} == await world.balances()
