"""Events are written with the change and read in an order that skips no late commit.

One row holds the events of one batch (one insert a commit, whatever its size). A consumer reads by
(xid, id) below `pg_snapshot_xmin`: a row whose transaction is still open hides all later ones, so
that nothing is ever skipped. The consumer stores its cursor in its own schema, with its effect.

Asking for what follows a cursor says that all up to it was dealt with. That is noted beside the
events, by reader, and what is old and was read by all is deleted: `trim_events`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog

from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record
from vendrail.kernel.db import Database, Transaction
from vendrail.kernel.errors import Error
from vendrail.kernel.waiting import wait_at_most

_log = structlog.get_logger(__name__)

# An event may become readable a moment after its hint, when an earlier transaction has ended.
_DELAY_S_MIN = 0.004
# Nothing has been told yet when a loop begins: some thirty of them need not hurry at once.
_DELAY_S_FIRST = 0.25

EVENT_TABLE = """
create table {schema}.event (
    id     bigint generated always as identity primary key,
    xid    xid8 not null default pg_current_xact_id(),
    at     timestamptz not null,
    count  int not null,
    events bytea storage external not null  -- A JSON array: the events of one batch, in order.
);
create index event_order on {schema}.event (xid, id);
"""


READER_TABLE = """
create table {schema}.reader (
    name text primary key,                    -- '': since when readers are known.
    xid  xid8 not null default '0',           -- Up to here it has dealt with all, at least.
    id   bigint not null default 0,
    at   timestamptz not null default now()   -- When it last said so.
);
insert into {schema}.reader (name) values ('');
"""
# How far a reader is, as exactly as a minute: nothing hurries to be deleted.
_NOTED = """with noted as (
 insert into "{schema}".reader as r (name, xid, id) select $4, $1::text::xid8, $2
  where not exists
   (select from "{schema}".reader where name = $4 and at > now() - interval '1 minute')
  on conflict (name) do update set xid = excluded.xid, id = excluded.id, at = excluded.at)
"""

_XID_OF_RESTORED = 3  # The first number of any server: older than all that it will ever give.


class Cursor(Record, frozen=True):
    """How far a consumer has read: the transaction and row last seen."""

    xid: int = 0
    id: int = 0
    reader: str = ""  # Who has; empty: whoever looks and keeps nothing from being deleted.


class EventPage(Record, frozen=True):
    """Rows read after a cursor: each the JSON array of one batch's events, oldest first."""

    batches: list[bytes]
    cursor: Cursor
    is_more: bool = False


def batches_with(batches: Sequence[bytes], kind: type[Record]) -> list[bytes]:
    """Leave out the batches without an event of one kind, unread: for who waits for a rare one."""
    tag = f'"{kind.__struct_config__.tag}"'.encode()
    return [batch for batch in batches if tag in batch]


async def append_events(
    tx: Transaction, schema: str, at: datetime, events: bytes, count: int
) -> None:
    """Write the events of one batch (a JSON array) with the change they tell of."""
    await tx.execute(
        f'insert into "{schema}".event (at, count, events) values ($1, $2, $3)',
        at,
        count,
        events,
    )


async def read_events(
    tx: Transaction, schema: str, cursor: Cursor, rows_max: int = 64
) -> EventPage:
    """Read the rows after a cursor, none that a transaction still open could precede."""
    # In the same statement, for loops ask all the time; most only look, and write nothing.
    noted = _NOTED.format(schema=schema) if cursor.reader else ""
    rows = await tx.fetch(
        # Its own name for the text: `order by xid` would sort texts, 1000 before 999.
        f'{noted}select xid::text as xid_text, id, events from "{schema}".event'
        " where (xid, id) > ($1::text::xid8, $2)"
        " and xid < pg_snapshot_xmin(pg_current_snapshot())"
        " order by xid, id limit $3",
        str(cursor.xid),
        cursor.id,
        rows_max,
        *((cursor.reader,) if cursor.reader else ()),
    )
    if not rows:
        return EventPage([], cursor)
    last = Cursor(int(rows[-1]["xid_text"]), rows[-1]["id"], cursor.reader)
    return EventPage([row["events"] for row in rows], last, len(rows) == rows_max)


async def trim_events(db: Database, now: datetime, keep_days: int, rows_max: int = 500) -> bool:
    """Delete some events of a service that are old and were read by all; true: there may be more.

    A reader that is behind keeps what it has not read, however old. Who has never read keeps
    nothing, but nothing is deleted before readers were known for as long as events are kept. The
    newest event stays: no cursor is ever beyond what was written.
    """
    schema, before = db.service, now - timedelta(days=keep_days)
    async with db.reading() as tx:
        known = await tx.fetch(
            f'select name, xid::text as xid_text, id, at from "{schema}".reader order by xid, id'
        )
        readers = [row for row in known if row["name"]]
        if not any(not row["name"] and row["at"] < before for row in known):
            return False
        newest = await tx.fetch_row(
            f'select xid::text as xid_text, id from "{schema}".event order by xid desc, id desc'
            " limit 1"
        )
        if newest is None:
            return False
        slowest = readers[0] if readers else newest
        count = await tx.execute(
            f'delete from "{schema}".event where id in (select id from'
            f' (select id, at from "{schema}".event'
            "   where (xid, id) <= ($1::text::xid8, $2) and (xid, id) < ($3::text::xid8, $4)"
            "   order by xid, id limit $6) as oldest where at < $5)",
            slowest["xid_text"],
            slowest["id"],
            newest["xid_text"],
            newest["id"],
            before,
            rows_max,
        )
    if count == rows_max:
        return True
    for row in readers:
        if row["at"] < before:  # Its rows stay until it reads on, or an operator forgets it.
            _log.warning("outbox.reader_away", source=schema, reader=row["name"], since=row["at"])
    return False


