"""The settings of an account at Alipay: what is asked for, and what of it cannot be right."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.x509 import Certificate

from vendrail.payments.channels import alipay_signatures as signatures
from vendrail.payments.channels.alipay_messages import AlipaySettings
from vendrail.payments.channels.base import Setting, SettingProblem

_PRODUCTS = ("page", "wap", "qr")


def _is_app_id(value: str) -> str:
    return "" if re.fullmatch(r"\d{16,32}", value) else "is 16 digits or more, as 2021…"


def _is_seller_id(value: str) -> str:
    return "" if re.fullmatch(r"2088\d{12}", value) else "is 16 digits that begin with 2088."


def _is_url(value: str) -> str:
    return "" if re.fullmatch(r"https?://[^\s?#]+", value) else "is an address without a query."


def _is_products(value: str) -> str:
    unknown = set(_split(value)) - set(_PRODUCTS)
    return f"knows page, wap and qr, not {', '.join(sorted(unknown))}." if unknown else ""


def _is_scene(value: str) -> str:
    # Alipay takes no scene of its own choosing where agreements have numbers of ours.
    is_good = (
        re.fullmatch(r"[A-Z][A-Z0-9_]*\|[A-Z][A-Z0-9_]*", value) and value != "DEFAULT|DEFAULT"
    )
    return "" if is_good and len(value) <= 64 else "is the scene of the contract, as INDUSTRY|…"


def _is_agreement_product(value: str) -> str:
    if value.startswith("CYCLE_PAY"):
        return "charges on planned days; orders need GENERAL_WITHHOLDING_P."
    return "" if re.fullmatch(r"[A-Z][A-Z_]{0,60}_P", value) else "is as GENERAL_WITHHOLDING_P."


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


SETTINGS: Sequence[Setting] = (
    Setting("app_id", "Application number (APPID)",
            "The application's APPID, as its page on the open platform says.",
            {"zh-Hans": ("应用编号（APPID）", "开放平台上该应用页面显示的 APPID。")},
            is_required=True, check=_is_app_id),
    Setting("seller_id", "Account that receives the money (PID)",
            "The account (PID, 2088…) that receives the money.",
            {"zh-Hans": ("收款账户（PID）", "收款的支付宝账户编号，以 2088 开头。")},
            is_required=True, check=_is_seller_id),
    Setting("app_private_key", "Private key of the application",
            "The application's private key, RSA2: PEM or base 64.",
            {"zh-Hans": ("应用私钥", "应用的 RSA2 私钥：PEM 或 base64。")},
            is_secret=True, is_required=True, is_multiline=True),
    Setting("alipay_public_key", "Alipay's public key",
            "Key mode: Alipay's public key (not the application's).",
            {"zh-Hans": ("支付宝公钥", "密钥模式：支付宝公钥（不是应用公钥）。")},
            is_multiline=True),
    Setting("app_cert", "Certificate of the application",
            "Certificate mode: appCertPublicKey_….crt, its text.",
            {"zh-Hans": ("应用公钥证书", "证书模式：appCertPublicKey_….crt 的内容。")},
            is_multiline=True),
    Setting("alipay_cert", "Alipay's certificate",
            "Certificate mode: alipayCertPublicKey_RSA2.crt, one or more.",
            {"zh-Hans": ("支付宝公钥证书",
                         "证书模式：alipayCertPublicKey_RSA2.crt，一份或多份。")},
            is_multiline=True),
    Setting("root_cert", "Alipay's root certificates",
            "Certificate mode: alipayRootCert.crt, its text.",
            {"zh-Hans": ("支付宝根证书", "证书模式：alipayRootCert.crt 的内容。")},
            is_multiline=True),
    Setting("products", "Products signed up for",
            "What was signed up for: any of page, wap, qr.",
            {"zh-Hans": ("已签约的产品", "可填 page、wap、qr，用逗号分隔。")},
            default="page,wap,qr", check=_is_products),
    Setting("agreement_scene", "Scene of agreements (商家扣款)",
            "The scene of the contract, as INDUSTRY|…, where Alipay granted it; empty: none.",
            {"zh-Hans": ("签约场景（商家扣款）",
                         "已开通商家扣款时填写签约场景，如 INDUSTRY|…；留空则不提供。")},
            check=_is_scene),
    Setting("agreement_product", "Product of agreements",
            "The personal product code of that contract.",
            {"zh-Hans": ("个人签约产品码", "商家扣款合同的个人签约产品码。")},
            default="GENERAL_WITHHOLDING_P", check=_is_agreement_product),
    Setting("gateway_url", "Address of the gateway",
            "Where requests go; change it for a sandbox only.",
            {"zh-Hans": ("网关地址", "请求发往的地址；只有使用沙箱时才改。")},
            default="https://openapi.alipay.com/gateway.do", check=_is_url),
)  # fmt: skip


def read_settings(values: Mapping[str, str]) -> AlipaySettings:
    """Load keys and certificates; they must belong together."""
    private_key = _load("app_private_key", signatures.load_private_key, values)
    certificates = [values[name] for name in ("app_cert", "alipay_cert", "root_cert")]
    if not any(certificates):
        if not values["alipay_public_key"]:
            raise SettingProblem(
                "alipay_public_key",
                "is needed in key mode; in certificate mode, give the three certificates.",
                is_missing=True,
            )
        public_key = _load("alipay_public_key", signatures.load_public_key, values)
        if public_key.public_numbers() == private_key.public_key().public_numbers():
            raise SettingProblem(
                "alipay_public_key", "is the application's own key; copy Alipay's (支付宝公钥)."
            )
        return _typed(values, private_key, {"": public_key})
    for name, value in zip(("app_cert", "alipay_cert", "root_cert"), certificates, strict=True):
        if not value:
            raise SettingProblem(name, "is needed in certificate mode.", is_missing=True)
    return _in_certificate_mode(values, private_key)


def _in_certificate_mode(values: Mapping[str, str], private_key: RSAPrivateKey) -> AlipaySettings:
    own = signatures.load_certificates(values["app_cert"])
    if not own:
        raise SettingProblem("app_cert", "is no certificate; paste appCertPublicKey_….crt.")
    try:
        if signatures.rsa_key_of(own[0]).public_numbers() != (
            private_key.public_key().public_numbers()
        ):
            raise SettingProblem("app_cert", "belongs to another key than app_private_key.")
        public_keys = {
            signatures.certificate_sn(certificate): signatures.rsa_key_of(certificate)
            for certificate in signatures.load_certificates(values["alipay_cert"])
        }
    except (TypeError, ValueError) as error:
        raise SettingProblem("alipay_cert", str(error)) from error
    if not public_keys:
        raise SettingProblem("alipay_cert", "is no certificate; paste its .crt file.")
    roots = signatures.load_certificates(values["root_cert"])
    root_cert_sn = signatures.root_sn(values["root_cert"])
    if not root_cert_sn:
        raise SettingProblem("root_cert", "holds no RSA root; paste alipayRootCert.crt whole.")
    app_cert_sn = signatures.certificate_sn(own[0])
    return _typed(values, private_key, public_keys, app_cert_sn, root_cert_sn, roots)


def _typed(
    values: Mapping[str, str],
    private_key: RSAPrivateKey,
    public_keys: Mapping[str, RSAPublicKey],
    app_cert_sn: str = "",
    root_cert_sn: str = "",
    roots: Sequence[Certificate] = (),
) -> AlipaySettings:
    return AlipaySettings(
        values["gateway_url"],
        values["app_id"],
        values["seller_id"],
        private_key,
        public_keys,
        frozenset(_split(values["products"])),
        app_cert_sn,
        root_cert_sn,
        roots,
        values["agreement_scene"],
        values["agreement_product"],
    )


def _load(name: str, load: Any, values: Mapping[str, str]) -> Any:
    try:
        return load(values[name])
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingProblem(name, f"cannot be read as an RSA key. {error}") from error
