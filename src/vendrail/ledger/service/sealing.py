"""Sealing: the journal behind a moment is hashed in blocks, chained and signed, beside the posting.

Nothing is sealed before every transaction that could still write behind that moment has ended. So a
transfer that shows up in a sealed stretch later was put there past the ledger, and is found.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from vendrail.api.ledger import Block, BlockCheck, ChainHead, TransferId, TransferProof
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Transaction
from vendrail.kernel.vault import Vault
from vendrail.ledger import merkle
from vendrail.ledger.settings import LedgerSettings
from vendrail.ledger.store import sealing as store
from vendrail.ledger.store.sealing import BlockRow, Place

_TRANSFERS_MAX = 4_096
_BEFORE_ALL = UUID(int=0)
_NOTHING = bytes(32)  # What the first block follows.
_WIDTH_MIN = timedelta(milliseconds=10)  # In a second may be twenty blocks; each would read it.
_WIDTH_MAX = timedelta(days=30)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Sealing:
    """Adds blocks to the chain, proves transfers by them, and checks them."""

    def __init__(self, db: Database, clock: Clock, vault: Vault, settings: LedgerSettings) -> None:
        self._db = db
        self._clock = clock
        self._vault = vault
        self._is_on = settings.seal
        self._share = settings.seal_share
        self._old = timedelta(seconds=settings.seal_after_s)
        self._mark: tuple[datetime, int] | None = None  # A moment, and a transaction of then.
        self._safe: datetime | None = None
        self._width = _WIDTH_MIN

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        # The hash key lies beside the database, in files of its owner, and never rotates.
        return Ed25519PrivateKey.from_private_bytes(self._vault.keyed_hash("ledger.block", b""))

    @cached_property
    def public_key(self) -> str:
        """The key that blocks are checked with, in hexadecimal."""
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return raw.hex()

    def sign(self, said: bytes) -> bytes:
        """Sign what the ledger says of its books; its first line tells it from a block's hash."""
        return self._key.sign(said)

    def is_signed(self, signature: bytes, said: bytes) -> bool:
        """Tell whether the ledger has signed that."""
        try:
            self._key.public_key().verify(signature, said)
        except InvalidSignature:
            return False
        return True

    async def seal(self) -> bool:
        """Add the next block, if a whole one is there or a begun one is old; true: go on."""
        if not self._is_on:
            return False
        begun_s = asyncio.get_running_loop().time()
        is_whole = await self._seal_next()
        if is_whole:  # Posting comes first: the sealer rests in between, however much there is.
            took_s = asyncio.get_running_loop().time() - begun_s
            await asyncio.sleep(took_s * (1 / self._share - 1))
        return is_whole

    async def _seal_next(self) -> bool:
        async with self._db.transaction() as tx:
            if not await store.lock_chain(tx):
                return False
            until = self._behind(*await store.read_progress(tx))
            last = await store.load_last_block(tx)
            if last is not None:
                after = last.last
            else:
                first = await store.load_first_moment(tx)
                if first is None:
                    return False
                after = Place(first - timedelta(days=1), _BEFORE_ALL)
            if until is None or until <= after.at:
                return False
            leaves: list[store.Leaf] = []
            while True:
                end = min(until, after.at + self._width)
                leaves = await store.load_leaves(tx, after, end, _TRANSFERS_MAX)
                is_widest = bool(leaves) and self._width == _WIDTH_MAX
                if len(leaves) == _TRANSFERS_MAX or end == until or is_widest:
                    break
                self._width = min(self._width * 4, _WIDTH_MAX)
                if not leaves:  # Nothing was posted for so long: go on behind it.
                    after = Place(end, _BEFORE_ALL)
            is_whole = len(leaves) == _TRANSFERS_MAX or end < until
            if is_whole:
                self._width = max(self._width / 2, _WIDTH_MIN)
            elif not leaves or leaves[0].at > until - self._old:
                return False
            await store.add_block(tx, self._make(last, after, leaves))
        return is_whole

    async def is_settled(self, tx: Transaction, until: datetime) -> bool:
        """Tell whether nothing can be written before a moment any more, as far as is known."""
        safe = self._behind(*await store.read_progress(tx))
        return safe is not None and safe >= until

    def _behind(self, oldest: int, own: int) -> datetime | None:
        """Give the moment behind which nothing can be written any more, as far as is known."""
        if self._mark is None or oldest > self._mark[1]:
            if self._mark is not None:
                self._safe = self._mark[0]
            self._mark = (self._clock.now() - self._old, own)
        return self._safe

    def _make(self, last: BlockRow | None, after: Place, leaves: list[store.Leaf]) -> BlockRow:
        end = Place(leaves[-1].at, leaves[-1].id)
        start = last.last if last is not None else after
        root = merkle.root([leaf.hash for leaf in leaves])
        number, previous = (last.number + 1, last.hash) if last is not None else (1, _NOTHING)
        hash = _header_hash(number, start, end, len(leaves), root, previous)
        return BlockRow(
            number, start, end, len(leaves), root, previous, hash, self._key.sign(hash),
            self._clock.now(),
        )  # fmt: skip

    async def read_head(self) -> ChainHead:
        """Give the newest block, and the key that it is signed with."""
        async with self._db.reading() as tx:
            last = await store.load_last_block(tx)
        return ChainHead(_told(last) if last is not None else None, self.public_key)

    async def read_blocks(self, numbers: Sequence[int]) -> list[Block | None]:
        """Give blocks by their numbers."""
        async with self._db.reading() as tx:
            found = await store.load_blocks(tx, numbers)
        return [_told(found[number]) if number in found else None for number in numbers]

    async def prove(self, transfers: Sequence[TransferId]) -> list[TransferProof | None]:
        """Prove transfers by the blocks that they lie in; None: not sealed yet, or no transfer."""
        proofs: list[TransferProof | None] = []
        leaves: dict[int, list[store.Leaf]] = {}
        async with self._db.reading() as tx:
            places = await store.load_places(tx, transfers)
            for id in transfers:
                place, says = places.get(id, (None, ""))
                block = await store.find_block(tx, place) if place is not None else None
                if block is None or place is None:
                    proofs.append(None)
                    continue
                if block.number not in leaves:
                    leaves[block.number] = await store.load_leaves_of(tx, block)
                there = leaves[block.number]
                index = next(i for i, leaf in enumerate(there) if leaf.id == id)
                path = merkle.path([leaf.hash for leaf in there], index)
                proofs.append(
                    TransferProof(
                        id, says, index, [each.hex() for each in path], _told(block),
                        self.public_key,
                    )
                )  # fmt: skip
        return proofs

    async def check(self, numbers: Sequence[int]) -> list[BlockCheck]:
        """Hash blocks' stretches of the journal anew, and compare with what was sealed."""
        checks = []
        async with self._db.reading() as tx:
            before = await store.load_blocks(tx, [number - 1 for number in numbers])
            found = await store.load_blocks(tx, numbers)
            for number in numbers:
                block = found.get(number)
                if block is None:
                    checks.append(BlockCheck.NOT_FOUND)
                    continue
                leaves = await store.load_leaves_of(tx, block)
                if block.number == 1 and await store.has_before(tx, block.after):
                    checks.append(BlockCheck.COUNT_DIFFERS)
                    continue
                checks.append(self._judge(block, before.get(number - 1), leaves))
        return checks

    def _judge(
        self, block: BlockRow, before: BlockRow | None, leaves: Sequence[store.Leaf]
    ) -> BlockCheck:
        if len(leaves) != block.size:
            return BlockCheck.COUNT_DIFFERS
        if merkle.root([leaf.hash for leaf in leaves]) != block.root:
            return BlockCheck.ROOT_DIFFERS
        follows = (before.hash, before.last) if before is not None else (_NOTHING, block.after)
        if (block.previous, block.after) != follows or (before is None) != (block.number == 1):
            return BlockCheck.LINK_BROKEN
        header = _header_hash(*block[:6])
        is_whole = self.is_signed(block.signature, header) and header == block.hash
        return BlockCheck.WHOLE if is_whole else BlockCheck.SIGNATURE_WRONG


def _moment(at: datetime) -> int:
    """Give a moment in microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def _header_hash(
    number: int, after: Place, last: Place, count: int, root: bytes, previous: bytes
) -> bytes:
    lines = (
        "vendrail ledger block", number, _moment(after.at), after.id, _moment(last.at), last.id,
        count, root.hex(), previous.hex(),
    )  # fmt: skip
    return sha256("\n".join(map(str, lines)).encode()).digest()


def _told(block: BlockRow) -> Block:
    return Block(
        block.number,
        _moment(block.after.at),
        block.after.id,
        _moment(block.last.at),
        block.last.id,
        block.size,
        block.root.hex(),
        block.previous.hex(),
        block.hash.hex(),
        block.signature.hex(),
        block.sealed_at,
    )
