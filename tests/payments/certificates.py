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


class Authority:
    """Whoever issues certificates: a root, or one below it."""

    def __init__(self, name: str, above: "Authority | None" = None, *, may_issue: bool = True):
        self.key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (above or self).issue(self.name, self.key, may_issue=may_issue)

    def issue(
        self,
        name: x509.Name,
        key: rsa.RSAPrivateKey,
        *,
        may_issue: bool = False,
        until: datetime | None = None,
    ) -> x509.Certificate:
        """Issue a certificate for a key."""
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(until or now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(may_issue, None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
