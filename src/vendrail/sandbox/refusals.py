"""Every way the gateway says no: the provider's own code, sub_code and words."""

MESSAGES = {
    "10000": "Success",
    "20000": "Service Currently Unavailable",
    "40001": "Missing Required Arguments",
    "40002": "Invalid Arguments",
    "40003": "Insufficient Conditions",
    "40004": "Business Failed",
    "40006": "Insufficient Permissions",
}

REFUSALS = {
    # The gateway itself.
    "isp.unknow-error": ("20000", "系统繁忙"),
    "aop.unknow-error": ("20000", "服务暂不可用"),
    "isv.missing-method": ("40001", "缺少方法名参数"),
    "isv.missing-app-id": ("40001", "缺少appId参数"),
    "isv.missing-signature": ("40001", "缺少签名参数"),
    "isv.missing-signature-type": ("40001", "缺少签名类型参数"),
    "isv.missing-timestamp": ("40001", "缺少时间戳参数"),
    "isv.missing-version": ("40001", "缺少版本参数"),
    "isv.invalid-method": ("40002", "不存在的方法名"),
    "isv.invalid-app-id": ("40002", "无效的AppID参数"),
    "isv.invalid-charset": ("40002", "字符集错误"),
    "isv.invalid-format": ("40002", "无效的数据格式"),
    "isv.invalid-signature-type": ("40002", "无效的签名类型"),
    "isv.invalid-signature": ("40002", "无效签名"),
    "isv.invalid-timestamp": ("40002", "非法的时间戳参数"),
    "isv.invalid-parameter": ("40002", "参数无效"),
    "isv.illegal-json": ("40002", "业务参数不是合法的JSON"),
    "isv.missing-app-cert-sn": ("40002", "缺少应用公钥证书序列号"),
    "isv.missing-alipay-root-cert-sn": ("40002", "缺少支付宝根证书序列号"),
    "isv.app-cert-not-exist": ("40002", "应用公钥证书不存在"),
    "isv.invalid-alipay-root-cert-sn": ("40002", "支付宝根证书序列号错误"),
    "isv.alipay-cert-not-exist": ("40002", "支付宝公钥证书不存在"),
    "isv.insufficient-isv-permissions": (
        "40006",
        "ISV权限不足，请检查签约是否已生效",
    ),
    # Agreements, and what is charged under them.
    "USER_AGREEMENT_NOT_EXIST": ("40004", "用户协议不存在"),
    "ACQ.ACCESS_FORBIDDEN": ("40004", "无权限使用接口"),
    "ACQ.AUTH_TOKEN_IS_NOT_EXIST": ("40004", "支付授权码为空"),
    "ACQ.AGREEMENT_NOT_EXIST": ("40004", "用户协议不存在或已解约"),
    "ACQ.AGREEMENT_STATUS_NOT_NORMAL": ("40004", "用户协议状态非NORMAL"),
    "ACQ.BUYER_BALANCE_NOT_ENOUGH": ("40004", "买家余额不足"),
    "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR": ("40004", "买家付款日限额超限"),
    "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR": ("40004", "产品额度超限"),
    "ACQ.PAYMENT_REQUEST_HAS_RISK": ("40004", "支付有风险"),
    # Trades.
    "ACQ.SYSTEM_ERROR": ("40004", "系统异常"),
    "ACQ.INVALID_PARAMETER": ("40004", "参数无效"),
    "ACQ.TOTAL_FEE_EXCEED": ("40004", "订单金额超过限额"),
    "ACQ.CONTEXT_INCONSISTENT": ("40004", "交易信息被篡改"),
    "ACQ.TRADE_HAS_SUCCESS": ("40004", "交易已被支付"),
    "ACQ.TRADE_HAS_CLOSE": ("40004", "交易已经关闭"),
    "ACQ.TRADE_HAS_FINISHED": ("40004", "交易已完结"),
    "ACQ.TRADE_NOT_EXIST": ("40004", "交易不存在"),
    "ACQ.TRADE_STATUS_ERROR": ("40004", "交易状态不合法"),
    "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR": ("40004", "当前时间已过订单超时时间"),
    "ACQ.CANCEL_NOT_ALLOWED": ("40004", "交易不允许撤销"),
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": ("40004", "退款金额无效"),
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": ("40004", "退款金额超限"),
    "ACQ.DISCORDANT_REPEAT_REQUEST": ("40004", "不一致的请求"),
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": ("40004", "卖家余额不足"),
    "ACQ.TRADE_NOT_ALLOW_REFUND": ("40004", "当前交易不允许退款"),
    # Transfers.
    "INVALID_PARAMETER": ("40004", "参数有误"),
    "PAYEE_NOT_EXIST": ("40004", "收款账号不存在或姓名有误"),
    "PAYER_BALANCE_NOT_ENOUGH": ("40004", "余额不足"),
    "BIZ_UNIQUE_EXCEPTION": ("40004", "不能重复提交"),
    "ORDER_NOT_EXIST": ("40004", "转账订单不存在"),
    # Bills.
    "isp.bill_not_exist": ("40004", "入参不合法，账单不存在"),
    "INVAILID_ARGUMENTS": ("40004", "入参不合法"),
}

Node = dict[str, object]


def refuse(sub_code: str, detail: str = "") -> Node:
    """Give the reply node of a refusal; the detail says which field, as the provider does."""
    code, words = REFUSALS[sub_code]
    sub_msg = f"{words}：{detail}" if detail else words
    return {"code": code, "msg": MESSAGES[code], "sub_code": sub_code, "sub_msg": sub_msg}


def succeed(**fields: object) -> Node:
    """Give the reply node of a success."""
    return {"code": "10000", "msg": MESSAGES["10000"], **fields}


def is_success(node: Node) -> bool:
    """Tell whether a reply node is a success."""
    return node["code"] == "10000"
