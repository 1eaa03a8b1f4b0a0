"""Payouts in both consoles: an account is proven, money goes out, and large sums wait for two."""

import html
import re
from datetime import UTC, date, datetime, timedelta

import pytest
from tests.payments.conftest import alipay, alipay_home, alipay_server, cert_app  # noqa: F401
from tests.payouts.conftest import World as Money
from tests.web.console import conftest as consoles

from vendrail.api.identity import Role
from vendrail.api.payouts import (
    PayoutOrigin,
    PayoutQuery,
    PayoutState,
    PayoutTerms,
    RemittanceQuery,
    ScheduleKind,
)
from vendrail.api.settlement import DepositTerms, Settlement
from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.ids import to_serial

PATH = "/merchant/payouts"


class Place:
    """The consoles, and the merchant's money behind them."""

    def __init__(self, world, money: Money) -> None:
        self.world = world
        self.money = money

    async def payouts(self, *states: PayoutState):
        """Read the merchant's payouts."""
        [found] = await self.money.payouts.list_payouts(
            [PayoutQuery(self.money.merchant, list(states))]
        )
        return found

    def nonce(self, browser) -> str:
        """Give what makes a form of the page one act."""
        return re.search(r'name="nonce" value="([^"]+)"', browser.page.text)[1]


@pytest.fixture
async def place(platform_url, clock, vault, tmp_path, alipay, cert_app):  # noqa: F811
    """The platform with its consoles, a channel that pays out, and a merchant."""
    platform = PlatformSettings(home=tmp_path, database_url=platform_url, public_url=consoles.SITE)

    def open_house() -> House:
        return House(platform, consoles.QUICK, clock, vault)

    world = consoles.World(open_house, tmp_path)
    money = Money(world.house, clock, alipay, cert_app)
    money.merchant = world.merchant
    await money.open()
    await money.top_up(80_000)
    yield Place(world, money)
    await world.close()


async def prove(place: Place, browser) -> None:
    """Add an account and prove it, by the pages alone; then the merchant earns."""
    await browser.go(PATH)
    way = f"{to_serial(place.money.channel.id)}|logon_id"
    fields = {"nonce": place.nonce(browser), "way": way, "account": "seller@example.com"}
    await browser.send(f"{PATH}/accounts", **fields)
    assert "Enter the name" in browser.text
    assert 'value="seller@example.com"' in browser.page.text  # What was typed is not lost.
    await browser.send(f"{PATH}/accounts", **fields, name="张三")
    assert "se***@example.com" in browser.text
    payee = re.search(r'name="payee" value="([^"]+)"', browser.page.text)[1]
    await browser.send(f"{PATH}/tests", nonce=place.nonce(browser), payee=payee)
    await place.money.run()
    [test] = await place.payouts()
    await browser.go(PATH)
    assert "a small amount" in browser.text
    await browser.send(f"{PATH}/proofs", payee=payee, arrived="0.01")
    assert "That is not what was sent." in browser.text
    sent = place.money.paid(test.id)
    await browser.send(f"{PATH}/proofs", payee=payee, arrived=f"0.{sent:02d}")
    assert "The account is proven." in browser.text
    await place.money.earn(100_000)


async def ask(place: Place, browser, amount: str):
    """Ask for a payout by the page."""
    await browser.go(PATH)
    [[payee, *_]] = await place.money.payouts.list_payees([place.money.merchant])
    fields = {"amount": amount, "payee": to_serial(payee.id), "currency": "CNY"}
    return await browser.send(PATH, nonce=place.nonce(browser), **fields)


async def test_a_merchant_proves_an_account_and_is_paid(place: Place) -> None:
    """From nothing to money at the payee, and every step is in the log."""
    browser = await place.world.join("own@a.example", Role.OWNER)
    await prove(place, browser)
    await ask(place, browser, "2000.00")
    assert "balance does not have that much" in browser.text
    assert "At most CN¥1,000.00 can go out now." in browser.text
    assert [] == await place.payouts(PayoutState.REFUSED)
    await ask(place, browser, "200.00")
    assert "on its way" in browser.text
    await place.money.run()

    found = await place.payouts(PayoutState.SUCCEEDED)
    [paid] = [each for each in found if each.origin is PayoutOrigin.MANUAL]
    assert 20_000 == place.money.paid(paid.id)
    await browser.go(f"{PATH}/{to_serial(paid.id)}")
    assert "Paid out" in browser.text
    assert paid.provider_number in browser.text
    acts = await place.world.acts()
    assert {"payee.added", "payee.tested", "payee.proven", "payout.requested"} <= set(acts)


