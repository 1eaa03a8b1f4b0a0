"""api.php: what a card site may ask with its key, and how it gives money back."""

import pytest
from tests.payouts.rows import write_rows

from vendrail.api.epay import EpayChange, EpayKey
from vendrail.api.identity import ActQuery, Identity
from vendrail.api.orders import SagaQuery
from vendrail.api.payouts import PayoutState
from vendrail.api.risk import RiskLimits
from vendrail.kernel.ids import new_id


async def charge(far, site, browser, number="N-1", **changes):
    """Have a site charge something; give the order."""
    answer = await browser.submit(far.fields(site, number, **changes))
    return await far.order_of(answer.headers["location"])


async def paid(far, site, browser, number="N-1", **changes):
    """Have it paid, too."""
    order = await charge(far, site, browser, number, **changes)
    await far.pay(order.id, amount_minor=order.amount_minor)
    await far.settle()
    return order


@pytest.fixture
def api(far, browser):
    """Ask api.php with the site's key."""

    async def ask(act, method="POST", **fields):
        return await browser.json("api", method, act=act, pid=far.pid, key=far.key, **fields)

    return ask


async def allow_refunds(far):
    """Let the key give money back."""
    await far.epay.change_epay_accounts([EpayChange(far.merchant, can_refund=True)])


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_order_is_told_as_it_stands(far, site, browser, api, method):
    """Unpaid, then paid: by our number or the site's, with name, money, param and moments."""
    order = await charge(far, site, browser)
    before = await api("order", method, out_trade_no="N-1")
    await far.pay(order.id)
    await far.settle()
    after = await api("order", method, out_trade_no="N-1")
    same = await api("order", method, trade_no=order.serial, out_trade_no="other")

    assert (1, 0, None) == (before["code"], before["status"], before["endtime"])
    assert after == same
    assert {
        "trade_no": order.serial,
        "out_trade_no": "N-1",
        "type": "alipay",
        "pid": int(far.pid),
        "name": "VIP会员",
        "money": "19.90",
        "refundmoney": "0.00",
        "param": "user 9",
        "status": 1,
        "endtime": "2026-11-23 16:00:10",
    }.items() <= after.items()


@pytest.mark.parametrize("act", ["query", "order", "orders", "refund"])
@pytest.mark.parametrize(
    "change, code",
    [({"key": "0" * 32}, -3), ({"key": ""}, -3), ({"pid": "1002"}, -1), ({"pid": ""}, -1)],
)
async def test_without_the_key_nothing_is_told(far, site, browser, act, change, code):
    """A wrong key or number opens no act, and says nothing of any order."""
    await paid(far, site, browser)
    given = {"act": act, "pid": far.pid, "key": far.key, "out_trade_no": "N-1", "money": "1"}
    said = await browser.json("api", **given | change)

    assert ({"code", "msg"}, code) == (set(said), said["code"])


async def test_another_sites_order_is_not_there(far, site, browser, api):
    """By either number, only the site's own orders are found."""
    order = await paid(far, site, browser)
    other: EpayKey
    [other] = await far.epay.make_epay_keys([new_id(far.clock.now())])
    given = {"pid": str(other.account.pid), "key": other.key}
    said = [
        await browser.json("api", act="order", **given, **number)
        for number in ({"out_trade_no": "N-1"}, {"trade_no": order.serial}, {"trade_no": "x"})
    ]
    listed = await browser.json("api", act="orders", **given)

    assert [(-1, "订单号不存在")] * 3 == [(each["code"], each["msg"]) for each in said]
    assert (1, []) == (listed["code"], listed["data"])


async def test_orders_are_listed_newest_first_by_pages(far, site, browser, api):
    """A page holds so many as are asked for, fifty at most; the next begins where it ends."""
    for number in range(5):
        await charge(far, site, browser, f"N-{number}")
        far.clock.advance(1)
    pages = [await api("orders", limit="2", page=str(page)) for page in (1, 2, 3, 4)]
    wild = await api("orders", limit="9999", page="-1")

    assert [["N-4", "N-3"], ["N-2", "N-1"], ["N-0"], []] == [
        [each["out_trade_no"] for each in page["data"]] for page in pages
    ]
    assert 5 == len(wild["data"])


