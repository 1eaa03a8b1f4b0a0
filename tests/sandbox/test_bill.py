"""The trade bill: a ZIP of GBK text, one row for each sale and each refund of the day."""

import csv
import io
import zipfile
from datetime import timedelta

import pytest

from vendrail.kernel.clock import SystemClock
from vendrail.sandbox.bill import fee_of
from vendrail.sandbox.records import stamp


class Later(SystemClock):
    """A clock a test can push forward."""

    shift = timedelta()

    def now(self):
        """Give the pushed moment."""
        return super().now() + self.shift


async def ask_bill(peer, app, day, clock, **changes):
    """Ask for a bill at the clock's own time: the SDK's stamp is replaced."""
    signed = await peer.ask(
        app,
        build="alipay.data.dataservice.bill.downloadurl.query",
        content={"bill_type": "trade", "bill_date": day, **changes},
        changes={"timestamp": stamp(clock.now())},
    )
    return signed["query"]


@pytest.fixture
async def traded(home, start_sandbox, keys, peer):
    """A sandbox with a day's trades, and the day after begun."""
    clock = Later()
    async with start_sandbox(home, clock=clock) as door:
        app = await door.register(keys[0])
        trades = [
            {"out_trade_no": "B1", "total_amount": "10.00", "subject": "月卡"},
            {"out_trade_no": "B2", "total_amount": "0.50", "subject": "年卡, 特价"},
        ]
        order = {"app_id": app["app_id"], "trades": trades}
        await door.post("/sandbox/alipay/sign-notifications", order)
        arguments = {"out_trade_no": "B1", "refund_amount": "4.00", "out_request_no": "RF1"}
        await peer.ask(app, call="api_alipay_trade_refund", arguments=arguments)
        day = stamp(clock.now())[:10]
        yield door, app, clock, day


async def test_bill_of_a_past_day_holds_each_movement(traded, peer):
    """Sales are positive with a negative fee, refunds the other way round, and the foot sums up."""
    door, app, clock, day = traded
    clock.shift = timedelta(days=1)
    raw = await door.send(await ask_bill(peer, app, day, clock))
    url = raw["alipay_data_dataservice_bill_downloadurl_query_response"]["bill_download_url"]
    reply = await door.client.get(url)
    archive = zipfile.ZipFile(io.BytesIO(reply.content), metadata_encoding="gbk")
    names = archive.namelist()
    detail = next(name for name in names if "汇总" not in name)
    text = archive.read(detail).decode("gb18030")
    rows = list(csv.reader(line for line in text.splitlines() if not line.startswith("#")))
    flags = [entry.flag_bits & 0x800 for entry in archive.infolist()]
    archive.close()

    assert len(names) == 2
    assert flags == [0, 0]
    assert text.startswith("#支付宝业务明细查询\r\n#账号：[" + app["seller_id"] + "0156]")
    assert len(rows[0]) == 25
    kinds = [(row[1].strip(), row[2].strip()) for row in rows[1:]]
    assert sorted(kinds) == [("B1", "交易"), ("B1", "退款"), ("B2", "交易")]
    sale = next(row for row in rows if row[1:3] == ["B1\t", "交易\t"])
    refund = next(row for row in rows if row[2] == "退款\t")
    assert (sale[11], sale[22]) == ("10.00", "-0.06")
    assert (refund[11], refund[21], refund[22]) == ("-4.00", "RF1", "0.02")
    assert "#交易合计：2笔，商家实收共10.50元" in text
    assert "#退款合计：1笔，商家实收退款共-4.00元" in text


async def test_bill_is_for_past_days_and_its_address_ends(traded, peer):
    """Today and empty days have no bill; the address is good for thirty seconds, unchanged."""
    door, app, clock, day = traded
    node = "alipay_data_dataservice_bill_downloadurl_query_response"
    today = await door.send(await ask_bill(peer, app, day, clock))
    clock.shift = timedelta(days=1)
    empty = await door.send(await ask_bill(peer, app, "2020-01-01", clock))
    other = await door.send(await ask_bill(peer, app, day, clock, bill_type="merchant_act"))
    fresh = await door.send(await ask_bill(peer, app, day, clock))
    url = fresh[node]["bill_download_url"]
    good = await door.client.get(url)
    changed = await door.client.get(url.replace(day, "2020-01-01"))
    clock.shift += timedelta(seconds=31)
    late = await door.client.get(url)

    assert today[node]["sub_code"] == "isp.bill_not_exist"
    assert empty[node]["sub_code"] == "isp.bill_not_exist"
    assert other[node]["sub_code"] == "isp.bill_not_exist"
    assert (good.status_code, changed.status_code, late.status_code) == (200, 403, 403)


@pytest.mark.parametrize(
    "amount_minor, fee_minor", [(1, 0), (83, 0), (84, 1), (1_000, 6), (10_000_000_000, 60_000_000)]
)
def test_fee_is_rounded_half_up(amount_minor, fee_minor):
    """The provider's fee is 0.6 %, rounded half up to the fen."""
    assert fee_of(amount_minor, 60) == fee_minor


async def test_funds_tell_every_movement_and_the_balance(traded, peer):
    """Sales, refunds and their fees each stand alone, and the balance goes along with them."""
    door, app, clock, day = traded
    clock.shift = timedelta(days=1)
    node = "alipay_data_dataservice_bill_downloadurl_query_response"
    told = await door.send(await ask_bill(peer, app, day, clock, bill_type="signcustomer"))
    reply = await door.client.get(told[node]["bill_download_url"])
    archive = zipfile.ZipFile(io.BytesIO(reply.content), metadata_encoding="gbk")
    text = archive.read(archive.namelist()[0]).decode("gb18030")
    archive.close()
    rows = list(csv.reader(line for line in text.splitlines() if not line.startswith("#")))

    assert 12 == len(rows[0])
    # From the end: a comma in a name is a comma in the file, as in the real one.
    moved = sorted((row[-2], row[-6] or row[-5]) for row in rows[1:])
    expected = [
        ("交易付款", "0.50"),
        ("交易付款", "10.00"),
        ("交易退款", "-4.00"),
        ("收费", "-0.06"),
        ("退费", "0.02"),
    ]
    assert sorted(expected) == moved
    assert "1000006.46" == rows[-1][-4]
    assert "#收入合计：3笔，共10.52元" in text
    assert "#支出合计：2笔，共-4.06元" in text
