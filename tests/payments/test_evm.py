"""Money on a real EVM chain: found, counted once, withdrawn, given back by plan."""

import asyncio
import itertools
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from tests.chain import proxy
from tests.chain.node import MNEMONIC, Chain, peer, xpub_of
from tests.payments.conftest import MERCHANT, Shop, number_of
from tests.payments.evm_bench import TREASURY_PATH, plain, settings_of

from vendrail.api.payments import (
    ActionKind,
    Attempt,
    Callback,
    ChannelAccount,
    PaymentCaptured,
    PresentRequest,
    Refund,
    UnmatchedQuery,
    UnmatchedVerdict,
)
from vendrail.api.payments.deposits import (
    PlanKind,
    PlannedTransaction,
    PlanRequest,
    SignedTransaction,
    UnpricedQuery,
    UnpricedVerdict,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.payments.channels.evm_addresses import address_at, checked
from vendrail.payments.service import PaymentsService

DOLLAR = 10**6  # Of a token with six places.
_rows = itertools.count(20)  # Each test has a row of addresses that nobody has paid to.

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def usdc(chain) -> str:
    """A token with eighteen places, as USDC has on BNB Chain."""
    return chain.deploy("USDC", 18)


class EvmShop:
    """A marketplace that is paid on the chain."""

    def __init__(self, service: PaymentsService, chain: Chain, clock, usdt: str) -> None:
        self.payments = self.service = service
        self.chain = chain
        self.clock = clock
        self.usdt = usdt
        self.channel: ChannelAccount

    async def open(self, **settings: str) -> None:
        """Open the account, and begin to watch."""
        given = settings_of(self.chain, self.usdt, **settings)
        id = new_id(self.clock.now())
        self.channel = ChannelAccount(id, "evm", "evm", "Crypto", ["USD"], given)
        assert ["created"] == await self.payments.put_channels([self.channel])
        await self.watch()

    async def change(self, **settings: str) -> None:
        """Write other settings of the account."""
        self.channel = replace(self.channel, settings={**self.channel.settings, **settings})
        assert ["changed"] == await self.payments.put_channels([self.channel])

    async def refund(self, attempt: Attempt) -> Refund:
        """Ask for all the money of an attempt back."""
        ((capture, *_),) = await self.payments.read_captures([attempt.order])
        refund = Refund(derive(capture.id, "refund"), capture.id, capture.amount_minor)
        assert ["pending"] == await self.payments.request_refunds([refund])
        return refund

    async def plan(self, kind: PlanKind = PlanKind.REFUNDS) -> list[PlannedTransaction]:
        """Plan what is to be signed."""
        (plan,) = await self.payments.plan_transactions([PlanRequest(self.channel.id, kind)])
        assert plan.status == "planned", plan
        return plan.transactions

    async def watch(self, looks: int = 1) -> None:
        """Look at the chain until all is read, as the background loop does."""
        for _ in range(looks):
            self.clock.advance(1)
            while await self.service.watch_chains():
                pass

    async def shown(self, amount_minor: int = 1000, method: str = "usdt_anvil", **changes):
        """Open an attempt, and see its address; give both."""
        order = changes.pop("order", None) or new_id(self.clock.now(), 7)
        number = changes.pop("number", 1)
        given = {
            "id": derive(order, f"attempt:{number}"),
            "order": order,
            "number": number,
            "merchant": MERCHANT,
            "method": method,
            "amount_minor": amount_minor,
            "currency": "USD",
            "title": "Month card",
            "expires_at": self.clock.now() + timedelta(minutes=15),
            **changes,
        }
        attempt = Attempt(**given)
        assert ["opened"] == await self.payments.open_attempts([attempt])
        (action,) = await self.payments.present_attempts([PresentRequest(attempt.id)])
        assert action.kind is ActionKind.ADDRESS, action
        return attempt, action

    async def captures(self, attempt: Attempt) -> list[tuple[int, str]]:
        """Give amounts and fits of what was recorded for an attempt."""
        (found,) = await self.payments.read_captures([attempt.order])
        return [(each.amount_minor, each.fit.value) for each in found]

    async def finalize(self) -> None:
        """Bury what is there under enough blocks, and read them."""
        self.chain.mine(3)
        await self.watch()

    async def deposit(self, attempt: Attempt):
        """Give what the pay page shows."""
        (view,) = await self.payments.read_deposits([attempt.id])
        return view


@pytest.fixture
async def make_shop(service, chain, clock, usdt):
    """Make a marketplace with an account of its own settings."""

    async def make(**settings: str) -> EvmShop:
        shop = EvmShop(service, chain, clock, usdt)
        await shop.open(**settings)
        return shop

    return make


@pytest.fixture
async def shop(make_shop) -> EvmShop:
    """A marketplace whose money is final after three blocks."""
    return await make_shop()


def test_addresses_are_those_of_any_wallet():
    """An independent wallet that knows the words finds the same addresses that we derive."""
    theirs = peer(do="addresses", mnemonic=MNEMONIC, count=10)

    assert theirs == [address_at(xpub_of(0), place) for place in range(10)]


async def test_a_wallet_that_scans_the_code_pays_exactly(shop, chain):
    """An independent wallet reads the code and pays: the money fits, once it is final."""
    attempt, action = await shop.shown()
    key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    paid = await asyncio.to_thread(
        peer, do="pay_uri", url=chain.url, key=key, uri=action.fields["uri"]
    )
    await shop.watch()
    view = await shop.deposit(attempt)

    assert 1 == paid["status"]
    assert "10.00" == action.fields["amount"]
    assert [] == await shop.captures(attempt)
    assert ("10.00", "10.00", "0.00", False) == (view.asked, view.arrived, view.rest, view.is_paid)
    assert [(1, False)] == [(each.confirmations, each.is_final) for each in view.arrivals]
    await shop.finalize()
    view = await shop.deposit(attempt)
    assert [(1000, "fits")] == await shop.captures(attempt)
    assert view.is_paid
    assert view.arrivals[0].number.startswith(paid["hash"])


async def test_nothing_is_counted_before_it_is_final(shop, chain, usdt):
    """With one block too few nothing is recorded; with the block that is missing it is."""
    attempt, action = await shop.shown()
    chain.pay(usdt, action.text, 10 * DOLLAR)
    chain.mine(1)
    await shop.watch()

    assert [] == await shop.captures(attempt)
    chain.mine(1)
    await shop.watch()
    assert [(1000, "fits")] == await shop.captures(attempt)


async def test_reading_again_counts_nothing_twice(shop, make_service, chain, usdt):
    """Two processes that read the same blocks at once, and again, record the money once."""
    rival = await make_service()
    attempt, action = await shop.shown()
    chain.pay(usdt, action.text, 10 * DOLLAR)
    chain.mine(5)
    for _ in range(3):
        shop.clock.advance(1)
        await asyncio.gather(shop.service.watch_chains(), rival.watch_chains())

    assert [(1000, "fits")] == await shop.captures(attempt)


async def test_a_block_that_is_replaced_takes_its_money_along(shop, chain, usdt):
    """X12: what stood in a block that is gone is withdrawn, and delivers nothing."""
    attempt, action = await shop.shown()
    chain.pay(usdt, action.text, 10 * DOLLAR)
    await shop.watch()
    before = await shop.deposit(attempt)
    chain.reorganize(1)
    await shop.watch()
    after = await shop.deposit(attempt)
    await shop.finalize()

    assert "10.00" == before.arrived
    assert ("0.00", []) == (after.arrived, after.arrivals)
    assert [] == await shop.captures(attempt)


async def test_money_that_comes_back_after_a_reorganization_counts_once(shop, chain, usdt):
    """Withdrawn and paid anew in another block, it is one payment."""
    attempt, action = await shop.shown()
    chain.mine(2)
    chain.pay(usdt, action.text, 10 * DOLLAR)
    await shop.watch()
    chain.reorganize(2)
    await shop.watch()
    chain.pay(usdt, action.text, 10 * DOLLAR)
    await shop.watch()
    await shop.finalize()

    assert [(1000, "fits")] == await shop.captures(attempt)
    assert 1 == len((await shop.deposit(attempt)).arrivals)


async def test_counted_money_that_moves_to_another_block_is_the_same_money(make_shop, chain, usdt):
    """X12: a counted payment that stands elsewhere in the block that replaced its own is one."""
    shop = await make_shop(finality="1")
    attempt, action = await shop.shown()
    chain.pay(usdt, chain.accounts[6], DOLLAR)
    paid = chain.pay(usdt, action.text, 10 * DOLLAR)
    await shop.watch()
    early = await shop.captures(attempt)
    raw = chain.ask("eth_getRawTransactionByHash", paid["transactionHash"])
    first = _dear(chain, usdt)
    chain.reorganize(2, [[first, 0], [raw, 0]])
    await shop.watch()
    await shop.finalize()
    moved = chain.ask("eth_getTransactionReceipt", paid["transactionHash"])

    assert [(1000, "fits")] == early
    assert paid["logs"][0]["logIndex"] != moved["logs"][0]["logIndex"]
    assert [(1000, "fits")] == await shop.captures(attempt)
    assert 1 == len(await Shop.events(shop))


def _dear(chain, token) -> str:
    """Make a transfer of somebody else's that pays more, so that it comes first in its block."""
    data = f"0xa9059cbb{chain.accounts[7][2:].lower().rjust(64, '0')}{1:064x}"
    fees = {"maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": hex(10**11)}
    sent = chain.send(chain.accounts[6], token, data, **fees)
    return chain.ask("eth_getRawTransactionByHash", sent["transactionHash"])


async def test_too_little_waits_for_the_rest(shop, chain, usdt):
    """Several transfers to one address add up to the price, and are one payment."""
    attempt, action = await shop.shown()
    chain.pay(usdt, action.text, 4 * DOLLAR)
    await shop.finalize()
    view = await shop.deposit(attempt)
    chain.pay(usdt, action.text, 6 * DOLLAR, chain.accounts[0])
    early = await shop.captures(attempt)
    await shop.finalize()

    assert ("4.00", "6.00", True) == (view.arrived, view.rest, view.is_short)
    assert [] == early
    assert [(1000, "fits")] == await shop.captures(attempt)


async def test_too_little_for_too_long_goes_to_the_desk(shop, chain, usdt):
    """When the attempt is over, the part that came is money that is not what was asked."""
    attempt, action = await shop.shown()
    chain.pay(usdt, action.text, 4 * DOLLAR)
    await shop.finalize()
    early = await shop.captures(attempt)
    shop.clock.advance(15 * 60 + 121)
    await shop.watch()

    assert [] == early
    assert [(400, "amount_differs")] == await shop.captures(attempt)


async def test_too_much_pays_and_the_rest_goes_to_the_desk(shop, chain, usdt):
    """The price is paid, and what is over is money of its own that waits for a person."""
    attempt, action = await shop.shown()
    chain.pay(usdt, action.text, 12 * DOLLAR + 5)
    await shop.finalize()

    assert [(200, "amount_differs"), (1000, "fits")] == sorted(await shop.captures(attempt))


async def test_late_money_is_still_found(shop, chain, usdt):
    """X11: paid after the attempt was over, the money is recorded all the same."""
    attempt, action = await shop.shown()
    shop.clock.advance(3 * 86_400)
    chain.pay(usdt, action.text, 10 * DOLLAR)
    await shop.finalize()

    assert [(1000, "fits")] == await shop.captures(attempt)


async def test_a_second_payment_is_money_of_its_own(shop, chain, usdt):
    """X9: paid twice, both payments are recorded, each under its own number."""
    attempt, action = await shop.shown()
    chain.pay_twice(usdt, action.text, 10 * DOLLAR)
    await shop.finalize()
    (found,) = await shop.payments.read_captures([attempt.order])

    assert [1000, 1000] == [each.amount_minor for each in found]
    assert 2 == len({each.provider_number for each in found})


async def test_dust_makes_no_money(shop, chain, usdt):
    """What is worth less than a cent is noted and counts for nothing."""
    attempt, action = await shop.shown()
    chain.pay(usdt, action.text, 10 * DOLLAR)
    await shop.finalize()
    chain.pay(usdt, action.text, 9_999)
    await shop.finalize()

    assert [(1000, "fits")] == await shop.captures(attempt)


async def test_a_token_that_only_calls_itself_so_is_not_money(shop, chain):
    """X7: another contract with the same name and places pays for nothing."""
    fake = chain.deploy("USDT", 6)
    attempt, action = await shop.shown()
    chain.pay(fake, action.text, 10 * DOLLAR)
    await shop.finalize()

    assert [] == await shop.captures(attempt)
    assert [] == (await shop.deposit(attempt)).arrivals


async def test_places_are_those_of_the_contract(make_shop, chain, usdt, usdc):
    """A token with eighteen places is asked for and read in its own units."""
    shop = await make_shop(tokens=f"USDT {checked(usdt)} 6\nUSDC {checked(usdc)} 18")
    attempt, action = await shop.shown(1234, "usdc_anvil")
    chain.pay(usdc, action.text, 1234 * 10**16)
    await shop.finalize()

    assert "12.34" == action.fields["amount"]
    assert [(1234, "fits")] == await shop.captures(attempt)


async def test_another_token_of_the_list_counts_one_for_one(make_shop, chain, usdt, usdc):
    """A buyer who sends USDC where USDT was asked has paid: both are dollars to this account."""
    shop = await make_shop(tokens=f"USDT {checked(usdt)} 6\nUSDC {checked(usdc)} 18")
    attempt, action = await shop.shown()
    chain.pay(usdc, action.text, 10 * 10**18)
    await shop.finalize()

    assert [(1000, "fits")] == await shop.captures(attempt)


async def test_coins_pay_at_the_price_that_was_shown(make_shop, chain):
    """Coins are asked for at the account's price, rounded up, and found without a log."""
    shop = await make_shop(native_rate="3000", native_symbol="ETH")
    attempt, action = await shop.shown(1000, "eth_anvil")
    chain.pay_coins(action.text, 3_334 * 10**12)
    await shop.finalize()

    assert "0.003334" == action.fields["amount"]
    assert [(1000, "fits")] == await shop.captures(attempt)


async def test_finality_is_what_the_chain_says(make_shop, chain, usdt):
    """Without a number of blocks, the chain's own `finalized` decides."""
    chain.mine(64)  # Younger chains have only their first block final.
    shop = await make_shop(finality="finalized")
    attempt, action = await shop.shown()
    chain.pay(usdt, action.text, 10 * DOLLAR)
    await shop.finalize()
    early = await shop.captures(attempt)
    final = int(chain.ask("eth_getBlockByNumber", "finalized", False)["number"], 16)
    chain.mine(chain.height - final + 1)
    await shop.watch()

    assert [] == early
    assert [(1000, "fits")] == await shop.captures(attempt)


async def test_ten_thousand_blocks_behind_are_caught_up(shop, chain, usdt):
    """After a long sleep every block is read, and money in the middle is found once."""
    attempt, action = await shop.shown()
    chain.mine(5_000)
    chain.pay(usdt, action.text, 10 * DOLLAR)
    chain.mine(5_000)
    await shop.watch()

    assert [(1000, "fits")] == await shop.captures(attempt)


async def test_money_on_its_way_keeps_its_order_open(shop, chain, usdt):
    """An order is not closed while its money is in a block that is not final yet."""
    attempt, action = await shop.shown()
    chain.pay(usdt, action.text, 10 * DOLLAR)
    await shop.watch()
    shop.clock.advance(16 * 60)
    await shop.watch()

    assert ["unknown"] == await shop.payments.close_attempts([attempt.order])
    await shop.finalize()
    assert ["captured"] == await shop.payments.close_attempts([attempt.order])


async def test_an_order_without_money_is_closed(shop):
    """Nothing has come: the attempt is closed, first as one that may still be paid."""
    attempt, _ = await shop.shown()
    await shop.watch()

    assert ["closed"] == await shop.payments.close_attempts([attempt.order])


async def test_each_attempt_has_an_address_of_its_own(shop):
    """No two attempts share an address, and one that is shown again keeps its own."""
    first, shown = await shop.shown()
    _, other = await shop.shown(order=first.order, number=2)
    (again,) = await shop.payments.present_attempts([PresentRequest(first.id)])

    assert shown.text != other.text
    assert shown == again


async def test_an_account_of_another_chain_is_not_watched(service, chain, clock, usdt):
    """A node of another chain, or a token with other places, is refused before any address."""
    for wrong in (
        {"chain_id": "137"},
        {"tokens": f"USDT {checked(usdt)} 18"},
        {"tokens": f"USDT {checked(chain.accounts[3])} 6"},
    ):
        shop = EvmShop(service, chain, clock, usdt)
        given = settings_of(chain, usdt, **wrong)
        id = new_id(clock.now())
        account = ChannelAccount(id, f"evm-{id.hex[-8:]}", "evm", "Crypto", ["USD"], given)
        assert ["created"] == await service.put_channels([account])
        await shop.watch()
        order = new_id(clock.now(), 7)
        attempt = Attempt(
            derive(order, "attempt:1"), order, 1, MERCHANT, "usdt_anvil", 1000, "USD", "x",
            clock.now() + timedelta(minutes=15), channel=id,
        )  # fmt: skip
        assert ["opened"] == await service.open_attempts([attempt])
        (action,) = await service.present_attempts([PresentRequest(attempt.id)])
        (probe,) = await service.probe_channels([id])

        assert ("none", "provider_away") == (action.kind.value, action.problem)
        assert "unclear" == probe.status


async def test_a_refund_is_signed_offline_and_seen_on_the_chain(shop, chain, usdt):
    """The plan names the sender; signed by an independent wallet, it settles the refund."""
    attempt, action = await shop.shown()
    payer = chain.accounts[4]
    chain.pay(usdt, payer, 10 * DOLLAR)
    chain.pay(usdt, shop.channel.settings["treasury"], 50 * DOLLAR)
    chain.pay(usdt, action.text, 10 * DOLLAR, payer)
    await shop.finalize()
    ((capture,),) = await shop.payments.read_captures([attempt.order])
    refund = Refund(derive(capture.id, "refund"), capture.id, 400)
    asked = await shop.payments.request_refunds([refund])
    request = PlanRequest(shop.channel.id, PlanKind.REFUNDS)
    (plan,) = await shop.payments.plan_transactions([request])
    (again,) = await shop.payments.plan_transactions([request])
    (transaction,) = plan.transactions
    (raw,) = await asyncio.to_thread(
        peer,
        do="sign",
        mnemonic=MNEMONIC,
        treasury_path=TREASURY_PATH,
        transactions=[plain(transaction)],
    )
    signed = SignedTransaction(shop.channel.id, raw)
    (sent,) = await shop.payments.publish_transactions([signed])
    await shop.watch()
    (waiting,) = await shop.payments.plan_transactions([request])
    await shop.service.ask_refunds()
    early = await shop.payments.request_refunds([refund])
    await shop.finalize()
    await shop.service.ask_refunds()

    assert ["pending"] == asked
    assert plan == again
    assert [checked(payer), 4 * DOLLAR] == await asyncio.to_thread(
        peer, do="read_call", data=transaction.data
    )
    assert to_serial(refund.id) == transaction.subject
    assert "taken" == sent.status
    assert [] == waiting.transactions
    assert ["pending"] == early
    assert ["succeeded"] == await shop.payments.request_refunds([refund])
    assert 4 * DOLLAR == chain.balance(usdt, payer)


async def test_a_refund_that_is_signed_twice_pays_once(shop, chain, usdt):
    """Planned again before it was sent, a refund keeps its nonce: the chain takes one of both."""
    attempt, action = await shop.shown()
    payer = chain.accounts[5]
    chain.pay(usdt, payer, 10 * DOLLAR)
    chain.pay(usdt, shop.channel.settings["treasury"], 50 * DOLLAR)
    chain.pay(usdt, action.text, 10 * DOLLAR, payer)
    await shop.finalize()
    ((capture,),) = await shop.payments.read_captures([attempt.order])
    refund = Refund(derive(capture.id, "refund"), capture.id, 1000)
    await shop.payments.request_refunds([refund])
    request = PlanRequest(shop.channel.id, PlanKind.REFUNDS)
    raws = []
    for _ in range(2):
        (plan,) = await shop.payments.plan_transactions([request])
        raws += await asyncio.to_thread(
            peer,
            do="sign",
            mnemonic=MNEMONIC,
            treasury_path=TREASURY_PATH,
            transactions=[plain(each) for each in plan.transactions],
        )
        shop.chain.mine(1)
        await shop.watch()
    signed = [SignedTransaction(shop.channel.id, raw) for raw in raws]
    sent = await shop.payments.publish_transactions(signed)
    shop.chain.mine(1)

    assert 2 == len(raws)
    assert 1 == [each.status for each in sent].count("taken")
    assert 10 * DOLLAR == chain.balance(usdt, payer)


async def test_money_is_swept_by_a_plan(make_shop, chain, usdt):
    """Addresses are emptied into the treasury by a plan that brings the fees first."""
    row = next(_rows)
    shop = await make_shop(xpub=xpub_of(row))
    treasury = shop.channel.settings["treasury"]
    places = []
    for dollars in (10, 7):
        _, action = await shop.shown(dollars * 100)
        chain.pay(usdt, action.text, dollars * DOLLAR)
        places.append(action.text)
    await shop.finalize()
    before = chain.balance(usdt, treasury)
    held = sum(chain.balance(usdt, place) for place in places)
    (plan,) = await shop.payments.plan_transactions([PlanRequest(shop.channel.id, PlanKind.SWEEP)])
    signing = [plain(each) for each in plan.transactions]
    for each in signing:  # The account of the words that this test has the key of.
        each["path"] = each["path"].replace("m/44'/60'/0'", f"m/44'/60'/{row}'")
    raws = await asyncio.to_thread(
        peer, do="sign", mnemonic=MNEMONIC, treasury_path=TREASURY_PATH, transactions=signing
    )
    signed = [SignedTransaction(shop.channel.id, raw) for raw in raws]
    sent = await shop.payments.publish_transactions(signed[:2])
    chain.mine()  # A node takes a sweep once what pays for it is in a block.
    sent += await shop.payments.publish_transactions(signed[2:])

    assert ["fund", "fund", "sweep", "sweep"] == [each.purpose for each in plan.transactions]
    assert {"taken"} == {each.status.value for each in sent}
    for _ in range(20):  # What the node has taken may still wait for its block.
        chain.mine()
        if not int(chain.ask("txpool_status")["pending"], 16):
            break
    assert [0, 0] == [chain.balance(usdt, place) for place in places]
    assert before + held == chain.balance(usdt, treasury)


async def test_a_callback_of_a_chain_is_refused(shop):
    """X7: a chain calls nobody: whoever calls is told that nothing is here."""
    attempt, _ = await shop.shown()
    body = number_of(attempt).encode()
    (answer,) = await shop.payments.take_callbacks(
        [Callback(shop.channel.id, "POST", {}, "", body)]
    )

    assert 404 == answer.status_code
    assert [] == await shop.captures(attempt)


async def test_captured_money_is_told_of_once(shop, chain, usdt):
    """Those who deliver hear of the money by one event, however often the chain is read."""
    attempt, action = await shop.shown()
    chain.pay(usdt, action.text, 10 * DOLLAR)
    await shop.finalize()
    await shop.finalize()
    told = [each for each in await Shop.events(shop) if isinstance(each, PaymentCaptured)]

    assert [attempt.order] == [each.capture.order for each in told]


async def test_what_the_treasury_sends_pays_nobodys_order(make_shop, chain, usdt):
    """Coins for a sweep's fees, and tokens of the shop's own, are no payment of a buyer's."""
    shop = await make_shop(native_rate="3000", native_symbol="ETH")
    treasury = shop.channel.settings["treasury"]
    coins, shown_coins = await shop.shown(1000, "eth_anvil")
    tokens, shown_tokens = await shop.shown()
    chain.pay(usdt, treasury, 10 * DOLLAR)
    chain.pay_coins(shown_coins.text, 3_334 * 10**12, treasury)
    chain.pay(usdt, shown_tokens.text, 10 * DOLLAR, treasury)
    await shop.finalize()

    assert [] == await shop.captures(coins)
    assert [] == await shop.captures(tokens)
    assert [] == (await shop.deposit(coins)).arrivals


@pytest.mark.parametrize("rate", ["", "3000"])
async def test_what_is_worth_less_than_its_fee_is_not_swept(make_shop, chain, usdt, rate):
    """An address with less than a cent is left alone, with or without a price of the coin."""
    shop = await make_shop(native_rate=rate)
    _, action = await shop.shown()
    chain.pay(usdt, action.text, 9_999)
    await shop.finalize()

    assert [] == await shop.plan(PlanKind.SWEEP)


async def test_a_token_taken_off_the_list_pays_for_nothing(make_shop, chain, usdt, usdc):
    """What came in it and was not counted stays open, and the log says so once."""
    both = f"USDT {checked(usdt)} 6\nUSDC {checked(usdc)} 18"
    shop = await make_shop(tokens=both)
    attempt, action = await shop.shown()
    other, shown = await shop.shown()
    chain.pay(usdc, action.text, 10**15)
    chain.pay(usdt, shown.text, 10 * DOLLAR)
    await shop.watch()
    await shop.change(tokens=f"USDT {checked(usdt)} 6")
    with capture_logs() as told:
        await shop.finalize()
        await shop.finalize()
    early = await shop.captures(attempt)
    await shop.change(tokens=both)
    chain.pay(usdt, action.text, 10 * DOLLAR)
    await shop.finalize()

    assert [] == early
    assert [(1000, "fits")] == await shop.captures(other)
    assert [usdc.lower()] == [
        each["asset"].lower() for each in told if each["event"] == "chain.no_rate"
    ]
    assert [(1000, "fits")] == await shop.captures(attempt)


async def open_unpriced(make_shop, chain, usdt, usdc):
    """Let five of a token come that is taken off the list before it counts; give all of it."""
    both = f"USDT {checked(usdt)} 6\nUSDC {checked(usdc)} 18"
    shop = await make_shop(tokens=both)
    attempt, action = await shop.shown()
    chain.pay(usdc, action.text, 5 * 10**18)
    await shop.watch()
    await shop.change(tokens=f"USDT {checked(usdt)} 6")
    return shop, attempt, action


async def price(shop, found, amount_minor=500, refund_to="", **changes) -> str:
    """Say what the money is worth, as an operator does."""
    verdict = UnpricedVerdict(
        found.channel, found.number, amount_minor, refund_to, "ann@rail.example", "As of today"
    )
    [status] = await shop.payments.price_arrivals([replace(verdict, **changes)])
    return status.value


async def test_money_of_unknown_worth_counts_as_what_a_person_says(make_shop, chain, usdt, usdc):
    """It is shown with its sender, counted once at the worth that was said, and never the price."""
    shop, attempt, action = await open_unpriced(make_shop, chain, usdt, usdc)
    [[early]] = await shop.payments.list_unpriced([UnpricedQuery(shop.channel.id)])
    too_early = await price(shop, early)
    await shop.finalize()
    [[found]] = await shop.payments.list_unpriced([UnpricedQuery(shop.channel.id)])
    refused = [
        await price(shop, found, 0),
        await price(shop, found, refund_to="0x12"),
        await price(shop, found, refund_to=shop.channel.settings["treasury"].lower()),
        await price(shop, found, number="0xabc:1"),
        await price(shop, found, channel=new_id(shop.clock.now())),
    ]
    tried = await price(shop, found, 1000, is_trial=True)
    untouched = await shop.captures(attempt)
    told = [await price(shop, found, minor) for minor in (1000, 1000, 500)]
    after = await shop.payments.list_unpriced([UnpricedQuery(shop.channel.id)])
    await shop.change(tokens=f"USDT {checked(usdt)} 6\nUSDC {checked(usdc)} 18")
    await shop.finalize()
    [waiting] = await shop.payments.list_unmatched([UnmatchedQuery(shop.channel.id)])

    assert "not_final" == too_early
    assert (False, True) == (early.is_final, found.is_final)
    assert (str(5 * 10**18), "", usdc.lower()) == (found.units, found.symbol, found.asset.lower())
    assert (attempt.order, 1000, "USD") == (found.order, found.asked_minor, found.currency)
    assert (chain.accounts[0].lower(), action.text.lower()) == (
        found.source.lower(),
        found.target.lower(),
    )
    malformed = "address_malformed"
    assert ["amount_out_of_range", malformed, malformed, "not_found", "not_found"] == refused
    assert "counted" == tried
    assert [] == untouched
    assert ["counted", "exists", "exists_different"] == told
    assert [[]] == after
    assert [(1000, "amount_differs")] == await shop.captures(attempt)
    assert [found.number] == [each.provider_number for each in waiting]


async def test_a_rate_that_is_known_again_needs_nobody(make_shop, chain, usdt, usdc):
    """Put back on the list, the money counts by itself, and a person's word is refused."""
    shop, attempt, action = await open_unpriced(make_shop, chain, usdt, usdc)
    await shop.finalize()
    [[found]] = await shop.payments.list_unpriced([UnpricedQuery(number="")])
    await shop.change(tokens=f"USDT {checked(usdt)} 6\nUSDC {checked(usdc)} 18")
    status = await price(shop, found)
    chain.pay(usdt, action.text, 5 * DOLLAR)
    await shop.finalize()

    assert "rate_known" == status
    assert [(1000, "fits")] == await shop.captures(attempt)


@pytest.mark.parametrize("is_elsewhere", [True, False])
async def test_money_of_unknown_worth_goes_back(make_shop, chain, usdt, usdc, is_elsewhere):
    """In what the order asked for, by the worth that was said, to the address or to the sender."""
    shop, attempt, _ = await open_unpriced(make_shop, chain, usdt, usdc)
    await shop.finalize()
    [[found]] = await shop.payments.list_unpriced([UnpricedQuery(shop.channel.id)])
    refund_to = chain.accounts[7].lower() if is_elsewhere else ""
    assert "counted" == await price(shop, found, 450, refund_to)
    [[capture]] = await shop.payments.list_unmatched([UnmatchedQuery(shop.channel.id)])
    verdict = UnmatchedVerdict(capture.id, None, "ann@rail.example", "Nobody's")
    settled = await shop.payments.settle_unmatched([verdict])
    refund = await shop.refund(attempt)
    target = chain.accounts[7] if is_elsewhere else chain.accounts[0]
    chain.pay(usdt, shop.channel.settings["treasury"], 10 * DOLLAR)
    before = chain.balance(usdt, target)
    [planned] = await shop.plan()
    [raw] = await asyncio.to_thread(
        peer,
        do="sign",
        mnemonic=MNEMONIC,
        treasury_path=TREASURY_PATH,
        transactions=[plain(planned)],
    )
    await shop.payments.publish_transactions([SignedTransaction(shop.channel.id, raw)])
    await shop.finalize()
    await shop.service.ask_refunds()

    assert ["settled"] == settled
    assert (to_serial(refund.id), usdt.lower()) == (planned.subject, planned.to.lower())
    assert ["succeeded"] == await shop.payments.request_refunds([refund])
    assert 4_500_000 == chain.balance(usdt, target) - before


async def test_no_address_is_given_for_what_is_not_taken(make_shop, usdt, usdc):
    """A method whose token is off the list shows no address, also not one for coins."""
    shop = await make_shop(tokens=f"USDT {checked(usdt)} 6\nUSDC {checked(usdc)} 18")
    order = new_id(shop.clock.now(), 7)
    attempt = Attempt(
        derive(order, "attempt:1"), order, 1, MERCHANT, "usdc_anvil", 1000, "USD", "x",
        shop.clock.now() + timedelta(minutes=15),
    )  # fmt: skip
    assert ["opened"] == await shop.payments.open_attempts([attempt])
    await shop.change(tokens=f"USDT {checked(usdt)} 6")
    (action,) = await shop.payments.present_attempts([PresentRequest(attempt.id)])

    assert ("none", "provider_away") == (action.kind.value, action.problem)


async def test_an_answer_that_is_too_large_is_asked_for_in_parts(make_shop, chain, usdt):
    """However much stands in the blocks, they are read: logs by fewer blocks, blocks one by one."""
    node = proxy.Proxy(chain.url)
    try:
        shop = await make_shop(url=node.url, native_rate="3000", native_symbol="ETH")
        attempt, action = await shop.shown()
        coins, shown = await shop.shown(1000, "eth_anvil")
        for _ in range(10):
            chain.pay(usdt, action.text, DOLLAR)
        chain.pay_coins(shown.text, 3_334 * 10**12)
        node.bytes_max = 4_000
        await shop.finalize()
    finally:
        node.close()

    assert [(1000, "fits")] == await shop.captures(attempt)
    assert [(1000, "fits")] == await shop.captures(coins)


async def test_a_block_full_of_nothing_does_not_stop_the_chain(shop, chain, usdt):
    """Thousands of transfers of nothing to an order's address are read, and left out."""
    attempt, action = await shop.shown()
    data = f"0x854dd2e2{action.text[2:].lower().rjust(64, '0')}{0:064x}"
    chain.ask("evm_setAutomine", False)
    try:
        for _ in range(900):
            sent = {"from": chain.accounts[0], "to": usdt, "data": data, "gas": hex(100_000)}
            chain.ask("eth_sendTransaction", sent)
        while int(chain.ask("txpool_status")["pending"], 16):
            chain.mine()
    finally:
        chain.ask("evm_setAutomine", True)
    chain.pay(usdt, action.text, 10 * DOLLAR)
    await shop.finalize()

    assert [(1000, "fits")] == await shop.captures(attempt)
    assert 1 == len((await shop.deposit(attempt)).arrivals)


async def test_a_refund_in_a_token_off_the_list_is_not_planned(make_shop, chain, usdt, usdc):
    """Nobody would see it leave, so it would be paid again: it waits until the list names it."""
    both = f"USDT {checked(usdt)} 6\nUSDC {checked(usdc)} 18"
    shop = await make_shop(tokens=both)
    attempt, action = await shop.shown(1000, "usdc_anvil")
    chain.pay(usdc, action.text, 10 * 10**18)
    await shop.finalize()
    await shop.refund(attempt)
    first = await shop.plan()
    await shop.change(tokens=f"USDT {checked(usdt)} 6")
    without = await shop.plan()
    await shop.change(tokens=both)

    assert 1 == len(first)
    assert [] == without
    assert [each.nonce for each in first] == [each.nonce for each in await shop.plan()]


async def test_a_refund_of_another_treasury_is_not_planned_again(make_shop, chain, usdt):
    """Planned from one treasury, it may be paid from there: no other is asked to pay it."""
    shop = await make_shop()
    old = shop.channel.settings["treasury"]
    attempt, action = await shop.shown()
    chain.pay(usdt, action.text, 10 * DOLLAR)
    await shop.finalize()
    await shop.refund(attempt)
    (first,) = await shop.plan()
    await shop.change(treasury=checked(chain.accounts[8]))
    other = await shop.plan()
    await shop.change(treasury=old)

    assert old == first.source
    assert [] == other
    assert [first.nonce] == [each.nonce for each in await shop.plan()]


async def test_money_paid_in_time_is_found_after_a_long_outage(shop, chain, usdt):
    """Blocks that are read weeks later are searched for what was watched when they were made."""
    attempt, action = await shop.shown()
    chain.pay(usdt, action.text, 10 * DOLLAR)
    chain.mine(3)
    shop.clock.advance(21 * 86_400)
    await shop.watch()

    assert [(1000, "fits")] == await shop.captures(attempt)


async def _problem(shop: EvmShop) -> str:
    """Ask for an address; give why there is none."""
    order = new_id(shop.clock.now(), 7)
    attempt = Attempt(
        derive(order, "attempt:1"), order, 1, MERCHANT, "usdt_anvil", 1000, "USD", "x",
        shop.clock.now() + timedelta(minutes=15),
    )  # fmt: skip
    assert ["opened"] == await shop.payments.open_attempts([attempt])
    (action,) = await shop.payments.present_attempts([PresentRequest(attempt.id)])
    return action.problem


async def test_no_address_is_shown_of_a_chain_that_nobody_has_looked_at(make_shop, chain):
    """Settings that are not true, or a node that is gone: no address, until it is well again."""
    node = proxy.Proxy(chain.url)
    try:
        shop = await make_shop(url=node.url)
        right_id = shop.channel.settings["chain_id"]
        right = await _problem(shop)
        await shop.change(chain_id="137")
        wrong = await _problem(shop)
        await shop.change(chain_id=right_id)
        shop.clock.advance(600)
        node.order(proxy.AWAY, 0)
        gone = await _problem(shop)
        node.calm()
        back = await _problem(shop)
    finally:
        node.close()

    assert ["", "provider_away", "provider_away", ""] == [right, wrong, gone, back]


async def test_a_refund_goes_to_who_paid_most_by_worth(make_shop, chain, usdt, usdc):
    """Dust with many places is many units and worth nothing: its sender gets no refund."""
    shop = await make_shop(tokens=f"USDT {checked(usdt)} 6\nUSDC {checked(usdc)} 18")
    attempt, action = await shop.shown()
    payer, other = chain.accounts[4], chain.accounts[5]
    chain.pay(usdt, payer, 10 * DOLLAR)
    chain.pay(usdc, other, 10**11)
    chain.pay(usdc, action.text, 10**11, other)
    chain.pay(usdt, action.text, 10 * DOLLAR, payer)
    await shop.finalize()
    await shop.refund(attempt)
    (planned,) = await shop.plan()

    assert checked(usdt) == planned.to
    assert payer[2:].lower() in planned.data


async def test_coins_for_a_token_count_at_their_price(make_shop, chain):
    """Sent where a token was asked, coins pay by the account's price, and go back as coins."""
    shop = await make_shop(native_rate="2500", native_symbol="ETH")
    attempt, action = await shop.shown()
    payer = chain.accounts[6]
    chain.pay_coins(action.text, 4 * 10**15, payer)
    await shop.finalize()
    refund = await shop.refund(attempt)
    (planned,) = await shop.plan()
    await shop.change(native_rate="1000")
    (again,) = await shop.plan()
    (raw,) = await asyncio.to_thread(
        peer, do="sign", mnemonic=MNEMONIC, treasury_path=TREASURY_PATH, transactions=[plain(again)]
    )
    await shop.payments.publish_transactions([SignedTransaction(shop.channel.id, raw)])
    await shop.finalize()
    await shop.service.ask_refunds()

    assert [(1000, "fits")] == await shop.captures(attempt)
    assert (checked(payer), str(4 * 10**15)) == (planned.to, planned.value)
    assert planned.value == again.value
    assert ["succeeded"] == await shop.payments.request_refunds([refund])


async def test_coins_that_come_late_are_not_the_price(make_shop, chain):
    """The rate that was shown holds for the order's time: later it would be the buyer's choice."""
    shop = await make_shop(native_rate="2500", native_symbol="ETH")
    shop.clock.advance(-3_600)
    attempt, action = await shop.shown(1000, "eth_anvil")
    shop.clock.advance(3_600)
    chain.pay_coins(action.text, 4 * 10**15)
    await shop.finalize()

    assert [(1000, "amount_differs")] == await shop.captures(attempt)
    assert not (await shop.deposit(attempt)).is_paid
    assert ["closed"] == await shop.payments.close_attempts([attempt.order])
