"""WeChat Pay's callbacks: verified over their raw bytes, unsealed, and read. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from vendrail.api.payments import Callback
from vendrail.payments.channels.base import CallbackFacts, CallbackKind, CallbackRefusal
from vendrail.payments.channels.wechat_messages import (
    WechatSettings,
    as_dict,
    read_time,
    read_total,
    refusal_of,
    signed_by,
    unseal_resource,
)
from vendrail.payments.channels.wechat_signatures import PUBLIC_KEY_MARK


def read_notification(
    raw: Callback, settings: WechatSettings, now: datetime
) -> CallbackFacts | CallbackRefusal:
    """Verify a callback over its raw bytes, unseal and read it."""
    headers = {name.lower(): value for name, value in raw.headers.items()}
    key = settings.key_for(signed_by(headers), now)
    if refusal := refusal_of(headers, raw.body, key, now):
        is_certified = not signed_by(headers).startswith(PUBLIC_KEY_MARK)
        return CallbackRefusal(refusal, is_certified and refusal == "certificate_unknown")
    try:
        envelope = msgspec.json.decode(raw.body, type=dict[str, Any])
        resource = as_dict(envelope.get("resource"))
        opened = unseal_resource(resource, settings)
        if envelope.get("resource_type") != "encrypt-resource" or opened is None:
            return CallbackRefusal("sealed_with_another_key")
        fields = msgspec.json.decode(opened, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return CallbackRefusal("malformed")
    id, what = envelope.get("id"), resource.get("original_type")
    if not isinstance(id, str) or not id:
        return CallbackRefusal("malformed")
    # What it tells of is said by its type: a profit sharing comes as TRANSACTION.SUCCESS too.
    if what == "transaction":
        return _read_transaction(id, fields, settings)
    if what == "refund":
        return _read_refunded(id, fields, settings)
    kind, number = CallbackKind.OTHER, fields.get("out_bill_no") or fields.get("out_order_no")
    return CallbackFacts(id, kind, case_number=str(number or ""))


def _read_transaction(
    id: str, fields: Mapping[str, Any], settings: WechatSettings
) -> CallbackFacts:
    amount = as_dict(fields.get("amount"))
    total_minor, number = read_total(amount), str(fields.get("transaction_id") or "")
    state = fields.get("trade_state")
    kind = CallbackKind.OTHER
    if state == "SUCCESS":
        kind = CallbackKind.CAPTURED
    elif state in {"CLOSED", "REVOKED"}:
        kind = CallbackKind.CLOSED
    mismatch = ""
    if fields.get("mchid") != settings.mchid:
        mismatch = "account_differs"
    elif fields.get("appid") != settings.appid:
        mismatch = "application_differs"
    elif kind is CallbackKind.CAPTURED and (total_minor is None or not number):
        mismatch = "amount_or_number_malformed"
    return CallbackFacts(
        event=id,
        kind=kind,
        out_trade_no=str(fields.get("out_trade_no") or ""),
        provider_number=number,
        amount_minor=total_minor or 0,
        currency=str(amount.get("currency") or "CNY"),
        paid_at=read_time(fields.get("success_time")),
        mismatch=mismatch,
    )


def _read_refunded(id: str, fields: Mapping[str, Any], settings: WechatSettings) -> CallbackFacts:
    is_back = fields.get("refund_status") == "SUCCESS"
    return CallbackFacts(
        event=id,
        kind=CallbackKind.REFUNDED if is_back else CallbackKind.REFUND_FAILED,
        out_trade_no=str(fields.get("out_trade_no") or ""),
        provider_number=str(fields.get("transaction_id") or ""),
        amount_minor=read_total(fields.get("amount"), "refund") or 0,
        currency="CNY",
        paid_at=read_time(fields.get("success_time")),
        mismatch="" if fields.get("mchid") == settings.mchid else "account_differs",
        case_number=str(fields.get("out_refund_no") or ""),
    )
