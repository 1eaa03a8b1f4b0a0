"""The bill of funds: every movement of a balance, fees and payouts too; and where bills lie."""

from collections.abc import Iterator
from datetime import date, datetime

import msgspec

from vendrail.sandbox.alipay import Outcome
from vendrail.sandbox.bill import (
    collect,
    day_of,
    frame,
    in_words,
    last_day,
    link_signature,
    pack,
    write_bill,
)
from vendrail.sandbox.calls import Call
from vendrail.sandbox.fields import text_of
from vendrail.sandbox.records import CHINA, App, stamp, yuan
from vendrail.sandbox.refusals import refuse, succeed
from vendrail.sandbox.settings import Settings
from vendrail.sandbox.store import Store

_LINK_TTL_S = 30
_COLUMNS = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,"
    "账户余额（元）,交易渠道,业务类型,备注"
)


class Movement(msgspec.Struct):
    """Money that came to a balance, or left it."""

    at: datetime
    number: str
    out_trade_no: str
    subject: str
    amount_minor: int
    kind: str
    remark: str = ""


def _movements(store: Store, app: App, settings: Settings) -> list[Movement]:
    """Gather all that ever moved, oldest first."""
    found = []
    for line in collect(store, app, "", settings):
        trade, refund = line.trade, line.refund
        kind = "交易付款" if refund is None else "交易退款"
        names = (trade.trade_no, trade.out_trade_no, trade.subject)
        remark = refund.out_request_no if refund is not None else ""
        found.append(Movement(line.at, *names, line.amount_minor, kind, remark))
        if line.fee_minor:
            kind = "收费" if refund is None else "退费"
            found.append(Movement(line.at, *names, line.fee_minor, kind, remark))
    for made in store.transfers():
        if made.app_id == app.app_id:
            names = (made.order_id, made.out_biz_no, "转账")
            found.append(Movement(made.at, *names, -made.amount_minor, "转账", made.payee))
            if made.returned_at is not None:
                back = Movement(made.returned_at, *names, made.amount_minor, "转账退回", made.payee)
                found.append(back)
    return sorted(found, key=lambda movement: movement.at)


def _rows(movements: list[Movement], period: str, opening_minor: int) -> Iterator[str]:
    balance_minor = opening_minor
    for place, each in enumerate(movements, 1):
        balance_minor += each.amount_minor
        if not day_of(each.at).startswith(period):
            continue
        came = yuan(each.amount_minor) if each.amount_minor > 0 else ""
        went = f"-{yuan(-each.amount_minor)}" if each.amount_minor < 0 else ""
        serial = f"{each.number}{place:04d}"
        cells = [f"{serial}\t", f"{each.number}\t", f"{each.out_trade_no}\t", each.subject]
        cells += [stamp(each.at), "\t", came, went, yuan(balance_minor), "支付宝", each.kind]
        yield ",".join([*cells, each.remark])


def write_funds(
    store: Store, app: App, period: str, settings: Settings, now: datetime
) -> bytes | None:
    """Write the funds of a day (yyyy-MM-dd) or a month (yyyy-MM); nothing if nothing moved."""
    movements = _movements(store, app, settings)
    rows = list(_rows(movements, period, app.opening_minor))
    if not rows:
        return None
    first = date.fromisoformat(period if len(period) == 10 else f"{period}-01")
    moved = [each.amount_minor for each in movements if day_of(each.at).startswith(period)]
    came = [amount for amount in moved if amount > 0]
    went = [amount for amount in moved if amount < 0]
    text = frame(app, first, last_day(first, period), "账务明细", [_COLUMNS, *rows])
    text += [
        f"#收入合计：{len(came)}笔，共{yuan(sum(came))}元",
        f"#支出合计：{len(went)}笔，共-{yuan(-sum(went))}元",
        f"#导出时间：[{in_words(now.astimezone(CHINA))}{stamp(now)[10:]}]",
    ]
    name = f"{app.seller_id}0156_{period.replace('-', '')}_账务明细.csv"
    return pack({name: text}, now.astimezone(CHINA))


def write(
    store: Store, app: App, kind: str, period: str, settings: Settings, now: datetime
) -> bytes | None:
    """Write a bill of one kind; nothing for what this provider has no bill of."""
    if kind == "trade":
        return write_bill(store, app, period, settings, now)
    return write_funds(store, app, period, settings, now) if kind == "signcustomer" else None


def bill_url(store: Store, call: Call, settings: Settings, secret: str) -> Outcome:
    """alipay.data.dataservice.bill.downloadurl.query: where the bill of a past day lies."""
    period = text_of(call.content, "bill_date")
    try:
        date.fromisoformat(period if len(period) == 10 else f"{period}-01")
    except ValueError:
        return Outcome(refuse("INVAILID_ARGUMENTS", "bill_date"))
    today = day_of(call.now)
    if period > today[: len(period)]:
        return Outcome(refuse("INVAILID_ARGUMENTS", "bill_date"))
    if today.startswith(period) and not settings.has_bill_today:
        return Outcome(refuse("isp.bill_not_exist"))
    kind = text_of(call.content, "bill_type")
    if write(store, call.app, kind, period, settings, call.now) is None:
        return Outcome(refuse("isp.bill_not_exist"))
    until = int(call.now.timestamp()) + _LINK_TTL_S
    signature = link_signature(secret, call.app.app_id, kind, period, until)
    return Outcome(
        succeed(
            bill_download_url=f"{call.base_url}/alipay/bill/{call.app.app_id}/{period}"
            f"?kind={kind}&until={until}&signature={signature}"
        )
    )
