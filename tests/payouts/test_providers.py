"""From a merchant's wish to its end through every provider that pays out beside Alipay."""

import asyncio

import pytest
from tests.payments.benches import WechatBench
from tests.payments.conftest import (  # noqa: F401  # Fixtures.
    MovableClock,
    alipay_home,
    alipay_server,
    wechat,
)
from tests.payments.stripe_bench import StripeBench
from tests.payments.test_epay2 import Epay2Bench, platform  # noqa: F401  # A fixture.
from tests.payments.test_stripe import stripe  # noqa: F401  # A fixture.

from vendrail.api.ledger import Chart, Ledger, Transfer, TransferCode
from vendrail.api.payments import ChannelAccount, ChannelId, Payments
from vendrail.api.payouts import (
    NewPayee,
    NewPayout,
    PayeeId,
    PayeeProof,
    PayeeTest,
    PayoutId,
    Payouts,
    PayoutView,
    ReserveChange,
    ReserveSource,
)
from vendrail.app.wiring import House
from vendrail.channelkit.bench import Bench, Operation, Trouble
from vendrail.kernel.codec import replace
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.ids import new_id, to_serial
from vendrail.payments.channels.base import (
    Account,
    Payee,
    PayoutAsk,
    PayoutOutcome,
    check_settings,
    registry,
)
from vendrail.payments.channels.line import Switchboard
from vendrail.payments.settings import PaymentsSettings

TOO_MUCH = 150_000_000  # More than the platform has at any of them.


class Shop:
    """A merchant whose money goes out by one provider."""

    def __init__(self, house: House, clock, bench: Bench) -> None:
        self.house, self.clock, self.bench = house, clock, bench
        self.payouts: Payouts = house.api(Payouts)
        self.ledger: Ledger = house.api(Ledger)
        self.chart = Chart(bench.currency)
        self.merchant = new_id(clock.now())
        self.payee = PayeeId(new_id(clock.now()))

    async def who(self) -> Payee:
        """Give who is paid."""
        return await self.bench.payee()

    async def confirm(self, view: PayoutView) -> None:
        """Where nobody has to confirm anything, a payout that is still under way stays so."""

    async def end_badly(self) -> PayoutView:
        """Wish for a payout that ends badly."""
        raise NotImplementedError

    async def open(self) -> None:
        """Let the channel be open, its reserve full, and the merchant's account proven."""
        bench, clock, chart = self.bench, self.clock, self.chart
        channel = ChannelId(new_id(clock.now()))
        settings = await bench.settings()
        account = ChannelAccount(
            channel, bench.kind, bench.kind, bench.kind, [bench.currency], settings
        )
        await self.house.api(Payments).put_channels([account])
        available = chart.merchant(self.merchant, "available")
        opened = [available, chart.merchant(self.merchant, "debt"), chart.provider(bench.kind)]
        await self.ledger.open_accounts([*opened, chart.platform_fee()])
        change = ReserveChange(
            new_id(clock.now()),
            bench.kind,
            bench.currency,
            300_000_000,
            ReserveSource.OWNER,
            "",
            "op",
        )
        assert ["done"] == await self.payouts.change_reserves([change])
        payee = await self.who()
        new = NewPayee(
            self.payee, self.merchant, channel, payee.kind, payee.account, payee.name, "o@a.example"
        )
        assert ["created"] == await self.payouts.add_payees([new])
        test = PayoutId(new_id(clock.now()))
        asked = PayeeTest(test, self.payee, self.merchant, bench.currency)
        assert ["taken"] == await self.payouts.test_payees([asked])
        view = await self.until_told(test)
        proof = PayeeProof(self.payee, self.merchant, await self.paid(test))
        assert ("succeeded", ["verified"]) == (
            view.state,
            await self.payouts.verify_payees([proof]),
        )
        id = new_id(clock.now())
        money = Transfer(id, opened[2].id, available.id, 200_000_000, TransferCode.ADJUSTMENT, id)
        [result] = await self.ledger.post_transfers([money])
        assert result.is_done

    async def wish(self, amount_minor: int) -> PayoutId:
        """Ask for a payout, and let it be told as far as it goes now."""
        id = PayoutId(new_id(self.clock.now()))
        new = NewPayout(
            id, self.merchant, self.payee, amount_minor, self.bench.currency, by="o@a.example"
        )
        assert ["taken"] == await self.payouts.request_payouts([new])
        await self.run()
        return id

    async def run(self, *, is_later: bool = False) -> None:
        """Carry on all that is due, or will be: providers' signatures keep the clock at now."""
        if is_later:
            async with self.house.databases["payouts"].transaction() as tx:
                await tx.execute(
                    "update payouts.payout set due_at = $1 where due_at is not null",
                    self.clock.now(),
                )
        while await self.house.services["payouts"].advance_due():
            pass

    async def read(self, id: PayoutId) -> PayoutView:
        """Read a payout."""
        [view] = await self.payouts.read_payouts([id])
        return view

    async def until_told(self, id: PayoutId) -> PayoutView:
        """Carry on until it has ended; whoever must confirm it does so after it was asked about."""
        await self.run()
        await self.run(is_later=True)
        if (view := await self.read(id)).state == "sent":
            await self.confirm(view)
            await self.run(is_later=True)
        return await self.read(id)

    async def paid(self, id: PayoutId) -> int:
        """Give what the provider has paid out, or was asked to, under a number."""
        return await self.bench.paid_out_minor(to_serial(id))

    async def stand(self) -> tuple[int, int, int]:
        """Give what the merchant and the reserve have, and what is under way."""
        found = await self.ledger.read_balances(
            [
                self.chart.merchant(self.merchant, "available").id,
                self.chart.payout_reserve(self.bench.kind).id,
                self.chart.payout_in_transit(self.bench.kind).id,
            ]
        )
        mine, reserve, transit = found
        assert (0, 0) == (mine.debits_pending, reserve.credits_pending)
        return mine.credit_minor, -reserve.credit_minor, transit.credit_minor


