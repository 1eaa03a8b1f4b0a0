"""The provider's own keys and certificates, made at first start, readable by their owner alone."""

import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from vendrail.kernel.errors import Broken, Malformed, Unavailable
from vendrail.sandbox import signatures

_YEARS = timedelta(days=3_650)
_FILES = ("provider.key", "authority.key", "authority.crt", "provider.crt", "roots.crt")


def _make_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def _key_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Vendrail Sandbox"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Certification Authority"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _issue(
    subject: x509.Name,
    public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def write_secret(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read; it is whole or not there."""
    part = path.with_name(f"{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    part.replace(path)


def _make_files(home: Path) -> None:
    """Make root, authority and provider certificates, and a bundle with two other roots."""
    root_key, authority_key, provider_key = _make_key(), _make_key(), _make_key()
    other_key, curve_key = _make_key(), ec.generate_private_key(ec.SECP256R1())
    root_name, authority_name = _name("Vendrail Sandbox Root R1"), _name("Vendrail Sandbox CA R1")
    other_name, curve_name = _name("Vendrail Sandbox Root R2"), _name("Vendrail Sandbox Root E1")
    root = _issue(root_name, root_key.public_key(), root_name, root_key, is_authority=True)
    other = _issue(other_name, other_key.public_key(), other_name, other_key, is_authority=True)
    # The real bundle also holds a root that is not RSA; who computes the SN must leave it out.
    curve = _issue(curve_name, curve_key.public_key(), curve_name, curve_key, is_authority=True)
    authority = _issue(
        authority_name, authority_key.public_key(), root_name, root_key, is_authority=True
    )
    provider = _issue(
        _name("Alipay (sandbox)"),
        provider_key.public_key(),
        authority_name,
        authority_key,
        is_authority=False,
    )
    write_secret(home / "provider.key", _key_pem(provider_key))
    write_secret(home / "authority.key", _key_pem(authority_key))
    write_secret(home / "authority.crt", _certificate_pem(authority).encode())
    write_secret(home / "provider.crt", _certificate_pem(provider).encode())
    roots = "\n".join(_certificate_pem(each) for each in (curve, root, other))
    write_secret(home / "roots.crt", roots.encode())


def read_public_key(text: str) -> rsa.RSAPublicKey:
    """Read a merchant's public key: PEM, or the bare base64 that Alipay's own tools give."""
    stripped = text.strip()
    if not stripped.startswith("-----"):
        stripped = f"-----BEGIN PUBLIC KEY-----\n{stripped}\n-----END PUBLIC KEY-----\n"
    try:
        key = serialization.load_pem_public_key(stripped.encode())
    except ValueError as error:
        raise Malformed("public_key_pem is no public key; send PEM or its base64.") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < 2_048:
        raise Malformed("public_key_pem must be an RSA key of 2048 bits or more.")
    return key


def public_pem(key: rsa.RSAPublicKey) -> str:
    """Write a public key as PEM, always the same text for the same key."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


class Provider:
    """The provider as a signer: its key, its certificates, its control token."""

    def __init__(self, home: Path) -> None:
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            present = [name for name in _FILES if (home / name).exists()]
            if not present:
                _make_files(home)
            elif len(present) < len(_FILES):
                missing = sorted(set(_FILES) - set(present))
                raise Broken(
                    f"The sandbox folder {home} lacks {missing}; restore them, or remove the"
                    " folder to begin again with new keys."
                )
            token = home / "control-token"
            if not token.exists():
                write_secret(token, secrets.token_urlsafe(32).encode())
        except OSError as error:
            raise Unavailable(f"The sandbox cannot write its folder {home}: {error}.") from error
        self.control_token = token.read_text().strip()
        self.key = _load_private_key(home / "provider.key")
        self._authority_key = _load_private_key(home / "authority.key")
        self._authority_pem = (home / "authority.crt").read_text()
        self._authority = x509.load_pem_x509_certificate(self._authority_pem.encode())
        self._certificate_file = home / "provider.crt"
        self._load_certificate()
        self.roots_pem = (home / "roots.crt").read_text()
        self.public_key_pem = public_pem(self.key.public_key())
        roots = x509.load_pem_x509_certificates(self.roots_pem.encode())
        self.root_number = signatures.root_number(roots)

    def _load_certificate(self) -> None:
        self.certificate_pem = self._certificate_file.read_text() + self._authority_pem
        certificates = x509.load_pem_x509_certificates(self.certificate_pem.encode())
        self.certificate_number = signatures.certificate_number(certificates[0])

    def renew_certificate(self) -> None:
        """Sign under a new certificate from now on: same key, other number."""
        certificate = _issue(
            _name("Alipay (sandbox)"),
            self.key.public_key(),
            self._authority.subject,
            self._authority_key,
            is_authority=False,
        )
        write_secret(self._certificate_file, _certificate_pem(certificate).encode())
        self._load_certificate()

    def sign(self, text: bytes) -> str:
        """Sign with the provider's key."""
        return signatures.sign(self.key, text)

    def issue_certificate(self, key: rsa.RSAPublicKey, app_id: str) -> tuple[str, str]:
        """Issue a merchant application's certificate; give its PEM and its SN."""
        certificate = _issue(
            _name(app_id), key, self._authority.subject, self._authority_key, is_authority=False
        )
        return _certificate_pem(certificate), signatures.certificate_number(certificate)


def _load_private_key(path: Path) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Broken(f"{path} holds no RSA key; remove the sandbox folder to begin again.")
    return key
