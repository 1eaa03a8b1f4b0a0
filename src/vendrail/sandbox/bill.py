"""The trade bill of a day, as Alipay hands it out: a ZIP with two CSV files in GBK."""

import hmac
import io
import zipfile
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from vendrail.sandbox.records import CHINA, App, Refund, Trade, stamp, yuan
from vendrail.sandbox.settings import Settings
from vendrail.sandbox.store import Store

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


class Line(msgspec.Struct):
    """A sale or a refund, and the fee that went or came back with it."""

    trade: Trade
    refund: Refund | None
    at: datetime
    amount_minor: int  # Positive on a sale, negative on a refund.
    fee_minor: int  # Negative on a sale, positive when it comes back.


def fee_of(amount_minor: int, basis_points: int) -> int:
    """Compute the provider's fee on an amount, rounded half up to the fen."""
    exact = Decimal(amount_minor * basis_points) / 10_000
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def day_of(moment: datetime) -> str:
    """Give the day of a moment, by the provider's clock."""
    return stamp(moment)[:10]


def collect(store: Store, app: App, period: str, settings: Settings) -> list[Line]:
    """Gather the sales and refunds of a period, oldest first."""
    lines = []
    for trade in store.trades():
        if trade.app_id != app.app_id or trade.paid_at is None:
            continue
        fee_minor = fee_of(trade.total_minor, settings.fee_basis_points)
        if day_of(trade.paid_at).startswith(period):
            lines.append(Line(trade, None, trade.paid_at, trade.total_minor, -fee_minor))
        refunded_minor = returned_minor = 0
        for refund in trade.refunds:
            # The fee comes back in proportion; the last part takes what remains of it.
            refunded_minor += refund.amount_minor
            whole_minor = fee_minor * refunded_minor // trade.total_minor
            part_minor, returned_minor = whole_minor - returned_minor, whole_minor
            if day_of(refund.at).startswith(period):
                lines.append(Line(trade, refund, refund.at, -refund.amount_minor, part_minor))
    return sorted(lines, key=lambda line: line.at)


def signed(amount_minor: int) -> str:
    """Write fen as yuan, a minus in front of what went out."""
    return f"-{yuan(-amount_minor)}" if amount_minor < 0 else yuan(amount_minor)


def _row(line: Line) -> str:
    trade, amount = line.trade, signed(line.amount_minor)
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
        signed(line.fee_minor),
        "0.00",
        trade.body,
    ]
    return ",".join(cells)


def in_words(day: date) -> str:
    """Write a day as the provider does."""
    return f"{day.year}年{day.month:02d}月{day.day:02d}日"


def frame(app: App, first: date, last: date, title: str, rows: list[str]) -> list[str]:
    """Put the lines around a list that say whose it is, and of when."""
    return [
        f"#支付宝业务{title}查询",
        f"#账号：[{app.seller_id}0156]",
        f"#起始日期：[{in_words(first)} 00:00:00]   终止日期：[{in_words(last)} 00:00:00]",
        f"#----------------------------------业务{title}列表--------------------------------",
        *rows,
        f"#----------------------------------业务{title}列表结束----------------------------",
    ]


def write_bill(
    store: Store, app: App, period: str, settings: Settings, now: datetime
) -> bytes | None:
    """Write the bill of a day (yyyy-MM-dd) or a month (yyyy-MM); nothing if nothing happened."""
    lines = collect(store, app, period, settings)
    if not lines:
        return None
    first = date.fromisoformat(period if len(period) == 10 else f"{period}-01")
    last = last_day(first, period)
    sales = [line for line in lines if line.refund is None]
    refunds = [line for line in lines if line.refund is not None]
    fees_minor = sum(line.fee_minor for line in lines)
    total_minor = sum(line.amount_minor for line in lines)
    text = frame(app, first, last, "明细", [_COLUMNS, *(_row(line) for line in lines)])
    sold = signed(sum(line.amount_minor for line in sales))
    given = signed(sum(line.amount_minor for line in refunds))
    text += [
        f"#交易合计：{len(sales)}笔，商家实收共{sold}元，商家优惠共0.00元",
        f"#退款合计：{len(refunds)}笔，商家实收退款共{given}元，商家优惠退款共0.00元",
        f"#导出时间：[{in_words(now.astimezone(CHINA))}{stamp(now)[10:]}]",
    ]
    net = signed(total_minor + fees_minor)
    total, fees = signed(total_minor), signed(fees_minor)
    row = f"\t,合计\t,{len(sales)},{len(refunds)},{total},{total},0.00,0.00,0.00,{fees},0.00,{net}"
    summary = frame(app, first, last, "汇总", [_SUMMARY_COLUMNS, row])
    name = f"{app.seller_id}0156_{period.replace('-', '')}"
    return pack(
        {f"{name}_业务明细.csv": text, f"{name}_业务明细(汇总).csv": summary}, now.astimezone(CHINA)
    )


def pack(files: dict[str, list[str]], now: datetime) -> bytes:
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


def last_day(first: date, period: str) -> date:
    """Give the day after the last one of a day or a month."""
    if len(period) == 10:
        return first + timedelta(days=1)
    return (first + timedelta(days=32)).replace(day=1)


def link_signature(secret: str, app_id: str, kind: str, period: str, until: int) -> str:
    """Sign the address of a bill, so that it is good for this bill and until then only."""
    text = f"bill|{app_id}|{kind}|{period}|{until}"
    return hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()
