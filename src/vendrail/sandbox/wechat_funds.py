"""WeChat Pay beside payments: transfers to people, and profit sharing. No I/O, and no clock."""

import re
import secrets
from datetime import datetime

from vendrail.sandbox.wechat import News
from vendrail.sandbox.wechat_calls import (
    Call,
    Node,
    Refused,
    address_of,
    amount_of,
    is_certified,
    text_of,
)
from vendrail.sandbox.wechat_keys import WechatKeys
from vendrail.sandbox.wechat_records import (
    Back,
    Merchant,
    Order,
    Part,
    Transfer,
    WechatStore,
    make_number,
    stamp,
)

_BILL_NUMBER = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)
_SHARING_NUMBER = re.compile(r"[A-Za-z0-9_\-|*@]{1,64}", re.ASCII)
_SCENES = {"1000": 2, "1005": 2, "1009": 1, "1010": 1}  # With how many things to report.
_NAMED_MINOR_MIN = 30
_NAMED_MINOR_MUST = 200_000
_TRANSFER_MINOR_MIN = 10
_SHARED_PARTS_MAX = 30  # Hundredths of an order that may go to others.
PAYEE_NAME = "王小明"


# Transfers.


def transfer(store: WechatStore, keys: WechatKeys, call: Call) -> Node:
    """Take a transfer; its payee must confirm it. The same one again is the same."""
    merchant = call.merchant
    number = call.text("out_bill_no", 64)
    if not _BILL_NUMBER.fullmatch(number):
        raise Refused("PARAM_ERROR", "参数out_bill_no只能由数字、大小写字母组成")
    if call.text("appid", 32) != merchant.appid:
        raise Refused("APPID_MCHID_NOT_MATCH")
    scene, openid = call.text("transfer_scene_id", 36), call.text("openid", 64)
    if scene not in _SCENES:
        raise Refused("NO_AUTH", "商户未获取该转账场景的权限")
    reports = call.body.get("transfer_scene_report_infos")
    told = [each for each in reports if isinstance(each, dict)] if isinstance(reports, list) else []
    if len(told) < _SCENES[scene] or not all(
        text_of(each, "info_type", 15) and text_of(each, "info_content", 32) for each in told
    ):
        raise Refused("PARAM_ERROR", "未传入完整且对应的转账场景报备信息")
    amount_minor = amount_of(call.body, "transfer_amount", _TRANSFER_MINOR_MIN)
    remark = call.text("transfer_remark", 32)
    name = _read_name(call, keys, amount_minor)
    if not openid.startswith(f"o{merchant.appid[2:8]}"):
        raise Refused("OPENID_MISMATCH")
    notify_url = address_of(call.body, "notify_url", is_needed=False)
    known = store.transfer(merchant.mchid, number)
    if known is not None:
        if (known.openid, known.amount_minor, known.scene) != (openid, amount_minor, scene):
            raise Refused("ALREADY_EXISTS")
        return _tell_taken(known)
    if amount_minor > store.balance_minor(merchant):
        raise Refused("NOT_ENOUGH")
    made = Transfer(
        mchid=merchant.mchid,
        out_bill_no=number,
        transfer_bill_no=make_number("13300", call.now),
        openid=openid,
        amount_minor=amount_minor,
        remark=remark,
        scene=scene,
        user_name=name,
        package_info=secrets.token_urlsafe(48),
        created_at=call.now,
        updated_at=call.now,
        notify_url=notify_url,
    )
    store.save(made)
    return _tell_taken(made)


def _read_name(call: Call, keys: WechatKeys, amount_minor: int) -> str:
    sealed = call.text("user_name", 1_024, is_needed=False)
    if not sealed:
        if amount_minor >= _NAMED_MINOR_MUST:
            raise Refused("PARAM_ERROR", "转账金额大于等于2000元时，收款用户姓名必填")
        return ""
    if amount_minor < _NAMED_MINOR_MIN:
        raise Refused("PARAM_ERROR", "转账金额小于0.3元时，不支持校验收款用户姓名")
    name = keys.read_name(sealed, is_certified=is_certified(call, keys))
    if name is None:
        raise Refused("PARAM_ERROR", "收款用户姓名解密失败，请检查加密所用公钥或证书")
    return name


def _tell_taken(transfer: Transfer) -> Node:
    node: Node = {
        "out_bill_no": transfer.out_bill_no,
        "transfer_bill_no": transfer.transfer_bill_no,
        "create_time": stamp(transfer.created_at),
        "state": transfer.state,
    }
    waits = transfer.state == "WAIT_USER_CONFIRM"
    return node | ({"package_info": transfer.package_info} if waits else {})


def query_transfer(store: WechatStore, call: Call, number: str) -> Node:
    """Say what became of a transfer."""
    return tell_transfer(find_transfer(store, call.merchant.mchid, number), call.merchant)


