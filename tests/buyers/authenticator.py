"""A device with passkeys, made by hand: it signs what it is told to, also what no device would."""

import base64
import hashlib
import json
import secrets
import struct

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def to_text(content: bytes) -> str:
    """Write bytes as base64url."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Device:
    """One passkey in one device; its fields may be bent."""

    def __init__(self, domain: str = "shop.example", origin: str = "https://shop.example") -> None:
        self.domain = domain
        self.origin = origin
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = secrets.token_bytes(32)
        self.owner = b""
        self.count = 0
        self.flags = PRESENT | VERIFIED

    def _client_data(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _head(self, more: int = 0) -> bytes:
        domain = hashlib.sha256(self.domain.encode()).digest()
        return domain + struct.pack(">BI", self.flags | more, self.count)

    def make(self, options: str, *, kind: str = "webauthn.create") -> str:
        """Make the passkey that a site asks for."""
        asked = json.loads(options)
        self.owner = base64.urlsafe_b64decode(asked["user"]["id"] + "==")
        numbers = self.key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        public_key = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        size = struct.pack(">H", len(self.credential_id))
        made = bytes(16) + size + self.credential_id + public_key
        data = self._head(ATTESTED) + made
        response = {
            "clientDataJSON": to_text(self._client_data(kind, asked["challenge"])),
            "attestationObject": to_text(
                cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
            ),
        }
        return self._credential(response)

    def show(self, options: str, *, kind: str = "webauthn.get", by=None) -> str:
        """Sign what a site asks for; `by` another key perhaps."""
        asked = json.loads(options)
        self.count += 1 if self.count else 0
        data, client = self._head(), self._client_data(kind, asked["challenge"])
        signed = data + hashlib.sha256(client).digest()
        response = {
            "clientDataJSON": to_text(client),
            "authenticatorData": to_text(data),
            "signature": to_text((by or self.key).sign(signed, ec.ECDSA(hashes.SHA256()))),
        }
        if self.owner:
            response["userHandle"] = to_text(self.owner)
        return self._credential(response)

    def _credential(self, response: dict[str, str]) -> str:
        id = to_text(self.credential_id)
        return json.dumps({"id": id, "rawId": id, "type": "public-key", "response": response})
