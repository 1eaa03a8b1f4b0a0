"""Certificates for tests, with their SN worked out apart from the product's code."""

import hashlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


def self_signed() -> tuple[str, str]:
    """Make a root; give its PEM and its SN."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    parts = [
        (NameOID.COUNTRY_NAME, "CN"),
        (NameOID.ORGANIZATION_NAME, "Ant Financial"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Certification Authority"),
        (NameOID.COMMON_NAME, "Root R1"),
    ]
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1234567890123)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    text = "CN=Root R1,OU=Certification Authority,O=Ant Financial,C=CN1234567890123"
    return made.public_bytes(serialization.Encoding.PEM).decode(), hashlib.md5(
        text.encode()
    ).hexdigest()
