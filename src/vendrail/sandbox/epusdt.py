"""Epusdt's rules: what its doors check, how an amount finds its order, how callbacks are signed.

No I/O here, and no clock. The signing is written apart from the channel's, so that each checks the
other.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

from vendrail.sandbox.calls import is_url
from vendrail.sandbox.faults import Fault, FaultKind
from vendrail.sandbox.journal import Journal
from vendrail.sandbox.records import Notice, NoticeEnd

PROGRAMS = ("epusdt", "bepusdt", "gmpay")
COINS = frozenset({"usdt.trc20", "usdt.erc20", "usdt.bep20", "usdc.trc20", "usdc.erc20"})

WAITING, PAID, EXPIRED, CANCELLED, CONFIRMING = 1, 2, 3, 4, 5
_RATE = Decimal("7.1")  # Yuan for a coin.
_STEP = Decimal("0.01")
_STEPS_MAX = 100
_TTL_S = 600
_AMOUNT_MAX = Decimal(1_000_000)
_RATES = re.compile(r"[~\uff5e+-]?\d{1,6}(\.\d{1,6})?")

# Every way to say no: code and words.
REFUSALS = {
    "account_unknown": (401, "签名认证错误：api_auth_token 未配置"),
    "json_malformed": (10009, "无法解析请求参数"),
    "signature_missing": (401, "签名认证错误：signature 不能为空"),
    "signature_wrong": (401, "签名认证错误"),
    "order_id_missing": (400, "order_id 不能为空"),
    "order_id_too_long": (400, "order_id 不能超过32位"),
    "amount_missing": (400, "amount 不能为空"),
    "amount_malformed": (400, "amount 必须是数字"),
    "amount_too_small": (10004, "支付金额有误, 无法满足最小支付单位"),
    "amount_too_large": (400, "amount 超出上限"),
    "notify_url_missing": (400, "notify_url 不能为空"),
    "notify_url_malformed": (400, "notify_url 格式不正确"),
    "redirect_url_malformed": (400, "redirect_url 格式不正确"),
    "order_exists": (10002, "支付交易已存在，请勿重复创建"),
    "wallet_missing": (10003, "无可用钱包地址，无法发起支付"),
    "amounts_used_up": (10005, "无可用金额通道"),
    "rate_malformed": (10006, "汇率计算错误"),
    "timeout_too_short": (400, "timeout 不能小于60秒"),
    "trade_type_unknown": (400, "trade_type 不支持"),
    "order_unknown": (10008, "订单不存在"),
    "order_not_waiting": (10013, "订单不是等待支付状态"),
    "door_unknown": (400, "该版本不支持此接口"),
    "pid_unknown": (401, "签名认证错误：pid 不存在"),
    "currency_unknown": (400, "currency 不支持"),
    "network_missing": (400, "token 与 network 必须同时提供"),
    "asset_unknown": (10016, "支持的资产不存在"),
    "system_busy": (400, "系统错误"),
}

Reply = dict[str, object]


class Refused(Exception):
    """A request that is not taken; the name is one of the table's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def refuse(name: str) -> Reply:
    """Give the reply of a refusal."""
    code, words = REFUSALS[name]
    return {"status_code": code, "message": words, "data": None, "request_id": ""}


def succeed(data: Reply) -> Reply:
    """Give the reply of a success."""
    return {"status_code": 200, "message": "success", "data": data, "request_id": ""}


class Account(msgspec.Struct, tag="account"):
    """A server of somebody's: its token, and which program it runs."""

    id: str
    token: str
    name: str
    program: str = "epusdt"
    signs_by: str = "md5"
    has_wallet: bool = True


class Order(msgspec.Struct, tag="order"):
    """One order, and what became of it."""

    account: str
    order_id: str
    trade_id: str
    amount: str  # In yuan, as short as it is signed.
    actual_amount: str  # In coins: what tells this order from the others of its address.
    address: str
    coin: str
    notify_url: str
    redirect_url: str
    created_at: datetime
    expires_at: datetime
    status: int = WAITING
    paid_at: datetime | None = None


Kept = Account | Order | Notice | NoticeEnd


class EpusdtStore:
    """All of it in memory, found by every number that names it, and in a journal."""

    def __init__(self, journal: Path, compact_bytes: int) -> None:
        self.accounts: dict[str, Account] = {}
        self.notices: dict[str, Notice] = {}
        self.orders: dict[str, Order] = {}
        self._by_number: dict[tuple[str, str], Order] = {}
        self._journal: Journal[Kept] = Journal(journal, Kept, compact_bytes, self._records)
        for record in self._journal.read():
            self._index(record)
        self._journal.open()

    def _records(self) -> Iterator[Kept]:
        yield from self.accounts.values()
        yield from self.orders.values()
        yield from self.notices.values()

    def _index(self, record: Kept) -> None:
        match record:
            case Account():
                self.accounts[record.id] = record
            case Order():
                self.orders[record.trade_id] = record
                self._by_number[record.account, record.order_id] = record
            case Notice():
                self.notices[record.notify_id] = record
            case NoticeEnd():
                self.notices.pop(record.notify_id, None)

    def save(self, *records: Kept) -> None:
        """Keep new or changed records, in the journal before returning."""
        for record in records:
            self._index(record)
        self._journal.append(records)

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def order(self, account: str, order_id: str) -> Order | None:
        """Find an order by the merchant's number."""
        return self._by_number.get((account, order_id))


