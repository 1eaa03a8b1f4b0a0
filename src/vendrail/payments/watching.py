"""Watching: chains are read block by block, and what came is counted when nothing can undo it.

A chain may change its mind about its last blocks. What stood in a block that is gone is withdrawn;
it was shown to its buyer and counted for nobody, for only final money is counted.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

import structlog

from vendrail.api.payments import CaptureSource
from vendrail.kernel.clock import Clock
from vendrail.kernel.errors import Error
from vendrail.kernel.ids import from_serial
from vendrail.payments.accounts import Accounts, OpenAccount
from vendrail.payments.arriving import Incoming
from vendrail.payments.attempts import read_out_trade_no
from vendrail.payments.capturing import Capturing
from vendrail.payments.channels.line import ProviderAway
from vendrail.payments.channels.watching import (
    Block,
    Horizon,
    Moved,
    Sighting,
    WatchingChannel,
    watching,
)
from vendrail.payments.depositing import count
from vendrail.payments.sighted import arrived_of, asked_of, place_of, priced_of, worth_of
from vendrail.payments.store import deposits as rows
from vendrail.payments.store.base import Row, Store, Transaction

_LEASE = timedelta(seconds=60)
_PAUSE = timedelta(seconds=15)  # After a node that is not what its settings tell.
_WATCHED = timedelta(days=7)  # An address is watched so long after its attempt is over.
_FRESH = timedelta(minutes=2)  # An address is shown so long after the last good look.
_STEP = 64  # Blocks that may still change are read so many at a time, each head by itself.
_BULK = 1_000  # Final blocks are read so many at a time.
_COMPARED = 32
_STEPS_AT_ONCE = 20

_log = structlog.get_logger(__name__)


class _Watch(NamedTuple):
    """A chain that is looked at now."""

    account: OpenAccount
    channel: WatchingChannel[Any]
    mark: Row

    @property
    def id(self) -> UUID:
        """Give the account's id."""
        return self.account.row.id


