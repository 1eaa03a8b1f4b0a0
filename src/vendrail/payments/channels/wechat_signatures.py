"""WeChat Pay's signatures and seals: what is signed, by which key, over exactly which bytes. Pure.

A request signs its method, its address, a moment, a nonce and its body, a line each. Replies and
callbacks sign a moment, a nonce and their body. What is told in callbacks is sealed as well.
"""

import base64
import binascii
import secrets
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SCHEME = "WECHATPAY2-SHA256-RSA2048"
SIGNED_HEADERS = (
    "wechatpay-serial",
    "wechatpay-timestamp",
    "wechatpay-nonce",
    "wechatpay-signature",
    "wechatpay-signature-type",
)
PROBE = "WECHATPAY/SIGNTEST/"  # Begins the signatures that WeChat sends to see them refused.
PUBLIC_KEY_MARK = "PUB_KEY_ID_"

_SHA256 = hashes.SHA256()
_PADDING = padding.PKCS1v15()
# As the provider asks for it; what is sealed so is a name, and no signature rests on SHA-1.
_NAME_PADDING = padding.OAEP(
    mgf=padding.MGF1(hashes.SHA1()),  # noqa: S303 - The provider's choice.
    algorithm=hashes.SHA1(),  # noqa: S303 - The same.
    label=None,
)


# Keys and certificates.


def load_private_key(text: str) -> RSAPrivateKey:
    """Read the merchant's private key, the text of apiclient_key.pem."""
    if "-----BEGIN" in text:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    else:
        key = serialization.load_der_private_key(_from_base64(text), password=None)
    if not isinstance(key, RSAPrivateKey) or key.key_size < 2048:
        raise ValueError("It must be an RSA key of 2048 bits or more.")
    return key


def load_public_key(text: str) -> RSAPublicKey:
    """Read WeChat Pay's public key, the text of pub_key.pem."""
    if "-----BEGIN" in text:
        key = serialization.load_pem_public_key(text.encode())
    else:
        key = serialization.load_der_public_key(_from_base64(text))
    if not isinstance(key, RSAPublicKey) or key.key_size < 2048:
        raise ValueError("It must be an RSA key of 2048 bits or more.")
    return key


def plain_serial(serial: str) -> str:
    """Write a certificate's serial number the one way it is compared."""
    return serial.strip().upper().lstrip("0")


def serial_of(certificate: x509.Certificate) -> str:
    """Give the serial number by which WeChat Pay names a certificate."""
    return f"{certificate.serial_number:040X}"


def rsa_key_of(certificate: x509.Certificate, now: datetime) -> RSAPublicKey | None:
    """Give the key a certificate speaks for, while it is valid."""
    key = certificate.public_key()
    is_valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    return key if is_valid and isinstance(key, RSAPublicKey) else None


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("It is neither PEM nor base 64.") from error


# Signatures.


def sign(text: bytes, key: RSAPrivateKey) -> str:
    """Sign with PKCS #1 v1.5 and SHA-256, in base 64."""
    return base64.b64encode(key.sign(text, _PADDING, _SHA256)).decode()


def is_signed(text: bytes, signature: str, key: RSAPublicKey) -> bool:
    """Tell whether a key made this base 64 signature of exactly these bytes."""
    try:
        key.verify(base64.b64decode(signature, validate=True), text, _PADDING, _SHA256)
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def request_text(method: str, target: str, moment: int, nonce: str, body: bytes) -> bytes:
    """Give the text that a request signs; the target is its path and query."""
    return f"{method}\n{target}\n{moment}\n{nonce}\n".encode() + body + b"\n"


def reply_text(moment: str, nonce: str, body: bytes) -> bytes:
    """Give the text that a reply or a callback signs."""
    return f"{moment}\n{nonce}\n".encode() + body + b"\n"


def authorization(mchid: str, serial: str, nonce: str, moment: int, signature: str) -> str:
    """Write the header that carries a request's signature."""
    return (
        f'{SCHEME} mchid="{mchid}",nonce_str="{nonce}",signature="{signature}",'
        f'timestamp="{moment}",serial_no="{serial}"'
    )


def bridge_fields(appid: str, prepay_id: str, now: datetime, key: RSAPrivateKey) -> dict[str, str]:
    """Give what a page inside WeChat hands to its wallet, signed by the merchant."""
    moment, nonce = int(now.timestamp()), secrets.token_hex(16)
    package = f"prepay_id={prepay_id}"
    text = f"{appid}\n{moment}\n{nonce}\n{package}\n".encode()
    return {
        "appId": appid,
        "timeStamp": str(moment),
        "nonceStr": nonce,
        "package": package,
        "signType": "RSA",
        "paySign": sign(text, key),
    }


# Seals.


def unseal(key: bytes, nonce: str, associated: str, sealed: str) -> bytes | None:
    """Open what the API v3 key has sealed; None where it, or a bit of it, is another."""
    try:
        return AESGCM(key).decrypt(
            nonce.encode(), base64.b64decode(sealed, validate=True), associated.encode()
        )
    except (binascii.Error, ValueError, InvalidTag):
        return None


def seal_name(name: str, key: RSAPublicKey) -> str:
    """Seal a person's name for WeChat Pay alone."""
    return base64.b64encode(key.encrypt(name.encode(), _NAME_PADDING)).decode()