async def test_a_merchant_reads_what_it_has(far, site, browser, api):
    """act=query tells the share that is there, and how many orders there were."""
    await paid(far, site, browser)
    said = await api("query")

    assert (1, int(far.pid), 1, 1) == (said["code"], said["pid"], said["active"], said["orders"])
    assert said["money"] in ("19.30", "19.31")


async def test_a_site_lists_the_payouts_of_its_merchant(far, browser, api):
    """act=settle tells each payout with its fee and how it stands; a wrong key tells nothing."""
    await write_rows(far.house, far.merchant)
    said = await api("settle", limit="50")
    wrong = await browser.json("api", act="settle", pid=far.pid, key="x" * 32)

    assert 1 == said["code"]
    assert len(PayoutState) == said["count"] == len(said["data"])
    assert {0, 1, 3} == {each["status"] for each in said["data"]}
    assert {"0.30"} == {
        f"{float(each['money']) - float(each['realmoney']):.2f}" for each in said["data"]
    }
    assert 1 != wrong["code"]


async def test_refunds_are_off_until_they_are_allowed(far, site, browser, api):
    """A key gives nothing back before its owner has said so, and never by a link."""
    order = await paid(far, site, browser)
    off = await api("refund", out_trade_no="N-1", money="1.00")
    await allow_refunds(far)
    by_link = await api("refund", "GET", out_trade_no="N-1", money="1.00")

    assert (-1, "商户未开启订单退款API接口") == (off["code"], off["msg"])
    assert -5 == by_link["code"]
    assert [[]] == await far.orders.read_refunds([order.id])


async def test_a_refund_takes_the_way_of_all_refunds(far, site, browser, api):
    """Within what was paid; its saga runs, the site is told that it does, and the log has it."""
    order = await paid(far, site, browser)
    unpaid = await charge(far, site, browser, "N-2")
    await allow_refunds(far)
    said = [
        (await api("refund", out_trade_no=number, money=money))["msg"]
        for number, money in (
            ("N-2", "1.00"), ("N-3", "1.00"), ("N-1", "19.91"), ("N-1", "x"), ("N-1", "9.90"),
        )
    ]  # fmt: skip
    [refunds] = await far.orders.read_refunds([order.id])
    [acts] = await far.house.api(Identity).list_acts([ActQuery(far.merchant, 10, act="order.")])

    assert ["只有已支付订单才能退款", "订单号不存在", "退款金额大于订单剩余可退金额"] == said[:3]
    assert ["金额不合法", "退款处理中，请稍后查询"] == said[3:]  # The provider is away.
    assert [(990, "asked")] == [(each.amount_minor, each.state) for each in refunds]
    assert [[]] == await far.orders.read_refunds([unpaid.id])
    assert {f"epay:{far.pid}"} == {each.by.name for each in acts}


async def test_a_refund_with_a_number_of_its_own_is_one(far, site, browser, api):
    """Sent again under its number it is the same refund; another amount under it is refused."""
    order, other = await paid(far, site, browser, "N-1"), await paid(far, site, browser, "N-2")
    await allow_refunds(far)
    for _ in range(3):
        await api("refund", out_trade_no="N-1", money="5.00", out_refund_no="R-1")
    differs = await api("refund", trade_no=order.serial, money="6.00", out_refund_no="R-1")
    await api("refund", out_trade_no="N-2", money="5.00", out_refund_no="R-1")
    refunds = await far.orders.read_refunds([order.id, other.id])

    assert -1 == differs["code"]
    assert [[500], [500]] == [[each.amount_minor for each in found] for found in refunds]


async def test_an_unknown_act_is_said_so(api):
    """What is not there is refused in the protocol's words."""
    said = [await api(act) for act in ("settles", "", "drop")]

    assert [(-5, "No Act!")] * 3 == [(each["code"], each["msg"]) for each in said]


async def test_a_charge_under_review_is_not_yet_paid(far, site, browser, api):
    """A payment that a person must look at is told to nobody before it is released."""
    await far.risk.put_limits(RiskLimits(review_orders_per_address=1))
    for number in ("N-1", "N-2"):
        await paid(far, site, browser, number)
    said = [(await api("order", out_trade_no=number))["status"] for number in ("N-1", "N-2")]
    told = [each["out_trade_no"] for each in site.heard]
    [sagas] = await far.orders.list_sagas([SagaQuery()])
    [held] = [each for each in sagas if each.kind == "purchase"]

    assert [1, 0] == said
    assert ["N-1"] == told
    assert "review" == held.reason
