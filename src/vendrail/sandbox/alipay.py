"""Alipay's rules for trades: what each method does to a trade, and what it answers.

No I/O here, and no clock: each function takes the store, the call and the moment, changes the trade
and says which notifications are due. The gateway and the wallet pages carry them out.
"""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from vendrail.sandbox.calls import Call, is_url
from vendrail.sandbox.fields import read_amount, read_expiry, text_of
from vendrail.sandbox.records import Refund, Trade, TradeStatus, stamp, yuan
from vendrail.sandbox.refusals import Node, refuse, succeed
from vendrail.sandbox.store import Store

BUYER_ID = "2088722545315134"
BUYER_LOGON_ID = "san***@vendrail.test"

PAGE_TTL = timedelta(days=15)
_QR_TTL = timedelta(hours=2)
_PAID = (TradeStatus.TRADE_SUCCESS, TradeStatus.TRADE_FINISHED)


class Event(msgspec.Struct, frozen=True):
    """Something the merchant must be told."""

    trade: Trade
    refund: Refund | None = None


class Outcome(msgspec.Struct):
    """What a method answers, and whom it tells."""

    node: Node
    events: list[Event] = []
    page_url: str = ""  # Where a page method sends the buyer's browser.


def fund_bills(amount_minor: int) -> list[dict[str, str]]:
    """Say which of the buyer's funds paid."""
    return [{"amount": yuan(amount_minor), "fund_channel": "ALIPAYACCOUNT"}]


# The life of a trade.


def prepare(store: Store, call: Call, otherwise: timedelta) -> Trade | Node:
    """Note an order; the same order again is the same trade, a changed one is refused."""
    content = call.content
    total_minor = read_amount(text_of(content, "total_amount")) or 0
    subject = text_of(content, "subject")
    quit_url = text_of(content, "quit_url")
    if quit_url and not is_url(quit_url):
        return refuse("ACQ.INVALID_PARAMETER", "quit_url")
    trade = store.trade(call.app, text_of(content, "out_trade_no"))
    if trade is not None:
        if trade.status in _PAID or trade.paid_at is not None:
            return refuse("ACQ.TRADE_HAS_SUCCESS")
        if trade.status is TradeStatus.TRADE_CLOSED:
            return refuse("ACQ.TRADE_HAS_CLOSE")
        if (trade.total_minor, trade.subject) != (total_minor, subject):
            return refuse("ACQ.CONTEXT_INCONSISTENT")
        return trade
    expires_at = read_expiry(content, call.now, otherwise)
    if isinstance(expires_at, dict):
        return expires_at
    trade = Trade(
        app_id=call.app.app_id,
        out_trade_no=text_of(content, "out_trade_no"),
        trade_no=store.make_number(call.now),
        token=secrets.token_urlsafe(18),
        product=call.method.removeprefix("alipay.trade."),
        total_minor=total_minor,
        subject=subject,
        created_at=call.now,
        expires_at=expires_at,
        body=text_of(content, "body"),
        passback_params=text_of(content, "passback_params"),
        notify_url=call.notify_url,
        return_url=call.return_url,
        quit_url=quit_url,
    )
    store.save(trade)
    return trade


def expire_trades(store: Store, now: datetime) -> list[Event]:
    """Close what is over; the merchant is told only of trades that a buyer had opened."""
    events = []
    for trade in store.pop_expired(now):
        _close(store, trade, now)
        if trade.opened_at is not None:
            events.append(Event(trade))
    return events


def open_trade(store: Store, trade: Trade, now: datetime) -> None:
    """The buyer sees the page: from now on the trade exists for queries."""
    if trade.status is TradeStatus.PREPARED:
        trade.status = TradeStatus.WAIT_BUYER_PAY
        trade.opened_at = now
        store.save(trade)


def pay(store: Store, trade: Trade, now: datetime) -> list[Event]:
    """The buyer pays; a trade that is closed or paid stays as it is."""
    open_trade(store, trade, now)
    if trade.status is not TradeStatus.WAIT_BUYER_PAY:
        return []
    trade.status = TradeStatus.TRADE_SUCCESS
    trade.paid_at = now
    store.balances[trade.app_id] += trade.total_minor
    store.save(trade)
    return [Event(trade)]


def finish(store: Store, trade: Trade) -> list[Event]:
    """The time for refunds is over."""
    if trade.status is not TradeStatus.TRADE_SUCCESS:
        return []
    trade.status = TradeStatus.TRADE_FINISHED
    store.save(trade)
    return [Event(trade)]