async def test_a_payout_moves_the_balance_once(place: Place) -> None:
    """The balance lists a payout as one movement, though it was set aside before it was sent."""
    browser = await place.world.join("own@a.example", Role.OWNER)
    await prove(place, browser)
    await ask(place, browser, "200.00")
    await browser.go("/merchant/balance")
    assert "CN¥200.00 of it is on its way" in browser.text
    await place.money.run()
    await browser.go("/merchant/balance")

    assert "of it is on its way" not in browser.text
    assert 1 == browser.text.count("-CN¥200.00")
    lines = (await browser.http.get("/merchant/balance.csv?currency=CNY")).text.splitlines()
    assert 1 == sum(",payout," in line for line in lines)


async def test_a_form_for_the_whole_balance_sent_twice_is_asked_for_once(place: Place) -> None:
    """Pressed twice, the second press says what the first did: not that nothing is left."""
    browser = await place.world.join("own@a.example", Role.OWNER)
    await prove(place, browser)
    await browser.go(PATH)
    [[payee, *_]] = await place.money.payouts.list_payees([place.money.merchant])
    fields = {"amount": "1000.00", "payee": to_serial(payee.id), "currency": "CNY"}
    nonce = place.nonce(browser)
    for _ in range(2):
        await browser.send(PATH, nonce=nonce, **fields)
        assert "on its way" in browser.text

    assert 1 == len([e for e in await place.payouts() if e.origin is PayoutOrigin.MANUAL])


async def test_a_form_sent_twice_is_one_payout(place: Place) -> None:
    """The same page sent again asks for nothing more."""
    browser = await place.world.join("own@a.example", Role.OWNER)
    await prove(place, browser)
    await browser.go(PATH)
    [[payee, *_]] = await place.money.payouts.list_payees([place.money.merchant])
    fields = {"amount": "100", "payee": to_serial(payee.id), "currency": "CNY"}
    nonce = place.nonce(browser)
    for _ in range(2):
        await browser.send(PATH, nonce=nonce, **fields)

    assert 1 == len(await place.payouts(PayoutState.READY))


async def test_who_may_only_sell_asks_for_nothing(place: Place) -> None:
    """A seller sees no payouts, and their forms are refused."""
    browser = await place.world.join("sell@a.example", Role.SELLER)

    assert 403 == (await browser.go(PATH)).status_code
    await browser.go("/merchant")
    assert 403 == (await browser.send(PATH, raw=True, amount="1")).status_code


async def test_an_old_session_proves_itself_first(place: Place) -> None:
    """An hour after signing in, money and accounts want the password or the code again."""
    browser = await place.world.join("own@a.example", Role.OWNER)
    await browser.go(PATH)
    place.world.clock.advance(3_600)
    await browser.send(f"{PATH}/accounts", nonce=place.nonce(browser), way="x", account="y")

    assert "/console/confirm" == browser.path


