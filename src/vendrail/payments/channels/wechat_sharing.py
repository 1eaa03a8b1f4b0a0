"""Profit sharing with WeChat Pay: parts of a payment that stands frozen go to other merchants.

An order whose account says so is frozen when it is paid. Its parts go out once per number of ours;
what is left is set free at the end. Every answer is the provider's own, verified.
"""

from collections.abc import Sequence
from datetime import datetime

from vendrail.kernel.codec import Record
from vendrail.payments.channels import wechat_signatures as signatures
from vendrail.payments.channels.base import Account
from vendrail.payments.channels.wechat_client import call, sealing_key
from vendrail.payments.channels.wechat_messages import Reply, WechatSettings

RECEIVERS_MAX = 50


class Receiver(Record, frozen=True):
    """Who gets parts: a merchant, or a person by openid."""

    kind: str  # MERCHANT_ID or PERSONAL_OPENID.
    account: str
    name: str = ""  # A merchant's full name; it is sealed, and compared by WeChat Pay.
    relation: str = "PARTNER"


class Share(Record, frozen=True):
    """One part."""

    receiver: Receiver
    amount_minor: int
    description: str


async def add_receiver(
    receiver: Receiver, account: Account[WechatSettings], now: datetime
) -> Reply:
    """Make somebody known who may get parts; once more changes nothing."""
    serial, body = await _receiver(receiver, account, now)
    body |= {"appid": account.settings.appid, "relation_type": receiver.relation}
    return await call(
        account, "POST", "/v3/profitsharing/receivers/add", now, body=body, serial=serial
    )


async def share(
    transaction: str,
    number: str,
    shares: Sequence[Share],
    account: Account[WechatSettings],
    now: datetime,
    *,
    is_last: bool = False,
) -> Reply:
    """Send parts out, once per number; with the last ones, what is left is set free."""
    if not 0 < len(shares) <= RECEIVERS_MAX:
        raise ValueError(f"A profit sharing has 1 to {RECEIVERS_MAX} receivers.")
    receivers, serial = [], ""
    for each in shares:
        serial, receiver = await _receiver(each.receiver, account, now)
        receivers.append(
            {**receiver, "amount": each.amount_minor, "description": each.description[:80]}
        )
    body = {
        "appid": account.settings.appid,
        "transaction_id": transaction,
        "out_order_no": number,
        "receivers": receivers,
        "unfreeze_unsplit": is_last,
    }
    return await call(account, "POST", "/v3/profitsharing/orders", now, body=body, serial=serial)


async def read_sharing(
    transaction: str, number: str, account: Account[WechatSettings], now: datetime
) -> Reply:
    """Ask what became of parts."""
    path = f"/v3/profitsharing/orders/{number}"
    return await call(account, "GET", path, now, query={"transaction_id": transaction})


async def unfreeze(
    transaction: str,
    number: str,
    description: str,
    account: Account[WechatSettings],
    now: datetime,
) -> Reply:
    """Set free what is left: no part goes out any more."""
    body = {
        "transaction_id": transaction,
        "out_order_no": number,
        "description": description[:80],
    }
    return await call(account, "POST", "/v3/profitsharing/orders/unfreeze", now, body=body)


async def take_back(
    number: str,
    back_number: str,
    merchant: str,
    amount_minor: int,
    description: str,
    account: Account[WechatSettings],
    now: datetime,
) -> Reply:
    """Take a part back from the merchant that got it, once per number: before a refund."""
    body = {
        "out_order_no": number,
        "out_return_no": back_number,
        "return_mchid": merchant,
        "amount": amount_minor,
        "description": description[:80],
    }
    return await call(account, "POST", "/v3/profitsharing/return-orders", now, body=body)


async def read_taken_back(
    number: str, back_number: str, account: Account[WechatSettings], now: datetime
) -> Reply:
    """Ask what became of a part that was to come back."""
    path = f"/v3/profitsharing/return-orders/{back_number}"
    return await call(account, "GET", path, now, query={"out_order_no": number})


async def read_unsplit(transaction: str, account: Account[WechatSettings], now: datetime) -> Reply:
    """Ask how much of a payment is still frozen."""
    return await call(account, "GET", f"/v3/profitsharing/transactions/{transaction}/amounts", now)


async def _receiver(
    receiver: Receiver, account: Account[WechatSettings], now: datetime
) -> tuple[str, dict[str, object]]:
    """Give a receiver as WeChat Pay is told of it, and whose key its name is sealed for."""
    body: dict[str, object] = {"type": receiver.kind, "account": receiver.account}
    if not receiver.name:
        return "", body
    serial, key = await sealing_key(account, now)
    return serial, body | {"name": signatures.seal_name(receiver.name, key)}