# Signatures.


def write_number(value: Decimal) -> str:
    """Write a number as the server prints it: no zeros behind, no exponent."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _text(value: object) -> str:
    return write_number(value) if isinstance(value, Decimal) else str(value)


def sign(fields: Mapping[str, object], account: Account) -> str:
    """Sign: what is not empty, in order, then the token, as the program does."""
    parts = sorted(
        f"{name}={_text(value)}"
        for name, value in fields.items()
        if value not in (None, "") and name != "signature"
    )
    text = "&".join(parts)
    if account.signs_by == "hmac":
        return hmac.new(account.token.encode(), text.encode(), hashlib.sha256).hexdigest()
    return hashlib.md5((text + account.token).encode(), usedforsecurity=False).hexdigest()


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written: a field that comes twice is there twice."""


def read_body(store: EpusdtStore, account_id: str, body: bytes) -> tuple[Account, dict[str, Any]]:
    """Read a request and see who sent it."""
    account = store.accounts.get(account_id)
    if account is None:
        raise Refused("account_unknown")
    try:
        pairs = json.loads(body, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_Pairs)
        fields = dict(pairs) if isinstance(pairs, _Pairs) else {}
    except (ValueError, TypeError, RecursionError, InvalidOperation):
        raise Refused("json_malformed") from None
    if not isinstance(pairs, _Pairs) or len(fields) != len(pairs):
        raise Refused("json_malformed")
    if any(isinstance(value, list | bool) for value in fields.values()):
        raise Refused("json_malformed")
    told = fields.get("signature")
    if not isinstance(told, str) or not told:
        raise Refused("signature_missing")
    if not hmac.compare_digest(sign(fields, account).encode(), told.encode()):
        raise Refused("signature_wrong")
    return account, fields


# Orders.


def _read_amount(value: object) -> Decimal:
    if value in (None, ""):
        raise Refused("amount_missing")
    if not isinstance(value, Decimal) or not value.is_finite():
        raise Refused("amount_malformed")
    if value > _AMOUNT_MAX:
        raise Refused("amount_too_large")
    if value <= Decimal("0.01"):
        raise Refused("amount_too_small")
    return value


def _read_coin(account: Account, fields: Mapping[str, Any]) -> str:
    if account.program == "epusdt":
        return "usdt.trc20"
    if account.program == "bepusdt":
        coin = fields.get("trade_type") or "usdt.trc20"
        if coin not in COINS:
            raise Refused("trade_type_unknown")
        return str(coin)
    if fields.get("pid") != account.id:
        raise Refused("pid_unknown")
    if fields.get("currency") not in {"cny", "CNY"}:
        raise Refused("currency_unknown")
    if bool(fields.get("token")) != bool(fields.get("network")):
        raise Refused("network_missing")
    coin = f"{fields.get('token', 'usdt')}.{fields.get('network', 'trc20')}"
    if coin not in COINS:
        raise Refused("asset_unknown")
    return coin


def _check_texts(fields: Mapping[str, Any]) -> None:
    order_id = fields.get("order_id")
    if not isinstance(order_id, str) or not order_id:
        raise Refused("order_id_missing")
    if len(order_id) > 32:
        raise Refused("order_id_too_long")
    notify_url, redirect_url = fields.get("notify_url"), fields.get("redirect_url")
    if not isinstance(notify_url, str) or not notify_url:
        raise Refused("notify_url_missing")
    if not is_url(notify_url):
        raise Refused("notify_url_malformed")
    if redirect_url and not (isinstance(redirect_url, str) and is_url(redirect_url)):
        raise Refused("redirect_url_malformed")


def _read_ttl(fields: Mapping[str, Any]) -> timedelta:
    timeout = fields.get("timeout", Decimal(_TTL_S))
    if not isinstance(timeout, Decimal) or timeout < 60:
        raise Refused("timeout_too_short")
    return timedelta(seconds=min(int(timeout), 86_400))


def _find_amount(store: EpusdtStore, wanted: Decimal, address: str, now: datetime) -> str:
    """Find an amount that no waiting order of the address has: the first free step upwards."""
    taken = {
        order.actual_amount
        for order in store.orders.values()
        if order.address == address and status_of(order, now) in {WAITING, CONFIRMING}
    }
    for step in range(_STEPS_MAX):
        actual = write_number(wanted + step * _STEP)
        if actual not in taken:
            return actual
    raise Refused("amounts_used_up")