async def read_cursor(tx: Transaction, schema: str, source: str) -> Cursor:
    """Read how far a consumer has read a source; it keeps that in a table of its own schema."""
    row = await tx.fetch_row(
        f'select xid::text as xid, id from "{schema}".cursor where source = $1', source
    )
    name = f"{schema}.{source}"
    return Cursor(int(row["xid"]), row["id"], name) if row else Cursor(reader=name)


async def move_cursor(
    tx: Transaction, schema: str, source: str, before: Cursor, after: Cursor
) -> bool:
    """Store how far a source has been read, with the effect; false: another process has."""
    count = await tx.execute(
        f'update "{schema}".cursor set xid = $4::text::xid8, id = $5'
        " where source = $1 and xid = $2::text::xid8 and id = $3",
        source,
        str(before.xid),
        before.id,
        str(after.xid),
        after.id,
    )
    return count == 1


async def rebase_events(tx: Transaction, schema: str, cursors: Sequence[Cursor]) -> list[Cursor]:
    """Number events anew after a restore by dump, and give each cursor in the new numbering.

    Transaction numbers belong to a server. On another one old rows would seem to be of the future,
    and hidden, while new rows would lie behind the cursors and never be read. Run as the schema's
    owner, before anything writes; store the cursors in the same transaction.
    """
    read = [
        await tx.fetch_value(
            f'select count(*) from "{schema}".event where (xid, id) <= ($1::text::xid8, $2)',
            str(cursor.xid),
            cursor.id,
        )
        for cursor in cursors
    ]
    await tx.execute(
        "create temporary table rebased on commit drop as"
        " select row_number() over (order by xid, id) as id, at, count, events"
        f' from "{schema}".event'
    )
    await tx.execute(f'truncate "{schema}".event restart identity')
    count = await tx.execute(
        f'insert into "{schema}".event (id, xid, at, count, events) overriding system value'
        f" select id, '{_XID_OF_RESTORED}'::xid8, at, count, events from rebased"
    )
    await tx.execute("drop table rebased")
    if await tx.fetch_value("select to_regclass($1)", f'"{schema}".reader') is not None:
        # How far they were is in the old numbers: they are heard anew before anything is deleted.
        await tx.execute(f"delete from \"{schema}\".reader where name <> ''")
        await tx.execute(f'update "{schema}".reader set at = now()')
    await tx.fetch(
        "select setval(pg_get_serial_sequence(format('%I.event', $1::text), 'id'), $2, false)",
        schema,
        count + 1,
    )
    return [Cursor(_XID_OF_RESTORED if number else 0, number) for number in read]


class Wakeups:
    """In-process hints by topic: whoever wrote wakes whoever waits, without the database."""

    def __init__(self) -> None:
        self._events: dict[str, list[asyncio.Event]] = {}
        self.is_closing = False  # The process is about to stop: wait for nobody's sake any more.

    def close(self) -> None:
        """Say that the process is about to stop, and wake everyone so that they see it."""
        self.is_closing = True
        for topic in self._events:
            self.wake(topic)

    def subscribe(self, topic: str) -> asyncio.Event:
        """Give an event that is set whenever the topic is woken."""
        event = asyncio.Event()
        self._events.setdefault(topic, []).append(event)
        return event

    def unsubscribe(self, topic: str, event: asyncio.Event) -> None:
        """Forget an event; a topic that nobody waits for is forgotten too."""
        events = self._events.get(topic, [])
        if event in events:
            events.remove(event)
        if not events:
            self._events.pop(topic, None)

    def wake(self, topic: str, but: asyncio.Event | None = None) -> None:
        """Wake everyone who waits for the topic, but perhaps one."""
        for event in self._events.get(topic, ()):
            if event is not but:
                event.set()


async def poll(
    work: Callable[[], Awaitable[bool]],
    clock: Clock,
    wake: asyncio.Event,
    *,
    name: str,
    delay_s_max: float = 5.0,
) -> None:
    """Run `work` until it says there is nothing left, then wait for a hint or a growing delay.

    The delay is short after a hint or after work, when more may be about to become readable.
    A failure is logged and tried again after a delay that doubles; the loop itself never ends.
    """
    delay_s = _DELAY_S_FIRST
    while True:
        wake.clear()
        try:
            if await work():
                delay_s = _DELAY_S_MIN
                continue
        except Error as error:
            _log.warning("loop.failed", loop=name, error=str(error))
            delay_s = max(delay_s, 0.05)
            await clock.sleep(min(delay_s, 1.0))
        except Exception:  # noqa: BLE001  # The loop itself never ends.
            _log.exception("loop.broken", loop=name)
            delay_s = max(delay_s, 0.05)
            await clock.sleep(min(delay_s * 4, 5.0))
        delay_s = min(delay_s * 2, delay_s_max)
        if await wait_at_most(wake, delay_s):
            delay_s = _DELAY_S_MIN
