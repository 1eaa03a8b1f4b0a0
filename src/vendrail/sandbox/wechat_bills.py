"""WeChat Pay's bills of a day: trades, and movements of the balance, written as it does."""

import gzip
import hashlib
import hmac
from datetime import date, datetime, timedelta

from vendrail.sandbox.bill import fee_of
from vendrail.sandbox.records import CHINA, yuan
from vendrail.sandbox.settings import Settings
from vendrail.sandbox.wechat_calls import Call, Node, Refused
from vendrail.sandbox.wechat_records import Merchant, Order, WechatStore

_LINK_TTL_S = 300
_BILLS_FROM = timedelta(hours=10)  # So late on a day the bill of the one before is there.
_COLUMNS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,"
    "付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,"
    "退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
_TOTALS = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)
_FLOW_COLUMNS = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
_FLOW_TOTALS = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"


def _row(cells: list[str]) -> str:
    """Write a row: a backtick before each cell, and commas in texts made harmless."""
    return ",".join("`" + cell.replace(",", "\\ ") for cell in cells)


def _written(moment: datetime) -> str:
    return moment.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def _is_of(moment: datetime | None, day: date) -> bool:
    return moment is not None and moment.astimezone(CHINA).date() == day


def _trade_row(merchant: Merchant, order: Order, at: datetime, middle: list[str]) -> list[str]:
    kinds = {"native": "NATIVE", "h5": "MWEB", "jsapi": "JSAPI"}
    head = [_written(at), merchant.appid, merchant.mchid, "0", "", order.transaction_id]
    head += [order.out_trade_no, order.openid, kinds[order.product]]
    return head + middle


def write_trade_bill(
    store: WechatStore, merchant: Merchant, day: date, settings: Settings
) -> str | None:
    """Write the bill of a day's trades; nothing if nothing happened."""
    rows: list[tuple[datetime, list[str]]] = []
    sales: list[tuple[int, int]] = []
    refunds: list[tuple[int, int]] = []
    for order in store.orders(merchant):
        total, fee_minor = (
            yuan(order.total_minor),
            fee_of(order.total_minor, settings.fee_basis_points),
        )
        rate = f"{settings.fee_basis_points // 100}.{settings.fee_basis_points % 100:02d}%"
        if order.paid_at is not None and _is_of(order.paid_at, day):
            cells = ["SUCCESS", "OTHERS", "CNY", total, "0.00", "0", "0", "0.00", "0.00", "", ""]
            cells += [
                order.description,
                order.attach,
                f"{yuan(fee_minor)}000",
                rate,
                total,
                "0.00",
                "",
            ]
            rows.append((order.paid_at, _trade_row(merchant, order, order.paid_at, cells)))
            sales.append((order.total_minor, fee_minor))
        for refund in order.refunds:
            if refund.status == "CLOSED" or not _is_of(refund.created_at, day):
                continue
            amount = yuan(refund.amount_minor)
            back_minor = fee_of(refund.amount_minor, settings.fee_basis_points)
            cells = ["REFUND", "OTHERS", "CNY", "0.00", "0.00", refund.refund_id]
            cells += [refund.out_refund_no, amount, "0.00", "ORIGINAL", refund.status]
            cells += [
                order.description,
                order.attach,
                f"-{yuan(back_minor)}000",
                rate,
                "0.00",
                amount,
                "",
            ]
            rows.append((refund.created_at, _trade_row(merchant, order, refund.created_at, cells)))
            refunds.append((refund.amount_minor, back_minor))
    if not rows:
        return None
    sold, back = (yuan(sum(minor for minor, _ in each)) for each in (sales, refunds))
    fees_minor = sum(fee for _, fee in sales) - sum(fee for _, fee in refunds)
    totals = [str(len(rows)), sold, back, "0.00", f"{_signed(fees_minor)}000", sold, back]
    lines = [_COLUMNS, *(_row(cells) for _, cells in sorted(rows, key=lambda row: row[0]))]
    return _file([*lines, _TOTALS, _row(totals)])