class Watching:
    """Reads the chains of the accounts that are watched, and counts what came."""

    def __init__(
        self, store: Store, accounts: Accounts, capturing: Capturing, clock: Clock
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._capturing = capturing
        self._clock = clock
        self._verified: dict[UUID, int] = {}  # Which version of an account was found to be true.
        self._looked: dict[UUID, float] = {}  # When the last look at its chain began.
        self._looking: dict[UUID, asyncio.Lock] = {}
        self._unknown: set[tuple[UUID, str]] = set()  # Told of already: worth that nobody knows.

    async def is_fresh(self, account: OpenAccount) -> bool:
        """Say whether a chain is what its settings tell and was read lately, by looking if need be.

        False: whoever is shown an address now might pay where nobody sees it.
        """
        if self._verified.get(account.row.id) == account.version:
            async with self._store.reading() as tx:
                mark = await rows.read_mark(tx, account.row.id)
            if mark is not None and mark["looked_at"] > self._clock.now() - _FRESH:
                return True
        return await self.refresh(account)

    async def look_due(self) -> bool:
        """Look at the chains that are due; true when one has more to read at once."""
        found = [
            (account, channel)
            for account in (await self._accounts.all()).values()
            if (channel := watching(account.channel)) is not None
        ]
        return any(await asyncio.gather(*(self._look(*each) for each in found)))

    async def refresh(self, account: OpenAccount) -> bool:
        """Read a chain to its end now, and count; all who ask at once wait for one look.

        False: it could not be read, and nothing may be assumed.
        """
        channel = watching(account.channel)
        assert channel is not None
        id = account.row.id
        asked_at = monotonic()
        async with self._looking.setdefault(id, asyncio.Lock()):
            if self._looked.get(id, -1.0) >= asked_at:
                return True
            begun_at = monotonic()
            try:
                is_read = await self._read_on(account, channel)
            except Moved:
                is_read = False
            except ProviderAway as error:
                _log.warning("chain.away", channel=account.row.name, problem=str(error))
                is_read = False
            if is_read:
                await self._count(account, channel)
                self._looked[id] = begun_at
            return is_read

    async def _read_on(self, account: OpenAccount, channel: WatchingChannel[Any]) -> bool:
        """Read as far as one who waits will wait; the loop does the rest."""
        if not await self._is_true(account, channel, is_asked=True):
            return False
        for _ in range(_STEPS_AT_ONCE):
            async with self._store.reading() as tx:
                mark = await rows.read_mark(tx, account.row.id)
            if mark is None:
                await self._begin(account, channel, self._clock.now())
            elif not await self._step(_Watch(account, channel, mark)):
                return True
        return False

    async def _look(self, account: OpenAccount, channel: WatchingChannel[Any]) -> bool:
        now = self._clock.now()
        id = account.row.id
        try:
            if not await self._is_true(account, channel):
                return False
            async with self._store.reading() as tx:
                mark = await rows.take_mark(tx, id, now, now + _LEASE)
            if mark is None:
                await self._begin(account, channel, now)
                return False
            is_more = await self._step(_Watch(account, channel, mark))
        except Moved:
            _log.info("chain.moved", channel=account.row.name)
            is_more = False
        except ProviderAway as error:
            _log.warning("chain.away", channel=account.row.name, problem=str(error))
            is_more = False
        except Error as error:  # The other chains go on.
            _log.warning("chain.failed", channel=account.row.name, problem=str(error))
            return False
        await self._count(account, channel)
        pace = (
            timedelta(0) if is_more else timedelta(seconds=channel.pace_s(account.account.settings))
        )
        async with self._store.reading() as tx:
            await rows.put_off(tx, id, self._clock.now() + pace)
        return is_more

    async def _is_true(
        self, account: OpenAccount, channel: WatchingChannel[Any], *, is_asked: bool = False
    ) -> bool:
        """Ask once whether chain and tokens are what the settings tell; money depends on it."""
        id = account.row.id
        if self._verified.get(id) == account.version:
            return True
        now = self._clock.now()
        async with self._store.reading() as tx:
            mark = await rows.read_mark(tx, id)
        if mark is not None and mark["due_at"] > now and not is_asked:
            return False
        problem = await channel.verify(account.account)
        if problem:
            _log.error("chain.not_as_told", channel=account.row.name, problem=problem)
            async with self._store.reading() as tx:
                await rows.put_off(tx, id, now + _PAUSE)
            return False
        self._verified[id] = account.version
        return True

    async def _begin(
        self, account: OpenAccount, channel: WatchingChannel[Any], now: datetime
    ) -> None:
        """Begin at the end of the chain: no address was given out before."""
        async with self._store.reading() as tx:
            if await rows.read_mark(tx, account.row.id) is not None:
                return
        horizon = await channel.horizon(account.account)
        (block,) = await channel.read_blocks([horizon.latest], account.account)
        if block is None:
            raise Moved
        mark = (block.number, block.hash, horizon.final, horizon.latest, horizon.confirmations)
        async with self._store.transaction() as tx:
            await rows.insert_mark(tx, account.row.id, mark, now, now)

    async def _step(self, watch: _Watch) -> bool:
        """Read the next blocks; true when there are more."""
        account, channel, mark = watch.account.account, watch.channel, watch.mark
        horizon = await channel.horizon(account)
        first = mark["block"] + 1
        is_bulk = horizon.final - first >= _STEP
        last = min(horizon.final, first + _BULK - 1) if is_bulk else first + _STEP - 1
        last = min(last, horizon.latest)
        numbers = [last] if is_bulk else list(range(first, last + 1))
        known, *heads = await channel.read_blocks([mark["block"], *numbers], account)
        if known is None:
            raise Moved  # This node is behind another that was asked before.
        if known.hash != mark["hash"]:
            await self._rewind(watch, horizon)
            return True
        blocks = [block for block in heads if block is not None]
        if not is_bulk:
            blocks = _linked(known, heads)
        if not blocks:
            if numbers:
                raise Moved
            await self._advance(watch, [known], [], {}, horizon)
            return False
        # After the horizon: whoever is shown an address from now on pays in a later block.
        async with self._store.reading() as tx:
            since = min(self._clock.now(), known.at) - _WATCHED
            watched = await rows.read_watched(tx, watch.id, since)
        seen = await channel.look(first, blocks[-1].number, sorted(watched), account)
        (again,) = await channel.read_blocks([blocks[-1].number], account)
        hashes = {block.number: block.hash for block in blocks}
        if again != blocks[-1] or any(
            hashes.get(each.block, each.block_hash) != each.block_hash for each in seen
        ):
            raise Moved
        await self._advance(watch, blocks, seen, watched, horizon)
        return blocks[-1].number < horizon.latest

    async def _advance(
        self,
        watch: _Watch,
        blocks: Sequence[Block],
        seen: Sequence[Sighting],
        watched: dict[str, UUID],
        horizon: Horizon,
    ) -> None:
        """Write what was read, and how far; nothing, where another process was quicker."""
        now = self._clock.now()
        last = blocks[-1]
        mark = (last.number, last.hash, horizon.final, horizon.latest, horizon.confirmations)
        written = [
            (
                watch.id,
                each.number,
                None if each.refund else watched.get(each.target),
                each.block,
                each.block_hash,
                each.at,
                each.asset,
                each.source,
                each.target,
                each.units,
                from_serial(each.refund) if each.refund else None,
            )
            for each in seen
            if each.refund or each.target in watched
        ]
        async with self._store.transaction() as tx:
            if not await rows.lock_mark(tx, watch.id, watch.mark["block"], watch.mark["hash"]):
                return
            if written:
                await rows.insert_sightings(tx, written)
            await rows.insert_blocks(tx, watch.id, [(each.number, each.hash) for each in blocks])
            await rows.move_mark(tx, watch.id, mark, now)

    async def _rewind(self, watch: _Watch, horizon: Horizon) -> None:
        """Go back to the last block that still stands, and withdraw what was seen after it."""
        account = watch.account.account
        async with self._store.reading() as tx:
            known = await rows.read_blocks(tx, watch.id)
        common = None
        for start in range(0, len(known), _COMPARED):
            some = known[start : start + _COMPARED]
            found = await watch.channel.read_blocks([number for number, _ in some], account)
            for (number, hash), block in zip(some, found, strict=True):
                if block is not None and block.hash == hash:
                    common = (number, hash)
                    break
            if common is not None:
                break
        if common is None:
            _log.error("chain.another", channel=watch.account.row.name, block=known[-1][0])
            (block,) = await watch.channel.read_blocks([max(0, known[-1][0] - 1)], account)
            if block is None:
                raise Moved
            common = (block.number, block.hash)
        now = self._clock.now()
        mark = (*common, min(horizon.final, common[0]), horizon.latest, horizon.confirmations)
        async with self._store.transaction() as tx:
            if not await rows.lock_mark(tx, watch.id, watch.mark["block"], watch.mark["hash"]):
                return
            gone = await rows.withdraw(tx, watch.id, common[0], now)
            await rows.insert_blocks(tx, watch.id, [common])
            await rows.move_mark(tx, watch.id, mark, now)
        _log.warning(
            "chain.reorganized",
            channel=watch.account.row.name,
            blocks=watch.mark["block"] - common[0],
            withdrawn=len(gone),
        )
        for each in gone:
            if each["counted_as"] is not None or each["refund_id"] is not None:
                _log.error(
                    "chain.final_block_gone",
                    channel=watch.account.row.name,
                    number=each["number"],
                )

    # Counting.

    async def count(self, account: OpenAccount) -> None:
        """Count what can be counted now, without a look at the chain."""
        channel = watching(account.channel)
        assert channel is not None
        await self._count(account, channel)

    async def _count(self, account: OpenAccount, channel: WatchingChannel[Any]) -> None:
        """Count what has become final, in one transaction with the captures that it makes."""
        id = account.row.id
        now = self._clock.now()
        async with self._store.reading() as tx:
            mark = await rows.read_mark(tx, id)
            open_rows = await rows.read_open(tx, id)
        if mark is None:
            return
        final = min(mark["final"], mark["block"])
        by_attempt: dict[UUID, list[Row]] = {}
        incoming: list[Incoming] = []
        counted: list[tuple[str, str]] = []
        for row in open_rows:
            if row["priced_minor"] is not None:
                if row["block"] <= final:
                    incoming.append(priced_of(account, row))
                    counted.append((row["number"], row["number"]))
                continue
            by_attempt.setdefault(row["attempt_id"], []).append(row)
        paid: list[tuple[UUID, str, datetime]] = []
        for attempt, of_attempt in by_attempt.items():
            arrived = [
                arrived_of(account, channel, row, final) for row in sorted(of_attempt, key=place_of)
            ]
            known = [each for each in arrived if each is not None]
            if len(known) < len(arrived):
                self._tell_unknown(account, channel, of_attempt)
            result = count(asked_of(of_attempt[0]), known, now)
            counted += result.counted
            row = of_attempt[0]
            incoming += [
                Incoming(
                    account,
                    read_out_trade_no(row["out_trade_no"]),
                    credit.number,
                    row["out_trade_no"],
                    credit.amount_minor,
                    row["currency"],
                    credit.paid_at,
                    CaptureSource.QUERY,
                    credit.is_price,
                )
                for credit in result.credits
            ]
            if result.price is not None:
                paid.append((attempt, result.price.number, result.price.paid_at))

        async def note(tx: Transaction) -> None:
            await rows.count_sightings(tx, id, counted, paid)

        if incoming:
            await self._capturing.record_incoming(incoming, beside=note)
        elif counted:
            async with self._store.transaction() as tx:
                await note(tx)
        async with self._store.reading() as tx:
            left = await rows.read_unsettled(tx, id, final)
            if left:
                await rows.hasten_refunds(tx, left, now)

    def _tell_unknown(
        self, account: OpenAccount, channel: WatchingChannel[Any], came: Sequence[Row]
    ) -> None:
        """Say once what is worth something that the account does not know; it stays open."""
        for row in came:
            key = (account.row.id, row["number"])
            if key not in self._unknown and worth_of(account, channel, row) is None:
                self._unknown.add(key)
                _log.error(
                    "chain.no_rate",
                    channel=account.row.name,
                    number=row["number"],
                    asset=row["seen_asset"],
                    units=str(row["seen_units"]),
                    out_trade_no=row["out_trade_no"],
                )


def _linked(known: Block, heads: Sequence[Block | None]) -> list[Block]:
    """Give the heads that follow the known block without a gap."""
    chain = [known]
    for block in heads:
        if block is None:
            break
        chain.append(block)
    for place, (before, after) in enumerate(pairwise(chain)):
        if after.parent != before.hash:
            return chain[1 : place + 1]
    return chain[1:]
