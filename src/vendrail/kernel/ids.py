"""Ids are UUIDv7 made here, never in SQL: in time order, with the merchant's virtual shard inside.

Layout (RFC 9562): 48 bits Unix milliseconds, 4 bits version, 12 bits `rand_a` = virtual shard,
2 bits variant, 62 random bits. `derive` keeps the parent's time and shard and hashes the rest.
"""

import hashlib
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from asyncpg.pgproto import pgproto

from vendrail.kernel.errors import Malformed

SHARD_COUNT = 4096
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]  # Ten bits at a time.
_PAIR_SHIFTS = range(120, -1, -10)
_SERIAL = re.compile(f"[{_ALPHABET}OIL]{{26}}")
# Into the digits that Python writes base 32 with, what is mistaken for another as that other.
_TO_BASE_32 = str.maketrans(_ALPHABET + "OIL", "0123456789abcdefghijklmnopqrstuv011")
# The variant's two bits on the first byte of the random half.
_VARIANT_BYTES = [bytes([byte & 0x3F | 0x80]) for byte in range(256)]
# The driver's own kind of UUID: equal to the library's and a subclass of it, but made in a tenth of
# the time and sent to the database without a detour. An order has some twenty of them.
_make: Callable[[bytes], UUID] = pgproto.UUID
_VARIANT = 0b10 << 62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id(now: datetime, shard: int = 0) -> UUID:
    """Make an id for this moment (millisecond precision) and virtual shard (0 … 4095)."""
    since = now - _EPOCH
    time_ms = since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000
    random = os.urandom(8)
    head = (time_ms << 16 | 7 << 12 | shard).to_bytes(8, "big")
    return _make(head + _VARIANT_BYTES[random[0]] + random[1:])


def derive(parent: UUID, step: str) -> UUID:
    """Make the one id of this parent and step; in the parent's time order and shard."""
    head = parent.bytes
    digest = hashlib.blake2b(head + step.encode(), digest_size=8).digest()
    return _make(head[:8] + _VARIANT_BYTES[digest[0]] + digest[1:])


def named_id(name: str) -> UUID:
    """Make the one id of a name (UUIDv8, custom): for accounts and other fixed nouns."""
    digest = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=16).digest(), "big")
    cleared = digest & ~(0xF << 76) & ~(0b11 << 62)
    return UUID(int=cleared | (8 << 76) | _VARIANT)


def shard_of(merchant: UUID) -> int:
    """Give the virtual shard of a merchant: what its orders' ids carry in `rand_a`."""
    return (
        int.from_bytes(hashlib.blake2b(merchant.bytes, digest_size=2).digest(), "big") % SHARD_COUNT
    )


def shard_in(id: UUID) -> int:
    """Read the virtual shard that an order's id carries."""
    return id.int >> 64 & SHARD_COUNT - 1


def made_at(id: UUID) -> datetime:
    """Read the moment an id was made (for a derived id: its parent's)."""
    return _EPOCH + timedelta(milliseconds=id.int >> 80)


def first_id_at(moment: datetime) -> UUID:
    """Give the smallest id of a moment, to bound a range of ids by time."""
    time_ms = max(0, (moment - _EPOCH) // timedelta(milliseconds=1))
    return UUID(int=time_ms << 80)


def to_serial(id: UUID) -> str:
    """Write an id as its serial number: 26 characters of Crockford's base 32."""
    value = id.int
    return "".join([_PAIRS[value >> shift & 1023] for shift in _PAIR_SHIFTS])


def from_serial(serial: str) -> UUID:
    """Read a serial number back, forgiving case, blanks, hyphens and O/0, I/L/1."""
    letters = serial.strip().upper().replace("-", "").replace(" ", "")
    if not _SERIAL.fullmatch(letters):
        raise Malformed("A serial number has 26 letters and digits; copy it whole from the order.")
    value = int(letters.translate(_TO_BASE_32), 32)
    if value >> 128:
        raise Malformed("This serial number is not one of ours; copy it whole from the order.")
    return UUID(int=value)
