"""Where transactions come from, and the events that are written in them."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from operator import itemgetter
from typing import Any

from vendrail.kernel.db import Database, Row, Transaction, assert_no_transaction, plain_first
from vendrail.kernel.outbox import Cursor, EventPage
from vendrail.kernel.outbox import append_events as append
from vendrail.kernel.outbox import read_events as read

__all__ = [
    "Row",
    "Store",
    "Transaction",
    "append_events",
    "assert_no_transaction",
    "columns",
    "plain_first",
    "read_events",
    "sorted_columns",
]


class Store:
    """Opens the service's transactions; the functions below say what is done in them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction."""
        return self._db.transaction()

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        """Borrow a connection for statements that stand alone."""
        return self._db.reading()


async def append_events(tx: Transaction, at: datetime, events: bytes, count: int) -> None:
    """Write the events of one batch with the change they tell of."""
    await append(tx, "payments", at, events, count)


async def read_events(tx: Transaction, cursor: Cursor) -> EventPage:
    """Read the events after a cursor."""
    return await read(tx, "payments", cursor)


def sorted_columns(rows: Sequence[Sequence[Any]], width: int) -> Sequence[Sequence[object]]:
    """Turn rows into columns, in the order of the first: rivals then wait, and never for ever."""
    return columns(sorted(rows, key=itemgetter(0)), width)


def columns(rows: Sequence[Sequence[object]], width: int) -> Sequence[Sequence[object]]:
    """Turn rows into columns for unnest."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