def find_transfer(store: WechatStore, mchid: str, number: str) -> Transfer:
    """Find a transfer that must be there."""
    found = store.transfer(mchid, number)
    if found is None:
        raise Refused("NOT_FOUND")
    return found


def tell_transfer(transfer: Transfer, merchant: Merchant) -> Node:
    """Say what a transfer looks like now."""
    node: Node = {
        "mch_id": merchant.mchid,
        "out_bill_no": transfer.out_bill_no,
        "transfer_bill_no": transfer.transfer_bill_no,
        "appid": merchant.appid,
        "state": transfer.state,
        "transfer_amount": transfer.amount_minor,
        "transfer_remark": transfer.remark,
        "openid": transfer.openid,
        "create_time": stamp(transfer.created_at),
        "update_time": stamp(transfer.updated_at),
    }
    return node | ({"fail_reason": transfer.fail_reason} if transfer.fail_reason else {})


def cancel_transfer(store: WechatStore, call: Call, number: str) -> Node:
    """Take a transfer back that nobody has confirmed."""
    transfer = find_transfer(store, call.merchant.mchid, number)
    if transfer.state not in {"WAIT_USER_CONFIRM", "CANCELING", "CANCELLED"}:
        raise Refused("INVALID_REQUEST", "当前转账单状态不能撤销")
    if transfer.state == "WAIT_USER_CONFIRM":
        transfer.state, transfer.updated_at = "CANCELLED", call.now
        store.save(transfer)
    return {
        "out_bill_no": transfer.out_bill_no,
        "transfer_bill_no": transfer.transfer_bill_no,
        "state": "CANCELING",
        "update_time": stamp(transfer.updated_at),
    }


def confirm_transfer(
    store: WechatStore, transfer: Transfer, merchant: Merchant, now: datetime
) -> News | None:
    """The payee confirms: the money is theirs, if the name is."""
    if transfer.state != "WAIT_USER_CONFIRM":
        return None
    is_known = transfer.user_name in {"", PAYEE_NAME}
    transfer.state = "SUCCESS" if is_known else "FAIL"
    transfer.fail_reason = "" if is_known else "REAL_NAME_CHECK_FAIL"
    transfer.updated_at = now
    store.save(transfer)
    return News(
        "MCHTRANSFER.BILL.FINISHED",
        "mch_payment",
        "商家转账单据终态通知",
        tell_transfer(transfer, merchant),
        transfer.notify_url,
        transfer.out_bill_no,
    )


# Profit sharing.


def add_receiver(store: WechatStore, keys: WechatKeys, call: Call) -> Node:
    """Make somebody known who may get parts."""
    kind, account = _receiver_of(call, keys, call.body)
    relation = call.text("relation_type", 32)
    name = f"{kind}:{account}"
    if name not in call.merchant.receivers:
        call.merchant.receivers = [*call.merchant.receivers, name]
        store.save(call.merchant)
    return {"type": kind, "account": account, "relation_type": relation}


def _receiver_of(call: Call, keys: WechatKeys, node: Node) -> tuple[str, str]:
    kind, account = text_of(node, "type", 32), text_of(node, "account", 64)
    if kind not in {"MERCHANT_ID", "PERSONAL_OPENID"}:
        raise Refused("PARAM_ERROR", "参数type须为MERCHANT_ID或PERSONAL_OPENID")
    sealed = text_of(node, "name", 1_024, is_needed=False)
    if sealed and keys.read_name(sealed, is_certified=is_certified(call, keys)) is None:
        raise Refused("PARAM_ERROR", "分账接收方全称解密失败")
    return kind, account


def _find_paid(store: WechatStore, call: Call, transaction: str) -> Order:
    order = store.order(call.merchant.mchid, "", transaction)
    if order is None or order.paid_at is None:
        raise Refused("RESOURCE_NOT_EXISTS", "订单不存在")
    return order


def share(store: WechatStore, keys: WechatKeys, call: Call) -> Node:
    """Send parts of a frozen payment to others, once per number."""
    order = _find_paid(store, call, call.text("transaction_id", 64))
    number = call.text("out_order_no", 64)
    if not _SHARING_NUMBER.fullmatch(number):
        raise Refused("PARAM_ERROR", "参数out_order_no格式不正确")
    receivers, is_last = call.body.get("receivers"), call.body.get("unfreeze_unsplit")
    if not isinstance(receivers, list) or not 0 < len(receivers) <= 50:
        raise Refused("PARAM_ERROR", "分账接收方须为1到50个")
    if not isinstance(is_last, bool):
        raise Refused("PARAM_ERROR", "参数unfreeze_unsplit不能为空")
    if number in order.sharings:
        return tell_sharing(order, number)
    if not order.is_frozen:
        raise Refused("INVALID_REQUEST", "非分账订单，或剩余资金已解冻")
    parts = []
    for each in receivers:
        if not isinstance(each, dict):
            raise Refused("PARAM_ERROR", "参数receivers格式不正确")
        kind, account = _receiver_of(call, keys, each)
        if f"{kind}:{account}" not in call.merchant.receivers:
            raise Refused("INVALID_REQUEST", "分账接收方关系不存在，请先添加分账接收方")
        amount_minor, words = amount_of(each, "amount"), text_of(each, "description", 80)
        detail = make_number("3600", call.now)
        parts.append(Part(number, kind, account, amount_minor, words, detail, call.now))
    parts_minor = order.shared_minor + sum(part.amount_minor for part in parts)
    if parts_minor > order.total_minor * _SHARED_PARTS_MAX // 100:
        raise Refused("INVALID_REQUEST", "分账金额超过最大分账比例")
    order.sharings = {**order.sharings, number: make_number("3008450", call.now)}
    order.parts = [*order.parts, *parts]
    order.is_frozen = not is_last
    store.save(order)
    return tell_sharing(order, number)