def create(store: EpusdtStore, account: Account, fields: Mapping[str, Any], now: datetime) -> Order:
    """Take an order; one number is one order, for ever."""
    _check_texts(fields)
    amount = _read_amount(fields.get("amount"))
    coin = _read_coin(account, fields)
    if (rate := fields.get("rate")) and not _RATES.fullmatch(str(rate)):
        raise Refused("rate_malformed")
    ttl = _read_ttl(fields)
    if store.order(account.id, fields["order_id"]) is not None:
        raise Refused("order_exists")
    if not account.has_wallet:
        raise Refused("wallet_missing")
    coins = (amount / _RATE).quantize(_STEP, ROUND_HALF_UP)
    if coins < _STEP:
        raise Refused("amount_too_small")
    address = "T" + hashlib.sha256(f"{account.id}{coin}".encode()).hexdigest()[:33]
    order = Order(
        account=account.id,
        order_id=fields["order_id"],
        trade_id=f"{now:%Y%m%d}{secrets.randbelow(10**14):014d}",
        amount=write_number(amount),
        actual_amount=_find_amount(store, coins, address, now),
        address=str(fields.get("address") or address),
        coin=coin,
        notify_url=fields["notify_url"],
        redirect_url=fields.get("redirect_url") or "",
        created_at=now,
        expires_at=now + ttl,
    )
    store.save(order)
    return order


def describe(order: Order, page_url: str) -> Reply:
    """Give what is told of a new order."""
    return {
        "trade_id": order.trade_id,
        "order_id": order.order_id,
        "amount": msgspec.Raw(order.amount.encode()),
        "actual_amount": msgspec.Raw(order.actual_amount.encode()),
        "token": order.address,
        "expiration_time": int(order.expires_at.timestamp()),
        "payment_url": page_url,
    }


def status_of(order: Order, now: datetime) -> int:
    """Say where an order stands: what nobody paid in time has expired."""
    is_over = order.status == WAITING and now >= order.expires_at
    return EXPIRED if is_over else order.status


def tell_status(order: Order, program: str, now: datetime) -> Reply:
    """Tell a trade's state, in the form that the program has."""
    data: Reply = {"trade_id": order.trade_id, "status": status_of(order, now)}
    if program == "bepusdt":  # It has no envelope.
        return {**data, "trade_hash": "", "return_url": order.redirect_url}
    return succeed(data)


def cancel(store: EpusdtStore, account: Account, fields: Mapping[str, Any], now: datetime) -> Order:
    """Take an order back that nobody has paid: its amount is free again."""
    if account.program != "bepusdt":
        raise Refused("door_unknown")
    order = store.orders.get(str(fields.get("trade_id", "")))
    if order is None or order.account != account.id:
        raise Refused("order_unknown")
    if status_of(order, now) != WAITING:
        raise Refused("order_not_waiting")
    order.status = CANCELLED
    store.save(order)
    return order


def pay(store: EpusdtStore, order: Order, now: datetime) -> bool:
    """Let the exact amount arrive, final; give whether it found its order."""
    if status_of(order, now) not in {WAITING, CONFIRMING}:
        return False
    order.status, order.paid_at = PAID, now
    store.save(order)
    return True


# Callbacks.


def tell(order: Order, account: Account, now: datetime, changes: Mapping[str, Any]) -> bytes:
    """Write a signed callback, with changes made before it is signed."""
    fields: dict[str, Any] = {
        "trade_id": order.trade_id,
        "order_id": order.order_id,
        "amount": Decimal(order.amount),
        "actual_amount": Decimal(order.actual_amount),
        "token": order.address,
        "block_transaction_id": "",  # It is empty in practice, and so it is not signed.
        "status": Decimal(status_of(order, now)),
        **({"pid": account.id} if account.program == "gmpay" else {}),
        **changes,
    }
    fields["signature"] = sign(fields, account)
    raw = {
        name: msgspec.Raw(write_number(value).encode()) if isinstance(value, Decimal) else value
        for name, value in fields.items()
    }
    return msgspec.json.encode(raw)


def disturb(reply: Reply, faults: Mapping[FaultKind, Fault]) -> Reply:
    """Change what a door answers: unknown, refused, or at odds with what happened."""
    if FaultKind.QUERY_UNKNOWN in faults:
        return refuse("system_busy")
    if FaultKind.BUSINESS_ERROR in faults:
        return refuse(faults[FaultKind.BUSINESS_ERROR].params.sub_code)
    data = reply.get("data") if "status_code" in reply else reply
    if FaultKind.QUERY_DISAGREES not in faults or not isinstance(data, dict):
        return reply
    data["status"] = WAITING if data.get("status") == PAID else PAID
    return reply
