"""How refusals are said: to programs in the protocol's own words, to people in theirs."""

from vendrail.api.epay import EpayStatus
from vendrail.web.languages import message

# What programs read: Epay's codes, in the language that all of them use.
REPLIES = {
    EpayStatus.PID_UNKNOWN: (-1, "商户ID不存在"),
    EpayStatus.SIGN_TYPE_UNKNOWN: (-1, "签名类型错误"),
    EpayStatus.SIGN_WRONG: (-1, "签名校验失败，请返回重试！"),
    EpayStatus.KEY_WRONG: (-3, "商户密钥错误"),
    EpayStatus.CLOSED: (-1, "商户未开通支付"),
    EpayStatus.SUSPENDED: (-1, "商户已被封禁"),
    EpayStatus.TOO_OFTEN: (-1, "请求过于频繁，请稍后再试"),
    EpayStatus.FIELD_MISSING: (-1, "参数不能为空"),
    EpayStatus.TYPE_UNKNOWN: (-1, "支付方式(type)不存在"),
    EpayStatus.NUMBER_MALFORMED: (-1, "订单号(out_trade_no)格式不正确"),
    EpayStatus.URL_MALFORMED: (-1, "地址格式不正确"),
    EpayStatus.URL_PRIVATE: (-1, "地址不能是内网地址"),
    EpayStatus.TEXT_TOO_LONG: (-1, "参数过长"),
    EpayStatus.MONEY_MALFORMED: (-1, "金额不合法"),
    EpayStatus.MONEY_OUT_OF_RANGE: (-1, "金额超出限制"),
    EpayStatus.ORDER_DIFFERS: (-1, "订单号重复，且参数与原订单不一致"),
    EpayStatus.PROOF_WANTED: (-1, "请求过于频繁，请稍后再试"),
    EpayStatus.REFUSED: (-1, "订单被风控拒绝"),
    EpayStatus.BUSY: (-1, "系统繁忙，请稍后再试"),
    EpayStatus.METHOD_NOT_OFFERED: (-1, "该支付方式未开通"),
    EpayStatus.ORDER_PAID: (-1, "该订单已完成支付，请勿重复支付"),
    EpayStatus.ORDER_OVER: (-1, "该订单已超时"),
    EpayStatus.ORDER_UNKNOWN: (-1, "订单号不存在"),
    EpayStatus.REFUNDS_OFF: (-1, "商户未开启订单退款API接口"),
    EpayStatus.ORDER_UNPAID: (-1, "只有已支付订单才能退款"),
    EpayStatus.ORDER_DISPUTED: (-1, "付款方银行正在处理该笔付款的拒付争议，争议结束后方可退款"),
    EpayStatus.REFUND_TOO_LARGE: (-1, "退款金额大于订单剩余可退金额"),
    EpayStatus.REFUND_PENDING: (-1, "退款处理中，请稍后查询"),
    EpayStatus.REFUND_FAILED: (-1, "退款失败"),
}
ACT_UNKNOWN = (-5, "No Act!")
METHOD_WRONG = (-5, "请求方式错误")
AWAY = REPLIES[EpayStatus.BUSY]

_NOT_SIGNED = message(
    "The site that sent you here did not sign this payment as it must. Nothing was charged."
)
_NOT_OPEN = message(
    "The site that sent you here cannot take payments here at the moment. Nothing was charged."
)
_NOT_SOUND = message(
    "The site that sent you here has sent something that cannot be right. Nothing was charged."
)
_ADVICE = {
    EpayStatus.PID_UNKNOWN: _NOT_SIGNED,
    EpayStatus.SIGN_TYPE_UNKNOWN: _NOT_SIGNED,
    EpayStatus.SIGN_WRONG: _NOT_SIGNED,
    EpayStatus.CLOSED: _NOT_OPEN,
    EpayStatus.SUSPENDED: _NOT_OPEN,
    EpayStatus.TOO_OFTEN: message(
        "Very many payments are being started there. Wait a moment, go back and try again."
    ),
    EpayStatus.METHOD_NOT_OFFERED: message(
        "This way to pay is not available just now. Go back and choose another."
    ),
    EpayStatus.ORDER_DIFFERS: message(
        "This order number was used before for something else. Go back and order again."
    ),
    EpayStatus.ORDER_OVER: message("The time to pay this order is over. Go back and order again."),
    EpayStatus.REFUSED: message("This payment cannot be taken. Ask the site that sent you here."),
}


def reply(status: EpayStatus, field: str = "") -> dict[str, object]:
    """Give the reply of a refusal; it names the field whose fault it is."""
    code, words = REPLIES[status]
    is_named = field and f"({field})" not in words
    return {"code": code, "msg": f"{words}({field})" if is_named else words}


def advice(status: EpayStatus) -> str:
    """Give what a person is told; marked, to be translated."""
    return _ADVICE.get(status, _NOT_SOUND)