class AtWechat(Shop):
    """Its payee confirms each payout with the package that the merchant's page shows."""

    bench: WechatBench

    async def who(self) -> Payee:
        """Give an openid that is as long as they are."""
        known = await self.bench.payee()
        return replace(known, account=f"{known.account}-0123456789abcdef")

    async def confirm(self, view: PayoutView) -> None:
        """Confirm inside WeChat."""
        told = {
            "mchid": self.bench.mchid,
            "out_bill_no": to_serial(view.id),
            "package_info": view.confirm_package,
        }
        await asyncio.to_thread(self.bench.wechat.post, "confirm-transfer", told)

    async def end_badly(self) -> PayoutView:
        """Nobody confirms: it is cancelled there, and the books follow what a query says."""
        id = await self.wish(6_000)
        channel = registry()["wechat"]
        lines = Switchboard(self.clock, PaymentsSettings(), lambda: None)
        settings = check_settings(channel, await self.bench.settings())
        account = Account(id, "wechat", settings, lines.line(id))
        ask = PayoutAsk(to_serial(id), await self.who(), 6_000, "CNY", "")
        told = await channel.cancel_payout(ask, account, self.clock.now())
        await lines.close()
        assert PayoutOutcome.PENDING is told.outcome
        await self.run(is_later=True)
        return await self.read(id)


class AtEpay2(Shop):
    """It says that a payout was made, and later that it was not."""

    bench: Epay2Bench

    async def end_badly(self) -> PayoutView:
        """It comes back after it had succeeded."""
        view = await self.until_told(await self.wish(6_000))
        assert "succeeded" == view.state
        body = {"pid": self.bench.pid, "out_biz_no": to_serial(view.id), "status": 2}
        await asyncio.to_thread(self.bench.platform.post, "transfers", body)
        await self.run(is_later=True)
        return await self.read(view.id)


class AtStripe(Shop):
    """A transfer is there at once, and may be reversed."""

    bench: StripeBench

    async def end_badly(self) -> PayoutView:
        """It comes back after it had succeeded."""
        view = await self.until_told(await self.wish(6_000))
        assert "succeeded" == view.state
        path = f"transfers/{view.provider_number}/reverse"
        await asyncio.to_thread(self.bench.stripe.post, path, {})
        await self.run(is_later=True)
        return await self.read(view.id)


@pytest.fixture
def clock() -> MovableClock:
    """The machine's clock, which the sandbox goes by too."""
    return MovableClock()


@pytest.fixture
async def make_shop(platform_url, clock, vault, tmp_path):
    """Open shops over a fresh platform on which no person has to look at large payouts."""
    settings = PlatformSettings(home=tmp_path, database_url=platform_url)
    house = House(settings, {"VENDRAIL_PAYOUTS_REVIEW_ABOVE_MINOR": "0"}, clock, vault)

    async def make(kind: type[Shop], bench: Bench) -> Shop:
        shop = kind(house, clock, bench)
        await shop.open()
        return shop

    yield make
    await house.stop()


async def go_through(shop: Shop, worst: str) -> None:
    """Wish once with a lost answer, once for too much, and once for what does not stay there."""
    before = await shop.stand()
    await shop.bench.trouble(Trouble.LOST, Operation.PAYOUT)
    wished = await shop.wish(6_000)
    unknown = await shop.read(wished)
    view = await shop.until_told(wished)
    assert ("sent", "succeeded", 6_000) == (unknown.state, view.state, await shop.paid(wished))
    assert (before[0] - 6_000, before[1] - 6_000, 0) == await shop.stand()
    stood = await shop.stand()
    refused = await shop.until_told(await shop.wish(TOO_MUCH))
    assert ("failed", 0) == (refused.state, await shop.paid(refused.id))
    assert refused.problem
    assert stood == await shop.stand()
    ended = await shop.end_badly()
    assert worst == ended.state
    assert stood == await shop.stand()


async def test_wishes_end_at_wechat(make_shop, wechat):  # noqa: F811
    """A lost answer is asked again until its payee can confirm; a no and a cancelling give back."""
    await go_through(await make_shop(AtWechat, WechatBench(wechat)), "failed")


async def test_wishes_end_at_epay_v2(make_shop, platform):  # noqa: F811
    """A lost answer pays once; a no gives everything back, and so does what comes back later."""
    await go_through(await make_shop(AtEpay2, Epay2Bench(platform)), "returned")


async def test_wishes_end_at_stripe(make_shop, stripe):  # noqa: F811
    """A lost answer pays once; a no gives everything back, and so does a reversal."""
    await go_through(await make_shop(AtStripe, StripeBench(stripe)), "returned")