def write_flow_bill(
    store: WechatStore, merchant: Merchant, day: date, settings: Settings
) -> str | None:
    """Write the bill of a day's movements: payments, fees, refunds, transfers, parts."""
    moves: list[tuple[datetime, str, str, int, str]] = []
    for order in store.orders(merchant):
        if order.paid_at is not None:
            fee_minor = fee_of(order.total_minor, settings.fee_basis_points)
            number = order.transaction_id
            moves.append((order.paid_at, number, "交易", order.total_minor, order.out_trade_no))
            moves.append((order.paid_at, number, "扣除交易手续费", -fee_minor, order.out_trade_no))
        moves += [
            (each.created_at, each.refund_id, "退款", -each.amount_minor, each.out_refund_no)
            for each in order.refunds
            if each.status != "CLOSED"
        ]
        moves += [
            (each.at, each.detail_id, "分账", -each.amount_minor, each.out_order_no)
            for each in order.parts
        ]
        moves += [
            (each.at, each.return_no, "分账回退", each.amount_minor, each.out_return_no)
            for each in order.backs
        ]
    moves += [
        (each.updated_at, each.transfer_bill_no, "商家转账", -each.amount_minor, each.out_bill_no)
        for each in store.transfers(merchant)
        if each.state == "SUCCESS"
    ]
    moves.sort(key=lambda move: move[0])
    balance_minor, rows = merchant.opening_minor, []
    gains: list[int] = []
    losses: list[int] = []
    for at, number, kind, minor, proof in moves:
        balance_minor += minor
        if not _is_of(at, day) or not minor:
            continue
        (gains if minor > 0 else losses).append(abs(minor))
        flow = hashlib.sha256(f"{number}{kind}".encode()).hexdigest()[:20]
        way = "收入" if minor > 0 else "支出"
        amounts = [yuan(abs(minor)), _signed(balance_minor)]
        cells = [_written(at), number, flow, kind, kind, way, *amounts, "system", "", proof]
        rows.append(_row(cells))
    if not rows:
        return None
    sums = [len(gains), yuan(sum(gains)), len(losses), yuan(sum(losses))]
    totals = [str(each) for each in (len(rows), *sums)]
    return _file([_FLOW_COLUMNS, *rows, _FLOW_TOTALS, _row(totals)])


def _signed(amount_minor: int) -> str:
    return f"-{yuan(-amount_minor)}" if amount_minor < 0 else yuan(amount_minor)


def _file(lines: list[str]) -> str:
    return "\ufeff" + "\r\n".join([*lines, ""])


def bill_link(store: WechatStore, call: Call, settings: Settings, secret: str, kind: str) -> Node:
    """Say where a bill lies, and what its hash is; the address is good for five minutes."""
    text = call.query.get("bill_date", "")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Refused("PARAM_ERROR", "参数bill_date须为yyyy-MM-dd格式") from None
    name, known = (
        ("bill_type", {"ALL"})
        if kind == "trade"
        else ("account_type", {"BASIC", "OPERATION", "FEES"})
    )
    if call.query.get(name, min(known)) not in known:
        raise Refused("PARAM_ERROR", f"参数{name}不支持")
    packing = call.query.get("tar_type", "")
    if packing not in {"", "GZIP"}:
        raise Refused("PARAM_ERROR", "参数tar_type只支持GZIP")
    here = call.now.astimezone(CHINA)
    if day > here.date() or (day == here.date() and not settings.has_bill_today):
        raise Refused("INVALID_REQUEST", "账单日期不能为当天或以后")
    begun = datetime(here.year, here.month, here.day, tzinfo=CHINA)
    is_fresh = day == here.date() - timedelta(days=1) and here < begun + _BILLS_FROM
    if is_fresh and not settings.has_bill_today:
        raise Refused("STATEMENT_CREATING")
    bill = write_bill(store, call.merchant, kind, day, settings)
    if bill is None:
        raise Refused("NO_STATEMENT_EXIST")
    until = int(call.now.timestamp()) + _LINK_TTL_S
    token = link_token(secret, call.merchant.mchid, kind, day, until, packing)
    where = f"{call.merchant.mchid}/{kind}/{day.isoformat()}"
    query = f"until={until}&tar_type={packing}&token={token}"
    return {
        "hash_type": "SHA1",
        "hash_value": hashlib.sha1(bill, usedforsecurity=False).hexdigest(),
        "download_url": f"{call.base_url}/wechat/v3/billdownload/file/{where}?{query}",
    }


def write_bill(
    store: WechatStore, merchant: Merchant, kind: str, day: date, settings: Settings
) -> bytes | None:
    """Write a bill, unpacked."""
    write = write_trade_bill if kind == "trade" else write_flow_bill
    text = write(store, merchant, day, settings)
    return text.encode() if text is not None else None


def pack(bill: bytes) -> bytes:
    """Pack a bill, always the same."""
    return gzip.compress(bill, mtime=0)


def link_token(secret: str, mchid: str, kind: str, day: date, until: int, packing: str) -> str:
    """Sign the address of a bill, so that it is good for this bill and until then only."""
    text = f"wechat|{mchid}|{kind}|{day.isoformat()}|{until}|{packing}"
    return hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()