def _close(store: Store, trade: Trade, now: datetime) -> None:
    trade.status = TradeStatus.TRADE_CLOSED
    trade.closed_at = now
    store.save(trade)


def _give_back(
    store: Store, trade: Trade, out_request_no: str, amount_minor: int, now: datetime
) -> Refund:
    refund = Refund(out_request_no, amount_minor, now)
    trade.refunds.append(refund)
    store.balances[trade.app_id] -= amount_minor
    if trade.refunded_minor == trade.total_minor:
        trade.status = TradeStatus.TRADE_CLOSED
        trade.closed_at = now
    store.save(trade)
    return refund


# The methods.


def page_pay(store: Store, call: Call) -> Outcome:
    """alipay.trade.page.pay and wap.pay: send the buyer's browser to the cashier."""
    trade = prepare(store, call, PAGE_TTL)
    if isinstance(trade, dict):
        return Outcome(trade)
    # A later form of the same order may come back elsewhere; the newest address counts.
    newest = (call.return_url or trade.return_url, call.notify_url or trade.notify_url)
    if newest != (trade.return_url, trade.notify_url):
        trade.return_url, trade.notify_url = newest
        store.save(trade)
    return Outcome(succeed(), page_url=f"{call.base_url}/alipay/cashier/{trade.token}")


def precreate(store: Store, call: Call) -> Outcome:
    """alipay.trade.precreate: give a QR code; the trade exists once it is scanned."""
    trade = prepare(store, call, _QR_TTL)
    if isinstance(trade, dict):
        return Outcome(trade)
    return Outcome(
        succeed(out_trade_no=trade.out_trade_no, qr_code=f"{call.base_url}/alipay/qr/{trade.token}")
    )


def _find(store: Store, call: Call) -> Trade | None:
    content = call.content
    return store.trade(call.app, text_of(content, "out_trade_no"), text_of(content, "trade_no"))


def query(store: Store, call: Call) -> Outcome:
    """alipay.trade.query: what the trade looks like now."""
    trade = _find(store, call)
    if trade is None or trade.opened_at is None:
        return Outcome(refuse("ACQ.TRADE_NOT_EXIST"))
    paid_minor = trade.total_minor if trade.paid_at else 0
    node = succeed(
        buyer_logon_id=BUYER_LOGON_ID,
        buyer_pay_amount=yuan(paid_minor),
        buyer_user_id=BUYER_ID,
        invoice_amount=yuan(paid_minor),
        out_trade_no=trade.out_trade_no,
        point_amount="0.00",
        receipt_amount=yuan(paid_minor),
        total_amount=yuan(trade.total_minor),
        trade_no=trade.trade_no,
        trade_status=trade.status.value,
    )
    if trade.paid_at:
        node["fund_bill_list"] = fund_bills(paid_minor)
        node["send_pay_date"] = stamp(trade.paid_at)
    if trade.body:
        node["body"] = trade.body
    if trade.passback_params:
        node["passback_params"] = trade.passback_params
    return Outcome(node)


def close(store: Store, call: Call) -> Outcome:
    """alipay.trade.close: end a trade that nobody has paid."""
    trade = _find(store, call)
    if trade is None or trade.opened_at is None:
        return Outcome(refuse("ACQ.TRADE_NOT_EXIST"))
    if trade.status is TradeStatus.TRADE_CLOSED:
        return Outcome(refuse("ACQ.TRADE_HAS_CLOSE"))
    if trade.status is not TradeStatus.WAIT_BUYER_PAY:
        return Outcome(refuse("ACQ.TRADE_STATUS_ERROR"))
    _close(store, trade, call.now)
    return Outcome(succeed(out_trade_no=trade.out_trade_no, trade_no=trade.trade_no))


def cancel(store: Store, call: Call) -> Outcome:
    """alipay.trade.cancel: close if unpaid, give back all if paid; unknown is no error."""
    trade = _find(store, call)
    node = succeed(out_trade_no=text_of(call.content, "out_trade_no"), retry_flag="N")
    if trade is None:
        return Outcome(node)
    node["out_trade_no"] = trade.out_trade_no
    if trade.status is TradeStatus.PREPARED:
        _close(store, trade, call.now)  # Nobody scanned it; whoever does now finds it closed.
        return Outcome(node)
    node["trade_no"] = trade.trade_no
    if trade.status is TradeStatus.WAIT_BUYER_PAY:
        _close(store, trade, call.now)
        node["action"] = "close"
    elif trade.status is TradeStatus.TRADE_FINISHED:
        return Outcome(refuse("ACQ.TRADE_HAS_FINISHED"))
    elif trade.status is TradeStatus.TRADE_SUCCESS:
        if trade.refunds:
            return Outcome(refuse("ACQ.REASON_TRADE_REFUND_FEE_ERR", "交易已发生退款"))
        if store.balances[trade.app_id] < trade.total_minor:
            return Outcome(refuse("ACQ.SELLER_BALANCE_NOT_ENOUGH"))
        given = _give_back(store, trade, trade.out_trade_no, trade.total_minor, call.now)
        node["action"] = "refund"
        node["gmt_refund_pay"] = stamp(call.now)
        return Outcome(node, [Event(trade, given)])
    else:
        node["action"] = "refund" if trade.paid_at else "close"
    return Outcome(node)


