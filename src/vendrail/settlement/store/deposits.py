"""All SQL of deposits."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.settlement import (
    DepositKind,
    DepositMove,
    DepositQuery,
    DepositState,
    DepositTerms,
)
from vendrail.kernel.db import Database, Row, Transaction

_TERMS = "merchant, currency, amount_minor, return_days, since"
_MOVE = (
    "id, merchant, currency, kind, asked_minor, reason, state, moved_minor, asked_at, due_at,"
    " ended_at"
)
_LISTED_MAX = 200
_DUE_MAX = 100


def _terms(row: Row) -> DepositTerms:
    return DepositTerms(*row)


def _move(row: Row) -> DepositMove:
    values = list(row)
    values[3], values[6] = DepositKind(values[3]), DepositState(values[6])
    return DepositMove(*values)


class DepositStore:
    """Each method is one transaction, and none calls anyone while it is open."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def load_terms(
        self, keys: Sequence[tuple[UUID, str]]
    ) -> dict[tuple[UUID, str], DepositTerms]:
        """Load the terms that count now."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f"select {_TERMS} from unnest($1::uuid[], $2::text[]) as k (m, c)"  # noqa: S608
                " cross join lateral (select * from settlement.deposit_terms t"
                "  where t.merchant = k.m and t.currency = k.c order by version desc limit 1) t",
                [merchant for merchant, _ in keys],
                [currency for _, currency in keys],
            )
        return {(row["merchant"], row["currency"]): _terms(row) for row in rows}

    async def add_terms(self, terms: DepositTerms) -> bool:
        """Write terms; false: the newest say so already. Rivals take turns."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "select pg_advisory_xact_lock(hashtextextended($1, 0))",
                f"deposit_terms:{terms.merchant}:{terms.currency}",
            )
            row = await tx.fetch_row(
                "select amount_minor, return_days from settlement.deposit_terms"
                " where merchant = $1 and currency = $2 order by version desc limit 1",
                terms.merchant,
                terms.currency,
            )
            if tuple(row or (0, terms.return_days)) == (terms.amount_minor, terms.return_days):
                return False
            await tx.execute(
                f"insert into settlement.deposit_terms ({_TERMS})"  # noqa: S608 - a constant
                " values ($1, $2, $3, $4, $5)",
                terms.merchant,
                terms.currency,
                terms.amount_minor,
                terms.return_days,
                terms.since,
            )
        return True

    async def list_terms(self) -> list[DepositTerms]:
        """List the terms that count now, the newest first; so many, and no more."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f"select {_TERMS} from settlement.deposit_terms t"  # noqa: S608 - a constant
                " where not exists (select from settlement.deposit_terms n"
                "  where n.merchant = t.merchant and n.currency = t.currency"
                "  and n.version > t.version) order by version desc limit $1",
                _LISTED_MAX,
            )
        return [_terms(row) for row in rows]

    async def load_moves(self, ids: Sequence[UUID]) -> dict[UUID, DepositMove]:
        """Load movements by their ids."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f"select {_MOVE} from settlement.deposit_move"  # noqa: S608 - a constant
                " where id = any($1::uuid[])",
                list(ids),
            )
        return {row["id"]: _move(row) for row in rows}

    async def load_waiting(
        self, keys: Sequence[tuple[UUID, str]]
    ) -> dict[tuple[UUID, str], DepositMove]:
        """Load the returns that are not due yet, or are on their way: one at a time."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f"select {_MOVE} from settlement.deposit_move"  # noqa: S608 - a constant
                " join unnest($1::uuid[], $2::text[]) as k (m, c)"
                " on merchant = k.m and currency = k.c"
                " where kind = 'returned' and state in ('asked', 'moving')",
                [merchant for merchant, _ in keys],
                [currency for _, currency in keys],
            )
        return {(row["merchant"], row["currency"]): _move(row) for row in rows}

    async def list_moves(self, query: DepositQuery) -> list[DepositMove]:
        """List a page of movements, the newest first."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f"select {_MOVE} from settlement.deposit_move"  # noqa: S608 - a constant
                " where merchant = $1 and currency = $2 and ($3::uuid is null or id < $3)"
                " order by id desc limit $4",
                query.merchant,
                query.currency,
                query.before,
                max(1, min(query.moves_max, 1_000)),
            )
        return [_move(row) for row in rows]

    async def add_move(self, move: DepositMove, amount_minor: int) -> bool:
        """Write a movement; false: its id is there, or another return waits or moves."""
        async with self._db.transaction() as tx:
            await _take_turn(tx, move)
            return (
                await tx.execute(
                    "insert into settlement.deposit_move (id, merchant, currency, kind,"
                    " asked_minor, amount_minor, reason, state, asked_at, due_at)"
                    " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing",
                    move.id,
                    move.merchant,
                    move.currency,
                    move.kind,
                    move.amount_minor,
                    amount_minor,
                    move.reason,
                    move.state,
                    move.asked_at,
                    move.due_at,
                )
                == 1
            )

    async def load_open(self, now: datetime) -> list[DepositMove]:
        """Load what is due, or was broken off on its way."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f"select {_MOVE} from settlement.deposit_move"  # noqa: S608 - a constant
                " where state in ('asked', 'moving') and due_at <= $1 order by due_at limit $2",
                now,
                _DUE_MAX,
            )
        return [_move(row) for row in rows]

    async def count_taken(self, merchant: UUID, currency: str) -> int | None:
        """Count how often a deposit was taken from; None: something leaves it at this moment."""
        async with self._db.reading() as tx:
            return await _count_taken(tx, merchant, currency)

    async def begin(self, move: DepositMove, amount_minor: int, taken: int) -> bool:
        """Write how much of a return moves; whoever is first says it.

        False: it was decided by books that another taking has changed meanwhile, or will.
        """
        async with self._db.transaction() as tx:
            await _take_turn(tx, move)
            if await _count_taken(tx, move.merchant, move.currency) == taken:
                await tx.execute(
                    "update settlement.deposit_move set state = 'moving', amount_minor = $2"
                    " where id = $1 and state = 'asked'",
                    move.id,
                    amount_minor,
                )
            has_begun: bool = await tx.fetch_value(
                "select state <> 'asked' from settlement.deposit_move where id = $1", move.id
            )
        return has_begun

    async def load_amount(self, id: UUID) -> int:
        """Load how much is posted of a movement."""
        async with self._db.reading() as tx:
            amount: int = await tx.fetch_value(
                "select amount_minor from settlement.deposit_move where id = $1", id
            )
        return amount

    async def list_untold_terms(self, rows_max: int) -> list[tuple[int, DepositTerms, bool]]:
        """List terms that nobody was told of, oldest first, and whether they count yet."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f"select version, not exists (select from settlement.deposit_terms n"  # noqa: S608
                "  where n.merchant = t.merchant and n.currency = t.currency"
                f"  and n.version > t.version), {_TERMS} from settlement.deposit_terms t"
                " where told_at is null order by version limit $1",
                rows_max,
            )
        return [(row[0], DepositTerms(*row[2:]), row[1]) for row in rows]

    async def list_untold_moves(self, rows_max: int) -> list[DepositMove]:
        """List what was taken and given back and nobody was told of, oldest first."""
        async with self._db.reading() as tx:
            rows = await tx.fetch(
                f"select {_MOVE} from settlement.deposit_move"  # noqa: S608 - a constant
                " where told_at is null and state = 'done' and kind <> 'paid'"
                " order by id limit $1",
                rows_max,
            )
        return [_move(row) for row in rows]

    async def note_told(
        self, versions: Sequence[int], moves: Sequence[UUID], now: datetime
    ) -> None:
        """Note that merchants were told."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "update settlement.deposit_terms set told_at = $2"
                " where version = any($1::bigint[]) and told_at is null",
                list(versions),
                now,
            )
            await tx.execute(
                "update settlement.deposit_move set told_at = $2"
                " where id = any($1::uuid[]) and told_at is null",
                list(moves),
                now,
            )

    async def end(self, id: UUID, moved_minor: int, now: datetime) -> None:
        """Write what has moved; nothing: it was refused."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "update settlement.deposit_move set moved_minor = $2::bigint, ended_at = $3,"
                " state = case when $2::bigint > 0 then 'done' else 'refused' end"
                " where id = $1 and state = 'moving'",
                id,
                moved_minor,
                now,
            )


async def _take_turn(tx: Transaction, move: DepositMove) -> None:
    """Let what leaves one deposit be written one after the other, until the transaction ends."""
    await tx.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))",
        f"deposit_move:{move.merchant}:{move.currency}",
    )


async def _count_taken(tx: Transaction, merchant: UUID, currency: str) -> int | None:
    """Count what was taken from a deposit; None: something that leaves it may not be posted yet."""
    row = await tx.fetch_row(
        "select count(*) filter (where kind = 'taken'),"
        " count(*) filter (where kind <> 'paid' and state = 'moving')"
        " from settlement.deposit_move where merchant = $1 and currency = $2",
        merchant,
        currency,
    )
    assert row is not None
    return None if row[1] else row[0]
