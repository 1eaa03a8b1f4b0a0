"""Alipay's signatures: what is signed, by which key, over exactly which bytes. Pure.

Requests sign every parameter but `sign` and empty ones. Notifications sign every parameter but
`sign` and `sign_type`, empty ones too. Replies sign the exact text of one member of a JSON object.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

_PEM_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_RSA_SIGNATURES = "1.2.840.113549.1.1"
_ATTRIBUTE_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.5": "SERIALNUMBER",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "E",
}
_SHA256 = hashes.SHA256()
_PADDING = padding.PKCS1v15()


# Keys and certificates.


def load_private_key(text: str) -> RSAPrivateKey:
    """Read an RSA private key: PEM of either form, or the bare base 64 that Alipay's tools give."""
    if "-----BEGIN" in text:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    else:
        key = serialization.load_der_private_key(_from_base64(text), password=None)
    if not isinstance(key, RSAPrivateKey) or key.key_size < 2048:
        raise ValueError("It must be an RSA key of 2048 bits or more.")
    return key


def load_public_key(text: str) -> RSAPublicKey:
    """Read an RSA public key: PEM, or the bare base 64 that Alipay's site shows."""
    if "-----BEGIN" in text:
        key = serialization.load_pem_public_key(text.encode())
    else:
        key = serialization.load_der_public_key(_from_base64(text))
    if not isinstance(key, RSAPublicKey) or key.key_size < 2048:
        raise ValueError("It must be an RSA key of 2048 bits or more.")
    return key


def load_certificates(text: str) -> list[x509.Certificate]:
    """Read every certificate of a PEM bundle that can be read; others (SM2) are passed over."""
    found = []
    for block in _PEM_BLOCK.findall(text):
        try:
            found.append(x509.load_pem_x509_certificate(block.encode()))
        except (ValueError, UnsupportedAlgorithm):
            continue
    return found


def certificate_sn(certificate: x509.Certificate) -> str:
    """Give the SN by which Alipay names a certificate: MD5 of its issuer and serial number."""
    # Issuer as CN=…,OU=…,O=…,C=…: the order of the certificate turned round, without blanks.
    issuer = ",".join(
        f"{_ATTRIBUTE_NAMES.get(part.oid.dotted_string, part.oid.dotted_string)}={part.value!s}"
        for part in reversed(list(certificate.issuer))
    )
    text = f"{issuer}{certificate.serial_number}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def root_sn(bundle: str) -> str:
    """Give the SN of a root bundle: the SNs of its RSA-signed roots, joined by `_`."""
    return "_".join(
        certificate_sn(certificate)
        for certificate in load_certificates(bundle)
        if certificate.signature_algorithm_oid.dotted_string.startswith(_RSA_SIGNATURES)
    )


def rsa_key_of(certificate: x509.Certificate) -> RSAPublicKey:
    """Give the RSA key a certificate speaks for."""
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise TypeError("The certificate must hold an RSA key.")
    return key


def trusted_key(
    chain: Sequence[x509.Certificate], sn: str, roots: Sequence[x509.Certificate], now: datetime
) -> RSAPublicKey:
    """Give the key of the certificate with this SN, if a chain leads from it to one of the roots.

    Raises ValueError, saying what is wrong, where none does, or where one has run out.
    """
    leaf = next((each for each in chain if certificate_sn(each) == sn), None)
    if leaf is None:
        raise ValueError(f"no certificate has the SN {sn}")
    current, left = leaf, [each for each in chain if each is not leaf]
    while True:
        if not current.not_valid_before_utc <= now <= current.not_valid_after_utc:
            raise ValueError(f"{current.subject.rfc4514_string()} is not valid now")
        if any(_is_issued_by(current, root) for root in roots):
            return rsa_key_of(leaf)
        issuer = next((each for each in left if _is_issued_by(current, each)), None)
        if issuer is None:
            raise ValueError(f"{current.subject.rfc4514_string()} leads to no root that is trusted")
        left.remove(issuer)
        current = issuer


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints)
    except (
        ValueError,
        TypeError,
        InvalidSignature,
        UnsupportedAlgorithm,
        x509.ExtensionNotFound,
    ):
        return False
    return constraints.value.ca


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("It is neither PEM nor base 64.") from error