def query_sharing(store: WechatStore, call: Call, number: str) -> Node:
    """Say what became of parts."""
    order = _find_paid(store, call, call.query.get("transaction_id", ""))
    if number not in order.sharings:
        raise Refused("RESOURCE_NOT_EXISTS", "分账单不存在")
    return tell_sharing(order, number)


def tell_sharing(order: Order, number: str) -> Node:
    """Say what a profit sharing looks like now."""
    return {
        "transaction_id": order.transaction_id,
        "out_order_no": number,
        "order_id": order.sharings[number],
        "state": "FINISHED",
        "receivers": [
            {
                "type": part.kind,
                "account": part.account,
                "amount": part.amount_minor,
                "description": part.description,
                "result": "SUCCESS",
                "detail_id": part.detail_id,
                "create_time": stamp(part.at),
                "finish_time": stamp(part.at),
            }
            for part in order.parts
            if part.out_order_no == number
        ],
    }


def unfreeze(store: WechatStore, call: Call) -> Node:
    """Set free what is left of a payment."""
    order = _find_paid(store, call, call.text("transaction_id", 64))
    number = call.text("out_order_no", 64)
    call.text("description", 80)
    if number not in order.sharings:
        if not order.is_frozen:
            raise Refused("INVALID_REQUEST", "非分账订单，或剩余资金已解冻")
        order.sharings = {**order.sharings, number: make_number("3008450", call.now)}
        order.is_frozen = False
        store.save(order)
    return tell_sharing(order, number)


def take_back(store: WechatStore, call: Call) -> Node:
    """Take a part back from the merchant that got it, once per number."""
    number, back_number = call.text("out_order_no", 64), call.text("out_return_no", 64)
    account, amount_minor = call.text("return_mchid", 32), amount_of(call.body, "amount")
    call.text("description", 80)
    for order in store.orders(call.merchant):
        known = next((each for each in order.backs if each.out_return_no == back_number), None)
        if known is not None:
            if (known.out_order_no, known.amount_minor) != (number, amount_minor):
                raise Refused("INVALID_REQUEST", "回退单号已存在，且参数不一致")
            return tell_back(order, known)
    order, part = _find_part(store, call, number, account)
    if amount_minor > part.amount_minor - part.returned_minor:
        raise Refused("INVALID_REQUEST", "回退金额超过分账金额")
    part.returned_minor += amount_minor
    back = Back(
        back_number, number, account, amount_minor, make_number("3008451", call.now), call.now
    )
    order.backs = [*order.backs, back]
    store.save(order)
    return tell_back(order, back)


def _find_part(store: WechatStore, call: Call, number: str, account: str) -> tuple[Order, Part]:
    for order in store.orders(call.merchant):
        for part in order.parts:
            if (part.out_order_no, part.account) == (number, account):
                return order, part
    raise Refused("RESOURCE_NOT_EXISTS", "分账单不存在")


def query_back(store: WechatStore, call: Call, back_number: str) -> Node:
    """Say what became of a part that was to come back."""
    number = call.query.get("out_order_no", "")
    for order in store.orders(call.merchant):
        for back in order.backs:
            if (back.out_order_no, back.out_return_no) == (number, back_number):
                return tell_back(order, back)
    raise Refused("RESOURCE_NOT_EXISTS", "回退单不存在")


def tell_back(order: Order, back: Back) -> Node:
    """Say what a part that came back looks like."""
    return {
        "order_id": order.sharings[back.out_order_no],
        "out_order_no": back.out_order_no,
        "out_return_no": back.out_return_no,
        "return_id": back.return_no,
        "return_mchid": back.return_mchid,
        "amount": back.amount_minor,
        "description": "分账回退",
        "result": "SUCCESS",
        "create_time": stamp(back.at),
        "finish_time": stamp(back.at),
    }


def query_unsplit(store: WechatStore, call: Call, transaction: str) -> Node:
    """Say how much of a payment is still frozen."""
    order = _find_paid(store, call, transaction)
    left_minor = order.total_minor - order.shared_minor if order.is_frozen else 0
    return {"transaction_id": order.transaction_id, "unsplit_amount": left_minor}