async def test_a_large_payout_waits_for_an_operator(place: Place) -> None:
    """It is listed at the desk; let out with a reason it goes, stopped the money is back."""
    await place.money.payouts.put_terms([PayoutTerms("CNY", 100, 0, 5_000)])
    owner = await place.world.join("own@a.example", Role.OWNER)
    await prove(place, owner)
    await ask(place, owner, "60")
    await ask(place, owner, "70")
    await place.money.run()
    desk = await place.world.join("fin@rail.example", Role.OPERATOR_FINANCE)
    await desk.go("/operator")
    assert "Payouts 2" in desk.text
    await desk.go("/operator/payouts")
    first, second = await place.payouts(PayoutState.REVIEW)
    assert to_serial(first.id)[-6:] in desk.text
    await desk.go(f"/operator/payouts/{to_serial(first.id)}")
    await desk.send(desk.path, decision="allow", reason="")
    assert "Say why" in desk.text
    await desk.send(desk.path, decision="allow", reason="a known shop")
    await desk.go(f"/operator/payouts/{to_serial(second.id)}")
    await desk.send(desk.path, decision="stop", reason="looks odd")
    await place.money.run()

    assert [PayoutState.SUCCEEDED, PayoutState.DECLINED] == [
        await place.money.state(each) for each in (first, second)
    ]
    acts = await place.world.acts()
    assert {"payout.allowed", "payout.stopped"} <= set(acts)
    await desk.go(f"/operator/payouts/{to_serial(first.id)}")
    await desk.send(f"{desk.path}/ask")
    assert "payout.asked" in await place.world.acts()


async def test_many_that_wait_are_decided_by_two(place: Place) -> None:
    """One puts all of the list up, another approves: they go out, and the page says how far."""
    await place.money.payouts.put_terms([PayoutTerms("CNY", 100, 0, 5_000)])
    owner = await place.world.join("own@a.example", Role.OWNER)
    await prove(place, owner)
    for amount in ("60", "70", "80"):
        await ask(place, owner, amount)
    await place.money.run()
    desk = await place.world.join("fin@rail.example", Role.OPERATOR_FINANCE)
    await desk.go(f"/operator/payouts?merchant={to_serial(place.money.merchant)}")
    assert "¥210.00" in desk.text
    merchant = to_serial(place.money.merchant)
    fields = {"nonce": place.nonce(desk), "currency": "CNY", "merchant": merchant}
    await desk.send("/operator/payout-batches", **fields)
    path = desk.path
    await desk.send("/operator/payout-batches", **fields)
    assert (path, True) == (desk.path, "Not decided yet" in desk.text)
    await desk.send(path, decision="allow", reason="")
    assert "Say why" in desk.text
    await desk.send(path, decision="allow", reason="known shops")
    assert "second person" in desk.text
    assert 3 == len(await place.payouts(PayoutState.REVIEW))
    second = await place.world.join("boss@rail.example", Role.OPERATOR_ADMIN)
    await second.go("/operator/approvals")
    address = re.search(r'action="(/operator/approvals/[^"]+)"', second.page.text)[1]
    await second.send(address, decision="approve")
    await place.money.run()

    await desk.go(path)
    assert "3 of 3" in desk.text
    assert [] == await place.payouts(PayoutState.REVIEW)
    assert "payout_batch.allowed.proposed" in await place.world.acts()


async def test_a_reserve_is_written_down(place: Place) -> None:
    """What is put in is shown, with whose money it was; what is not there is not taken out."""
    desk = await place.world.join("fin@rail.example", Role.OPERATOR_FINANCE)
    await desk.go("/operator/reserves")
    assert "¥800.00" in desk.text
    fields = {"reserve": "alipay|CNY", "source": "owner", "reason": "transfer of Monday"}
    await desk.send("/operator/reserves", nonce=place.nonce(desk), amount="5.00", **fields)
    assert "¥805.00" in desk.text
    await desk.send("/operator/reserves", nonce=place.nonce(desk), amount="-900", **fields)

    assert "does not have so much" in desk.text
    await desk.send("/operator/reserves", nonce=place.nonce(desk), amount="five", **fields)
    assert "Write the amount in digits" in desk.text
    assert "reserve.changed" in await place.world.acts()