def refund(store: Store, call: Call) -> Outcome:
    """alipay.trade.refund: give back, once per request number, never more than was paid."""
    trade = _find(store, call)
    if trade is None or trade.opened_at is None:
        return Outcome(refuse("ACQ.TRADE_NOT_EXIST"))
    amount_minor = read_amount(text_of(call.content, "refund_amount")) or 0
    requested = text_of(call.content, "out_request_no")
    out_request_no = requested or trade.out_trade_no
    for known in trade.refunds:
        if known.out_request_no == out_request_no:
            if known.amount_minor != amount_minor:
                return Outcome(refuse("ACQ.DISCORDANT_REPEAT_REQUEST"))
            return Outcome(_refund_node(trade, known, is_new=False))
    problem = _check_refund(store, trade, amount_minor, is_named=bool(requested))
    if problem is not None:
        return Outcome(problem)
    given = _give_back(store, trade, out_request_no, amount_minor, call.now)
    return Outcome(_refund_node(trade, given, is_new=True), [Event(trade, given)])


def _check_refund(store: Store, trade: Trade, amount_minor: int, *, is_named: bool) -> Node | None:
    if trade.status is TradeStatus.TRADE_FINISHED:
        return refuse("ACQ.TRADE_HAS_FINISHED")
    if trade.paid_at is None:
        return refuse("ACQ.TRADE_STATUS_ERROR")
    if amount_minor > trade.total_minor:
        return refuse("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额大于交易金额")
    if amount_minor > trade.total_minor - trade.refunded_minor:
        return refuse("ACQ.REASON_TRADE_REFUND_FEE_ERR", "退款总额大于交易金额")
    if amount_minor != trade.total_minor and not is_named:
        return refuse("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "部分退款需传out_request_no")
    if store.balances[trade.app_id] < amount_minor:
        return refuse("ACQ.SELLER_BALANCE_NOT_ENOUGH")
    return None


def _refund_node(trade: Trade, given: Refund, *, is_new: bool) -> Node:
    return succeed(
        buyer_logon_id=BUYER_LOGON_ID,
        buyer_user_id=BUYER_ID,
        fund_change="Y" if is_new else "N",
        gmt_refund_pay=stamp(given.at),
        out_trade_no=trade.out_trade_no,
        refund_fee=yuan(trade.refunded_minor),
        send_back_fee=yuan(given.amount_minor if is_new else 0),
        trade_no=trade.trade_no,
    )


def refund_query(store: Store, call: Call) -> Outcome:
    """alipay.trade.fastpay.refund.query: a refund that is not there is a success without fields."""
    trade = _find(store, call)
    if trade is None or trade.opened_at is None:
        return Outcome(refuse("ACQ.TRADE_NOT_EXIST"))
    wanted = text_of(call.content, "out_request_no")
    for given in trade.refunds:
        if given.out_request_no == wanted:
            return Outcome(
                succeed(
                    gmt_refund_pay=stamp(given.at),
                    out_request_no=given.out_request_no,
                    out_trade_no=trade.out_trade_no,
                    refund_amount=yuan(given.amount_minor),
                    refund_status="REFUND_SUCCESS",
                    total_amount=yuan(trade.total_minor),
                    trade_no=trade.trade_no,
                )
            )
    return Outcome(succeed())


Operation = Callable[[Store, Call], Outcome]

TRADE_METHODS: dict[str, Operation] = {
    "alipay.trade.page.pay": page_pay,
    "alipay.trade.wap.pay": page_pay,
    "alipay.trade.precreate": precreate,
    "alipay.trade.query": query,
    "alipay.trade.close": close,
    "alipay.trade.cancel": cancel,
    "alipay.trade.refund": refund,
    "alipay.trade.fastpay.refund.query": refund_query,
}
PAGE_METHODS = frozenset({"alipay.trade.page.pay", "alipay.trade.wap.pay"})
