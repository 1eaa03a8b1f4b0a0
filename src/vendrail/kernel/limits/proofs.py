"""Proofs of work by the ALTCHA protocol: a second of a browser's time for each order.

A challenge is signed and kept nowhere; it ends by itself. A solution is good once, over all
processes together: what was spent is written beside the limits, and forgotten when it has ended.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec

from vendrail.kernel.batcher import Batcher
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record
from vendrail.kernel.db import Database
from vendrail.kernel.limits import store
from vendrail.kernel.vault import Vault, is_same

_ALGORITHM = "SHA-256"
_GOOD = timedelta(minutes=10)
_PAYLOAD_MAX = 2_048
_FORGET_EVERY = timedelta(minutes=1)
# The last mark parts salt and number, so that no other salt and number make the same text.
_SALT = re.compile(r"[0-9a-f]{24}\?expires=([0-9]{9,12})&")


class Challenge(Record, frozen=True):
    """Find the number that, after the salt, hashes to the challenge."""

    algorithm: str
    challenge: str
    maxnumber: int
    salt: str
    signature: str


class _Solution(msgspec.Struct, frozen=True):
    """What a browser sends back; what else it tells is not looked at."""

    algorithm: str
    challenge: str
    number: int
    salt: str
    signature: str


_read = msgspec.json.Decoder(_Solution)


class Proofs:
    """Sets challenges and takes solutions."""

    def __init__(self, db: Database, vault: Vault, clock: Clock, *, numbers_max: int) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        self._numbers_max = numbers_max
        self._forget_at = datetime.min.replace(tzinfo=UTC)
        self._spends: Batcher[tuple[datetime, bytes], bool] = Batcher(
            self._spend, name="limits.proofs", key=_hash_of
        )

    def challenge(self) -> Challenge:
        """Set a new challenge."""
        ends_s = int((self._clock.now() + _GOOD).timestamp())
        salt = f"{secrets.token_hex(12)}?expires={ends_s}&"
        digest = _digest(salt, secrets.randbelow(self._numbers_max + 1))
        return Challenge(_ALGORITHM, digest, self._numbers_max, salt, self._sign(digest))

    async def accept(self, payload: str) -> bool:
        """Take a solution: true once, and only while its challenge lasts."""
        solution = _read_payload(payload)
        salt = _SALT.fullmatch(solution.salt) if solution else None
        if solution is None or salt is None or solution.algorithm != _ALGORITHM:
            return False
        ends_at = datetime.fromtimestamp(int(salt[1]), UTC)
        if (
            ends_at <= self._clock.now()
            or not 0 <= solution.number <= self._numbers_max
            or not is_same(solution.signature, self._sign(solution.challenge))
            or not is_same(solution.challenge, _digest(solution.salt, solution.number))
        ):
            return False
        spent = self._vault.keyed_hash("proof.spent", solution.challenge.encode())[:16]
        return await self._spends.submit((ends_at, spent))

    def _sign(self, digest: str) -> str:
        return self._vault.keyed_hash("proof.challenge", digest.encode()).hex()

    async def _spend(self, asked: Sequence[tuple[datetime, bytes]]) -> list[bool]:
        wanted = list(dict.fromkeys(asked))
        now = self._clock.now()
        async with self._db.transaction() as tx:
            ends, hashes = [end for end, _ in wanted], [hashed for _, hashed in wanted]
            first = await store.borrow(tx, ends, hashes, 1)
            if now >= self._forget_at:
                self._forget_at = now + _FORGET_EVERY
                await store.forget(tx, now)
        return [first.pop(pair, 0) == 1 for pair in asked]


def _read_payload(payload: str) -> _Solution | None:
    if not payload or len(payload) > _PAYLOAD_MAX:
        return None
    try:
        return _read.decode(base64.b64decode(payload, validate=True))
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None


def _digest(salt: str, number: int) -> str:
    return sha256(f"{salt}{number}".encode()).hexdigest()


def _hash_of(asked: tuple[datetime, bytes]) -> bytes:
    return asked[1]