async def test_a_merchant_chooses_when_and_is_paid_by_itself(place: Place) -> None:
    """Every Friday at nine: said in words, logged, paid out without being asked for."""
    browser = await place.world.join("own@a.example", Role.OWNER)
    await prove(place, browser)
    await place.money.top_up(50_000)
    [[payee]] = await place.money.payouts.list_payees([place.money.merchant])
    path = f"{PATH}/schedule"
    await browser.go(path)
    fields = {"currency": "CNY", "payee": to_serial(payee.id), "zone": "Asia/Tokyo", "hour": "9"}
    await browser.send(path, kind="monthly", monthday="x", **fields)
    assert "Choose an hour and a day" in browser.text
    await browser.send(path, kind="weekly", weekday="5", **fields)
    assert "Every week, Friday at 09:00 (Asia/Tokyo)" in browser.text
    [view] = await place.money.payouts.read_schedules([(place.money.merchant, "CNY")])
    place.world.clock.advance((view.due_at - place.world.clock.now()).total_seconds() + 1)
    await place.world.house.services["payouts"].look_due()
    await place.money.run()

    found = await place.payouts(PayoutState.SUCCEEDED)
    [paid] = [each for each in found if each.origin is PayoutOrigin.SCHEDULED]
    assert 100_000 == paid.amount_minor == place.money.paid(paid.id)
    assert "payout_schedule.changed" in await place.world.acts()


async def test_terms_are_changed_by_two(place: Place) -> None:
    """One proposes new terms, another approves them; only then do merchants see them."""
    first = await place.world.join("fin@rail.example", Role.OPERATOR_FINANCE)
    path = "/operator/payout-terms"
    await first.go(path)
    fields = {"currency": "CNY", "least": "10", "fee": "0.50", "review": "0", "minutes": "30"}
    await first.send(path, **(fields | {"fee": "-1"}), reason="dearer")
    assert "none below zero" in first.text
    await first.send(path, **fields, kind_daily="yes", reason="dearer")
    assert "second person" in first.text
    [before] = await place.money.payouts.read_terms(["CNY"])
    second = await place.world.join("boss@rail.example", Role.OPERATOR_ADMIN)
    await second.go("/operator/approvals")
    seen = second.text
    address = re.search(r'action="(/operator/approvals/[^"]+)"', second.page.text)[1]
    await second.send(address, decision="approve")

    assert "At least: CN¥10.00" in seen  # In the words of the form, and not as fields.
    assert "Fee: CN¥0.50" in seen
    assert "By hand · Every day" in seen
    [after] = await place.money.payouts.read_terms(["CNY"])
    assert 0 == before.fee_minor
    wanted = PayoutTerms("CNY", 1_000, 50, 0, [ScheduleKind.MANUAL, ScheduleKind.DAILY], 30)
    assert wanted == after


async def test_a_reserve_is_looked_ahead_for(place: Place) -> None:
    """With too little history it says so; after weeks what is missing, and fills the form."""
    browser, money = await place.world.join("own@a.example", Role.OWNER), place.money
    await prove(place, browser)
    await money.top_up(200_000)
    desk = await place.world.join("fin@rail.example", Role.OPERATOR_FINANCE)
    path = "/operator/reserves/alipay/CNY"
    await desk.go(path)
    assert "too little history" in desk.text
    [[payee]] = await money.payouts.list_payees([money.merchant])
    money.payee = payee.id
    for _ in range(4):
        await money.earn(30_000)
        await money.request(money.ask(30_000))
        await money.run()
        await money.later(7 * 86_400)
    [reserve] = await money.payouts.list_reserves()
    await money.top_up(10_000 - reserve.free_minor)

    again = await place.world.join("boss@rail.example", Role.OPERATOR_ADMIN)
    await again.go(path)
    assert "Read from 4 weeks" in again.text
    assert "It may not be enough any more from" in again.text
    [ahead] = await money.payouts.forecast_reserves()
    assert 20_000 <= ahead.suggested_minor <= 21_000
    link = re.search(r'href="(/operator/reserves\?[^"]+)"', again.page.text)[1]
    await again.go(html.unescape(link))
    assert f'value="{ahead.suggested_minor // 100}.00"' in again.page.text
    assert "Runs low soon" in again.text
    missing = await again.go("/operator/reserves/alipay/USD")
    assert 404 == missing.status_code


