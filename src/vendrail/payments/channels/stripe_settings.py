"""The settings of an account at Stripe: what is asked for, and what of it cannot be right."""

import re
from collections.abc import Mapping, Sequence

from vendrail.payments.channels.base import Setting, SettingProblem
from vendrail.payments.channels.stripe_messages import ELEMENT, METHODS, SCAN, StripeSettings

API_URL = "https://api.stripe.com"
SCRIPT_URL = "https://js.stripe.com/v3/"
_FORMS = ("checkout", ELEMENT)


def _is_secret_key(value: str) -> str:
    is_good = re.fullmatch(r"(sk|rk)_(test|live)_\w{10,250}", value)
    return "" if is_good else "is a secret or restricted key: sk_live_… or rk_live_…"


def _is_publishable_key(value: str) -> str:
    is_good = re.fullmatch(r"pk_(test|live)_\w{10,250}", value)
    return "" if is_good else "is the account's publishable key: pk_live_…"


def _is_form(value: str) -> str:
    return "" if value in _FORMS else f"is one of {', '.join(_FORMS)}."


def _is_webhook_secrets(value: str) -> str:
    is_good = all(re.fullmatch(r"whsec_[\w+/=-]{8,200}", each) for each in _split(value))
    return "" if is_good else "is the endpoint's signing secret, whsec_…; two while it is rolled."


def _is_account(value: str) -> str:
    return "" if re.fullmatch(r"acct_\w{6,60}", value) else "is an account's number, acct_…"


def _is_email(value: str) -> str:
    return "" if re.fullmatch(r"[^@\s]{1,64}@[^@\s]{3,250}", value) else "is no e-mail address."


def _is_url(value: str) -> str:
    return "" if re.fullmatch(r"https?://[^\s?#@]+", value) else "is an address without a query."


def _is_methods(value: str) -> str:
    unknown = set(_split(value)) - set(METHODS)
    known = ", ".join(METHODS)
    return f"knows {known}, not {', '.join(sorted(unknown))}." if unknown else ""


def _split(value: str) -> list[str]:
    return [part for part in re.split(r"[\s,]+", value) if part]


SETTINGS: Sequence[Setting] = (
    Setting("secret_key", "Secret key", "The account's secret key, or a restricted one.",
            {"zh-Hans": ("密钥（Secret key）",
                         "账户的私密密钥或受限密钥：sk_live_… 或 rk_live_…。")},
            is_secret=True, is_required=True, check=_is_secret_key),
    Setting("webhook_secret", "Signing secret of the webhook",
            "The endpoint's signing secret; two, divided by a comma, while it is rolled."
            " Without it money is found by asking only.",
            {"zh-Hans": ("Webhook 签名密钥",
                         ("端点的签名密钥 whsec_…；轮换期间可填两个，用逗号分隔。"
                         "不填则只能靠查询发现付款。"))},
            is_secret=True, check=_is_webhook_secrets),
    Setting("methods", "Ways to pay",
            f"What is switched on at Stripe: any of {', '.join(METHODS)}."
            " Those that end in _qr show their code here.",
            {"zh-Hans": ("支付方式",
                         (f"在 Stripe 已开通的方式：{'、'.join(METHODS)}。"
                         "以 _qr 结尾的在本站显示二维码。"))},
            default="card", check=_is_methods),
    Setting("card_form", "Where a card is typed",
            "`checkout`: on Stripe's own page. `element`: in Stripe's form on the pay page,"
            " which needs the publishable key.",
            {"zh-Hans": ("在哪里填写银行卡",
                         ("checkout：在 Stripe 自己的页面。element：在付款页中的 Stripe 表单，"
                         "需要可公开密钥。"))},
            default=_FORMS[0], check=_is_form),
    Setting("publishable_key", "Publishable key",
            "What Stripe's form on the pay page says whose it is: pk_live_….",
            {"zh-Hans": ("可公开密钥（Publishable key）",
                         "付款页中的 Stripe 表单用它表明账户：pk_live_…。")},
            check=_is_publishable_key),
    Setting("email", "Whom Stripe writes to",
            "PromptPay by code needs an e-mail address: refunds are arranged by it.",
            {"zh-Hans": ("联系邮箱", "扫码 PromptPay 需要邮箱：Stripe 通过它安排退款。")},
            check=_is_email),
    Setting("connected_account", "Connected account",
            "Take money for this account of Connect instead of the key's own.",
            {"zh-Hans": ("关联账户", "为此 Connect 账户收款，而不是密钥所属的账户：acct_…。")},
            check=_is_account),
    Setting("api_url", "Address of the API", "Where requests go; change it for a sandbox only.",
            {"zh-Hans": ("API 地址", "请求发往的地址；只有使用沙箱时才改。")},
            default=API_URL, check=_is_url),
    Setting("script_url", "Address of Stripe's script",
            "Where the form on the pay page comes from; change it for a sandbox only.",
            {"zh-Hans": ("Stripe 脚本地址", "付款页中的表单从哪里加载；只有使用沙箱时才改。")},
            default=SCRIPT_URL, check=_is_url),
)  # fmt: skip


def read_settings(values: Mapping[str, str]) -> StripeSettings:
    """Give typed settings; the key travels with every request, so only sealed."""
    methods = tuple(dict.fromkeys(_split(values["methods"])))
    if f"promptpay{SCAN}" in methods and not values["email"]:
        raise SettingProblem("email", "is needed for promptpay_qr.", is_missing=True)
    if values["api_url"].startswith("http://") and "_live_" in values["secret_key"]:
        raise SettingProblem("api_url", "begins with https://, for the key travels with it.")
    has_form = values["card_form"] == ELEMENT
    if has_form and not values["publishable_key"]:
        raise SettingProblem("publishable_key", "is needed for element.", is_missing=True)
    is_live = "_live_" in values["secret_key"]
    if has_form and ("_live_" in values["publishable_key"]) is not is_live:
        raise SettingProblem("publishable_key", "is of the other mode than the secret key.")
    if has_form and is_live and values["script_url"] != SCRIPT_URL:
        raise SettingProblem("script_url", f"is {SCRIPT_URL} where cards are real.")
    return StripeSettings(
        values["secret_key"],
        tuple(_split(values["webhook_secret"])),
        methods,
        values["api_url"].rstrip("/"),
        values["connected_account"],
        values["email"],
        values["publishable_key"] if has_form else "",
        values["script_url"],
    )