# Requests.


def request_text(params: Mapping[str, str]) -> bytes:
    """Give the text a request signs."""
    return "&".join(
        f"{name}={params[name]}" for name in sorted(params) if name != "sign" and params[name]
    ).encode()


def sign(text: bytes, key: RSAPrivateKey) -> str:
    """Sign as RSA2: PKCS #1 v1.5 with SHA-256, in base 64."""
    return base64.b64encode(key.sign(text, _PADDING, _SHA256)).decode()


def is_signed(text: bytes, signature: bytes, keys: Iterable[RSAPublicKey]) -> bool:
    """Tell whether one of the keys made this base 64 signature of exactly these bytes."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    for key in keys:
        try:
            key.verify(raw, text, _PADDING, _SHA256)
        except InvalidSignature:
            continue
        return True
    return False


# Notifications.


def read_form(body: bytes) -> dict[bytes, bytes] | None:
    """Read a form as bytes; None when it is none, or says one thing twice."""
    fields: dict[bytes, bytes] = {}
    for pair in body.split(b"&"):
        name, equals, value = pair.partition(b"=")
        if not equals:
            return None
        if b"%" in name or b"+" in name:
            name = unquote_to_bytes(name.replace(b"+", b" "))
        if b"%" in value or b"+" in value:
            value = unquote_to_bytes(value.replace(b"+", b" "))
        if name in fields:
            return None
        fields[name] = value
    return fields


def notification_text(fields: Mapping[bytes, bytes]) -> bytes:
    """Give the text a trade notification signs: all but `sign` and `sign_type`, empty ones too."""
    return b"&".join(
        name + b"=" + fields[name] for name in sorted(fields) if name not in {b"sign", b"sign_type"}
    )


# Replies.


def members(text: bytes) -> dict[str, bytes] | None:
    """Cut a JSON object into its members, each value as the exact bytes that were sent.

    Braces and quotes inside strings do not count. None when the text is no object, or when a
    member comes twice: two readers could then see two different answers.
    """
    found: dict[str, bytes] = {}
    at = _skip_blanks(text, 0)
    if text[at : at + 1] != b"{":
        return None
    at = _skip_blanks(text, at + 1)
    while text[at : at + 1] == b'"':
        end = _string_end(text, at)
        if end is None:
            return None
        name = text[at + 1 : end - 1].decode("utf-8", "replace")
        at = _skip_blanks(text, end)
        if text[at : at + 1] != b":":
            return None
        start = _skip_blanks(text, at + 1)
        stop = _value_end(text, start)
        if stop is None or stop == start or name in found or "\\" in name:
            return None
        found[name] = text[start:stop]
        at = _skip_blanks(text, stop)
        if text[at : at + 1] == b"}":
            return found if not text[at + 1 :].strip() else None
        if text[at : at + 1] != b",":
            return None
        at = _skip_blanks(text, at + 1)
    return None


def _skip_blanks(text: bytes, at: int) -> int:
    while text[at : at + 1] in (b" ", b"\t", b"\r", b"\n"):
        at += 1
    return at


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_STRUCTURE = re.compile(rb'[{}\[\]]|"(?:[^"\\]|\\.)*+"|"', re.DOTALL)
_SCALAR = re.compile(rb"[^,}\]\s]*")


def _string_end(text: bytes, start: int) -> int | None:
    match = _STRING.match(text, start)
    return match.end() if match else None


def _value_end(text: bytes, start: int) -> int | None:
    """Find where a value ends, walking over whole strings so that their braces do not count."""
    first = text[start : start + 1]
    if first == b'"':
        return _string_end(text, start)
    if first not in (b"{", b"["):
        match = _SCALAR.match(text, start)
        return match.end() if match else None
    depth = 0
    for match in _STRUCTURE.finditer(text, start):
        token = match[0]
        if token in (b"{", b"["):
            depth += 1
        elif token in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return match.end()
        elif token == b'"':
            return None
    return None