async def test_a_settlement_is_booked_by_two(place: Place) -> None:
    """By hand or by a file: one person puts it up, another approves, and it is booked once."""
    await place.money.earn(30_000)
    first = await place.world.join("fin@rail.example", Role.OPERATOR_FINANCE)
    path = "/operator/remittances"
    await first.go(path)
    day = place.world.clock.now().date().isoformat()
    fields = {
        "way": "alipay|CNY", "number": "S-1", "paid_on": day, "gross": "100.00", "fee": "0.60",
        "target": "reserve", "reason": "statement of Monday", "nonce": place.nonce(first),
    }  # fmt: skip
    await first.send(path, **(fields | {"gross": "300.01"}))
    assert "The provider owes less" in first.text
    await first.send(path, **fields)
    assert "second person" in first.text
    second = await place.world.join("boss@rail.example", Role.OPERATOR_ADMIN)
    await approve(second)
    await first.go(path)
    assert "¥99.40" in first.text
    await first.send(path, **(fields | {"nonce": place.nonce(first)}))
    assert "decided so before" in first.text
    await first.send(path, **(fields | {"nonce": place.nonce(first), "fee": "0.50"}))
    assert "booked before, with another amount" in first.text

    head = "channel,number,paid_on,currency,gross,fee,target\n"
    lines = f"alipay,S-1,{day},CNY,100,0.6,\nalipay,S-2,{day},CNY,100,0,bank\n"
    for content, said in (
        (head + lines.replace("0.6", "0.5"), "Settlement 1: That number"),
        (head + lines + "alipay,S-3,then,CNY,1,0,\n", "Line 4 of the file"),
        ("\0", "cannot be read"),
        (head + lines, "second person"),
    ):
        await first.go(path)
        token = re.search(r'file\?form_token=([^"]+)"', first.page.text)[1]
        told = {"reason": "Tuesday", "nonce": place.nonce(first)}
        first.page = await first.http.post(
            f"{path}/file?form_token={token}",
            data=told,
            files={"file": ("s.csv", content.encode())},
            follow_redirects=True,
        )
        assert said in first.text, content
    await approve(second)

    found = await place.money.payouts.list_remittances(RemittanceQuery())
    assert [("S-2", 10_000), ("S-1", 9_940)] == [
        (each.remittance.number, each.remittance.net_minor) for each in found
    ]
    assert "approved by boss@rail.example" in found[0].remittance.by
    assert {"remittance.booked.proposed", "remittance.booked.approved"} <= set(
        await place.world.acts()
    )


async def test_a_settlement_is_dated_by_the_day_of_the_site(place: Place) -> None:
    """In the evening of UTC it is tomorrow in Shanghai already, and so says the form."""
    now = place.world.clock.now()
    place.world.clock.advance(
        (datetime(now.year, now.month, now.day, 17, tzinfo=UTC) - now).total_seconds()
    )
    finance = await place.world.join("fin@rail.example", Role.OPERATOR_FINANCE)
    await finance.go("/operator/remittances")
    [shown] = re.findall(r'name="paid_on" type="date" value="([^"]+)"', finance.page.text)

    assert now.date() + timedelta(days=1) == date.fromisoformat(shown)


async def test_what_is_on_its_way_out_is_not_shown_as_free(place: Place) -> None:
    """A payout that waits is said where the money is shown, and pays no deposit."""
    await place.money.payouts.put_terms([PayoutTerms("CNY", 100, 0, 5_000)])
    owner = await place.world.join("own@a.example", Role.OWNER)
    await prove(place, owner)
    await ask(place, owner, "60")
    await place.money.run()
    terms = DepositTerms(place.money.merchant, "CNY", 1_000, 0)
    settlement: Settlement = place.world.house.api(Settlement)
    assert ["created"] == await settlement.put_deposit_terms([terms])
    await owner.go("/merchant")
    assert "¥60.00 of it is on its way" in owner.text
    await owner.go("/merchant/deposit")

    [there] = await settlement.read_merchant_balances([(place.money.merchant, "CNY")])
    free = f"{(there.available_minor - there.leaving_minor) / 100:,.2f}"

    assert 6_000 == there.leaving_minor
    assert f"which has CN¥{free} available" in owner.text


async def approve(browser) -> None:
    """Approve what waits."""
    await browser.go("/operator/approvals")
    address = re.search(r'action="(/operator/approvals/[^"]+)"', browser.page.text)[1]
    await browser.send(address, decision="approve")
