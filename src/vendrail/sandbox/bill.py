"""The trade bill of a day, as Alipay hands it out: a ZIP with two CSV files in GBK."""

import hmac
import io
import zipfile
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from vendrail.sandbox.alipay import Outcome
from vendrail.sandbox.calls import Call
from vendrail.sandbox.fields import text_of
from vendrail.sandbox.records import CHINA, App, Refund, Trade, stamp, yuan
from vendrail.sandbox.refusals import refuse, succeed
from vendrail.sandbox.settings import Settings
from vendrail.sandbox.store import Store

_LINK_TTL_S = 30
_COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,"
    "对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,"
    "商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,"
    "退款批次号/请求号,服务费（元）,分润（元）,备注"
)
_SUMMARY_COLUMNS = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,"
    "支付宝优惠（元）,商家优惠（元）,卡消费金额（元）,服务费（元）,分润（元）,实收净额（元）"
)


class _Line(msgspec.Struct):
    trade: Trade
    refund: Refund | None
    at: datetime
    amount_minor: int  # Positive on a sale, negative on a refund.
    fee_minor: int  # Negative on a sale, positive when it comes back.


def fee_of(amount_minor: int, basis_points: int) -> int:
    """Compute the provider's fee on an amount, rounded half up to the fen."""
    exact = Decimal(amount_minor * basis_points) / 10_000
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def _day_of(moment: datetime) -> str:
    return stamp(moment)[:10]


def _collect(store: Store, app: App, period: str, settings: Settings) -> list[_Line]:
    lines = []
    for trade in store.trades():
        if trade.app_id != app.app_id or trade.paid_at is None:
            continue
        fee_minor = fee_of(trade.total_minor, settings.fee_basis_points)
        if _day_of(trade.paid_at).startswith(period):
            lines.append(_Line(trade, None, trade.paid_at, trade.total_minor, -fee_minor))
        refunded_minor = returned_minor = 0
        for refund in trade.refunds:
            # The fee comes back in proportion; the last part takes what remains of it.
            refunded_minor += refund.amount_minor
            whole_minor = fee_minor * refunded_minor // trade.total_minor
            part_minor, returned_minor = whole_minor - returned_minor, whole_minor
            if _day_of(refund.at).startswith(period):
                lines.append(_Line(trade, refund, refund.at, -refund.amount_minor, part_minor))
    return sorted(lines, key=lambda line: line.at)


def _signed(amount_minor: int) -> str:
    return f"-{yuan(-amount_minor)}" if amount_minor < 0 else yuan(amount_minor)


def _row(line: _Line) -> str:
    trade, amount = line.trade, _signed(line.amount_minor)
    cells = [
        f"{trade.trade_no}\t",
        f"{trade.out_trade_no}\t",
        "退款\t" if line.refund else "交易\t",
        trade.subject,
        stamp(trade.opened_at or trade.created_at),
        stamp(line.at),
        "\t",
        "\t",
        "\t",
        "\t",
        "*明(san***@vendrail.test)\t",
        amount,
        amount,
        *["0.00"] * 5,
        "",
        "0.00\t",
        "0.00",
        line.refund.out_request_no if line.refund else "",
        _signed(line.fee_minor),
        "0.00",
        trade.body,
    ]
    return ",".join(cells)


def _cn(day: date) -> str:
    return f"{day.year}年{day.month:02d}月{day.day:02d}日"


def _frame(app: App, first: date, last: date, title: str, rows: list[str]) -> list[str]:
    return [
        f"#支付宝业务{title}查询",
        f"#账号：[{app.seller_id}0156]",
        f"#起始日期：[{_cn(first)} 00:00:00]   终止日期：[{_cn(last)} 00:00:00]",
        f"#----------------------------------业务{title}列表--------------------------------",
        *rows,
        f"#----------------------------------业务{title}列表结束----------------------------",
    ]


def write_bill(
    store: Store, app: App, period: str, settings: Settings, now: datetime
) -> bytes | None:
    """Write the bill of a day (yyyy-MM-dd) or a month (yyyy-MM); nothing if nothing happened."""
    lines = _collect(store, app, period, settings)
    if not lines:
        return None
    first = date.fromisoformat(period if len(period) == 10 else f"{period}-01")
    last = first + timedelta(days=1)
    if len(period) != 10:
        last = (first + timedelta(days=32)).replace(day=1)
    sales = [line for line in lines if line.refund is None]
    refunds = [line for line in lines if line.refund is not None]
    fees_minor = sum(line.fee_minor for line in lines)
    total_minor = sum(line.amount_minor for line in lines)
    text = _frame(app, first, last, "明细", [_COLUMNS, *(_row(line) for line in lines)])
    sold = _signed(sum(line.amount_minor for line in sales))
    given = _signed(sum(line.amount_minor for line in refunds))
    text += [
        f"#交易合计：{len(sales)}笔，商家实收共{sold}元，商家优惠共0.00元",
        f"#退款合计：{len(refunds)}笔，商家实收退款共{given}元，商家优惠退款共0.00元",
        f"#导出时间：[{_cn(now.astimezone(CHINA))}{stamp(now)[10:]}]",
    ]
    net = _signed(total_minor + fees_minor)
    total, fees = _signed(total_minor), _signed(fees_minor)
    row = f"\t,合计\t,{len(sales)},{len(refunds)},{total},{total},0.00,0.00,0.00,{fees},0.00,{net}"
    summary = _frame(app, first, last, "汇总", [_SUMMARY_COLUMNS, row])
    name = f"{app.seller_id}0156_{period.replace('-', '')}"
    return _pack(
        {f"{name}_业务明细.csv": text, f"{name}_业务明细(汇总).csv": summary}, now.astimezone(CHINA)
    )


def _pack(files: dict[str, list[str]], now: datetime) -> bytes:
    """Zip with entry names in GBK and no UTF-8 flag, as the real archives have them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, lines in files.items():
            info = _GbkInfo(name, now.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, "\r\n".join([*lines, ""]).encode("gb18030"))
    return buffer.getvalue()


class _GbkInfo(zipfile.ZipInfo):
    """A ZIP entry whose name is written in GBK."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile's own name.
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def link_signature(secret: str, app_id: str, period: str, until: int) -> str:
    """Sign the address of a bill, so that it is good for this bill and until then only."""
    text = f"bill|{app_id}|{period}|{until}"
    return hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()


def bill_url(store: Store, call: Call, settings: Settings, secret: str) -> Outcome:
    """alipay.data.dataservice.bill.downloadurl.query: where the bill of a past day lies."""
    period = text_of(call.content, "bill_date")
    try:
        date.fromisoformat(period if len(period) == 10 else f"{period}-01")
    except ValueError:
        return Outcome(refuse("INVAILID_ARGUMENTS", "bill_date"))
    today = _day_of(call.now)
    if period > today[: len(period)]:
        return Outcome(refuse("INVAILID_ARGUMENTS", "bill_date"))
    if today.startswith(period) and not settings.has_bill_today:
        return Outcome(refuse("isp.bill_not_exist"))
    if text_of(call.content, "bill_type") != "trade":
        return Outcome(refuse("isp.bill_not_exist"))
    if not _collect(store, call.app, period, settings):
        return Outcome(refuse("isp.bill_not_exist"))
    until = int(call.now.timestamp()) + _LINK_TTL_S
    signature = link_signature(secret, call.app.app_id, period, until)
    return Outcome(
        succeed(
            bill_download_url=f"{call.base_url}/alipay/bill/{call.app.app_id}/{period}"
            f"?until={until}&signature={signature}"
        )
    )
