"""How Alipay signs: sorted `k=v` joined by `&`, RSA PKCS#1 v1.5 with SHA-256, base64."""

import base64
import binascii
import hashlib
from collections.abc import Mapping

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.x509.oid import NameOID

_PADDING = PKCS1v15()
_SHA256 = hashes.SHA256()
_RSA_OIDS = "1.2.840.113549.1.1"


def request_text(params: Mapping[str, str]) -> str:
    """Give what a request signs: everything but `sign` and what is empty; `sign_type` stays in."""
    return "&".join(f"{k}={v}" for k, v in sorted(params.items()) if v and k != "sign")


def notification_text(params: Mapping[str, str]) -> str:
    """Give what a notification signs: all but `sign` and `sign_type`, the empty ones too."""
    return "&".join(
        f"{key}={value}"
        for key, value in sorted(params.items())
        if key not in ("sign", "sign_type")
    )


def sign(key: RSAPrivateKey, text: bytes) -> str:
    """Sign the bytes; the answer is base64."""
    return base64.b64encode(key.sign(text, _PADDING, _SHA256)).decode()


def is_signed_by(key: RSAPublicKey, text: bytes, signature: str) -> bool:
    """Tell whether the base64 signature over the bytes was made with the key's other half."""
    try:
        key.verify(base64.b64decode(signature, validate=True), text, _PADDING, _SHA256)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def certificate_number(certificate: x509.Certificate) -> str:
    """Give the SN by which Alipay names a certificate: md5 of its issuer and serial number."""
    issuer = certificate.issuer
    parts = (
        ("CN", NameOID.COMMON_NAME),
        ("OU", NameOID.ORGANIZATIONAL_UNIT_NAME),
        ("O", NameOID.ORGANIZATION_NAME),
        ("C", NameOID.COUNTRY_NAME),
    )
    name = ",".join(
        f"{label}={attribute.value!s}"
        for label, oid in parts
        for attribute in issuer.get_attributes_for_oid(oid)
    )
    text = f"{name}{certificate.serial_number}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def root_number(bundle: list[x509.Certificate]) -> str:
    """Give the SN of a root bundle: those of its RSA-signed certificates, joined by `_`."""
    return "_".join(
        certificate_number(certificate)
        for certificate in bundle
        if certificate.signature_algorithm_oid.dotted_string.startswith(_RSA_OIDS)
    )
