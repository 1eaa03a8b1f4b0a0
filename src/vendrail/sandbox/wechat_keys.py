"""WeChat Pay's keys in the sandbox, and how it signs, seals and checks: written apart from ours."""

import base64
import binascii
import os
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

from vendrail.kernel.errors import Unavailable
from vendrail.sandbox.provider import public_pem, write_secret

SCHEME = "WECHATPAY2-SHA256-RSA2048"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000000012026010100000000000001"

_FILES = ("wechat-public.key", "wechat-platform.key", "wechat-platform.crt")
_FIELD = re.compile(r'(mchid|nonce_str|signature|timestamp|serial_no)="([^"]*)"')
_SHA1 = hashes.SHA1()  # noqa: S303 - The provider's choice, for names alone.
_NAME_PADDING = padding.OAEP(padding.MGF1(_SHA1), _SHA1, None)
_YEARS = timedelta(days=1_825)


def make_key() -> rsa.RSAPrivateKey:
    """Make a key."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def private_pem(key: rsa.RSAPrivateKey) -> str:
    """Write a private key as WeChat Pay's tools do."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _make_certificate(key: rsa.RSAPrivateKey) -> bytes:
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com sign (sandbox)")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


class WechatKeys:
    """The platform's keys: the one that merchants know by its number, and the certified one."""

    def __init__(self, home: Path) -> None:
        public, platform, self._certificate_file = (home / name for name in _FILES)
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (public, platform):
                if not path.exists():
                    write_secret(path, private_pem(make_key()).encode())
            self.public_key = _load(public)
            self._platform_key = _load(platform)
            if not self._certificate_file.exists():
                self.renew_certificate()
        except OSError as error:
            raise Unavailable(f"The sandbox cannot write its folder {home}: {error}.") from error
        self._read_certificate()
        self.public_key_pem = public_pem(self.public_key.public_key())

    def _read_certificate(self) -> None:
        self.certificate_pem = self._certificate_file.read_text()
        self.certificate = x509.load_pem_x509_certificate(self.certificate_pem.encode())

    def renew_certificate(self) -> None:
        """Sign under a new certificate from now on."""
        write_secret(self._certificate_file, _make_certificate(self._platform_key))
        self._read_certificate()

    @property
    def serial(self) -> str:
        """Give the serial number of the certificate."""
        return f"{self.certificate.serial_number:040X}"

    def sign(self, body: bytes, now: datetime, *, is_certified: bool) -> dict[str, str]:
        """Give the headers that sign a body."""
        moment, nonce = str(int(now.timestamp())), secrets.token_urlsafe(24)
        text = f"{moment}\n{nonce}\n".encode() + body + b"\n"
        key = self._platform_key if is_certified else self.public_key
        signature = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        return {
            "Wechatpay-Timestamp": moment,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
            "Wechatpay-Serial": self.serial if is_certified else PUBLIC_KEY_ID,
            "Wechatpay-Signature-Type": SCHEME,
        }

    def read_name(self, sealed: str, *, is_certified: bool) -> str | None:
        """Open a person's name; None: it was sealed for another key."""
        key = self._platform_key if is_certified else self.public_key
        try:
            opened = key.decrypt(
                base64.b64decode(sealed, validate=True),
                _NAME_PADDING,
            )
            return opened.decode()
        except (binascii.Error, ValueError):
            return None


def _load(path: Path) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Unavailable(f"{path} holds no RSA key; remove it to begin again.")
    return key


def read_authorization(header: str) -> Mapping[str, str] | None:
    """Read the header that carries a signature; None where it is not written as it must be."""
    scheme, _, rest = header.partition(" ")
    parts = [_FIELD.fullmatch(part.strip()) for part in rest.split(",")]
    fields = {match[1]: match[2] for match in parts if match is not None}
    is_whole = scheme == SCHEME and len(fields) == len(parts) == 5
    return fields if is_whole and fields["timestamp"].isdigit() else None


def is_signed(text: bytes, signature: str, public_key_pem: str) -> bool:
    """Tell whether a merchant's key made this signature."""
    key = serialization.load_pem_public_key(public_key_pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, text, padding.PKCS1v15(), hashes.SHA256())
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def seal(text: bytes, api_key: str, associated: str, original_type: str = "") -> dict[str, str]:
    """Seal what a merchant is told with the API v3 key."""
    nonce = secrets.token_hex(6)
    sealed = AESGCM(api_key.encode()).encrypt(nonce.encode(), text, associated.encode())
    resource = {
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(sealed).decode(),
        "associated_data": associated,
        "nonce": nonce,
    }
    return resource | ({"original_type": original_type} if original_type else {})


def make_secret() -> str:
    """Make a key of 32 letters and digits."""
    return os.urandom(16).hex()
