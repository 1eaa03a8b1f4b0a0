"""All SQL of notify."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.notify import CheckReport, LetterQuery, LetterState
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Row, Transaction
from vendrail.notify.concerns import Concern, ConcernKind
from vendrail.notify.decide import Fate

_OVER = [
    state.value for state in LetterState if state not in (LetterState.WAITING, LetterState.SENDING)
]


class NewMessage(NamedTuple):
    """One message to be kept: what it says is sealed, or its facts are those of a notice."""

    id: UUID
    template: str
    sealed: bytes | None
    stale_at: datetime
    stream: UUID | None
    rank: int
    is_replacing: bool = False  # Whether older ones of its stream and template are of no use now.
    subject: UUID | None = None
    facts: bytes | None = None
    way: str = "mail"
    is_copy: bool = False  # Its original leaves by e-mail.


class DueMessage(NamedTuple):
    """One message that a sender has claimed."""

    id: UUID
    template: str
    data_key: UUID | None
    sealed: bytes | None
    attempts: int
    stale_at: datetime
    subject: UUID | None
    facts: bytes | None
    rank: int
    number: int
    was_sending: bool  # Another sender was lost with its last bytes.
    way: str = "mail"
    is_copy: bool = False


async def add_messages(
    tx: Transaction, messages: Sequence[NewMessage], data_key: UUID | None, now: datetime
) -> set[UUID]:
    """Keep messages, each id once; give those that are new."""
    rows = await tx.fetch(
        "insert into notify.message"
        " (id, template, sealed, stale_at, stream, rank, subject, facts, data_key, taken_at,"
        "  due_at, way, is_copy)"
        " select n.id, n.template, n.sealed, n.stale_at, n.stream, n.rank, n.subject, n.facts,"
        "  $9, $10, $10, n.way, n.is_copy"
        " from unnest($1::uuid[], $2::text[], $3::bytea[], $4::timestamptz[], $5::uuid[],"
        "  $6::smallint[], $7::uuid[], $8::bytea[], $11::text[], $12::bool[]) with ordinality"
        "  as n (id, template, sealed, stale_at, stream, rank, subject, facts, way, is_copy, place)"
        " order by n.place on conflict (id) do nothing returning id",
        [message.id for message in messages],
        [message.template for message in messages],
        [message.sealed for message in messages],
        [message.stale_at for message in messages],
        [message.stream for message in messages],
        [message.rank for message in messages],
        [message.subject for message in messages],
        [message.facts for message in messages],
        data_key,
        now,
        [message.way for message in messages],
        [message.is_copy for message in messages],
    )
    return {row[0] for row in rows}


async def drop_replaced(tx: Transaction, ids: Collection[UUID]) -> list[str]:
    """Drop what newer messages of a stream have replaced while it waited; give the templates."""
    rows = await tx.fetch(
        "update notify.message m set state = 'overtaken', sealed = null, data_key = null,"
        "  facts = null"
        " from notify.message n where n.id = any($1) and m.stream = n.stream"
        "  and m.template = n.template and m.number < n.number and m.state = 'waiting'"
        " returning m.template",
        list(ids),
    )
    return [row[0] for row in rows]


async def drop_stale(tx: Transaction, now: datetime) -> list[tuple[str, str]]:
    """Drop what waited too long to be of use; what is being sent is its sender's to end.

    Templates and ways of what was dropped are given.
    """
    rows = await tx.fetch(
        "update notify.message set state = 'stale', sealed = null, data_key = null, facts = null"
        " where id in (select id from notify.message"
        "  where state = 'waiting' and due_at <= $1 and stale_at <= $1"
        "  order by rank, due_at limit 1000 for update skip locked)"
        " returning template, way",
        now,
    )
    return [(row[0], row[1]) for row in rows]


async def claim_messages(
    tx: Transaction, now: datetime, lost_at: datetime, lease: UUID, rows_max: int
) -> list[DueMessage]:
    """Claim due messages, what is asked for first; of each stream only the first that waits."""
    rows = await tx.fetch(
        "with due as (select m.id, m.state = 'sending' as was_sending from notify.message m"
        "  where m.state in ('waiting', 'sending') and m.due_at <= $1"
        "  and (m.stream is null or not exists (select from notify.message e"
        "   where e.stream = m.stream and e.number < m.number"
        "   and e.state in ('waiting', 'sending')))"
        "  order by m.rank, m.due_at, m.number limit $4 for update skip locked)"
        " update notify.message m"
        " set due_at = $2, lease = $3, attempts = m.attempts + 1"
        " from due where m.id = due.id"
        " returning m.id, m.template, m.data_key, m.sealed, m.attempts, m.stale_at, m.subject,"
        "  m.facts, m.rank, m.number, due.was_sending, m.way, m.is_copy",
        now,
        lost_at,
        lease,
        rows_max,
    )
    return sorted((DueMessage(*row) for row in rows), key=lambda each: (each.rank, each.number))


async def mark_leaving(tx: Transaction, id: UUID, lease: UUID, now: datetime) -> bool:
    """Say that a message's last bytes are leaving, if it is still ours and still of use."""
    count = await tx.execute(
        "update notify.message set state = 'sending'"
        " where id = $1 and lease = $2 and state in ('waiting', 'sending') and stale_at > $3",
        id,
        lease,
        now,
    )
    return count == 1


async def end_messages(
    tx: Transaction, lease: UUID, fates: Sequence[tuple[DueMessage, Fate]]
) -> set[UUID]:
    """Write what became of messages; give those that were still this sender's."""
    rows = await tx.fetch(
        "update notify.message m set state = n.state, due_at = n.due_at, lease = null,"
        "  problem = nullif(n.problem, ''), attempts = n.attempts,"
        "  way = case when n.is_diverted then 'mail' else m.way end,"
        "  sealed = case when n.is_over then null else sealed end,"
        "  data_key = case when n.is_over then null else data_key end,"
        "  facts = case when n.is_over and n.state not in ('failed', 'unknown') then null"
        "   else facts end"
        " from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::int[],"
        "  $6::bool[], $8::bool[])"
        "  as n (id, state, due_at, problem, attempts, is_over, is_diverted)"
        " where m.id = n.id and m.lease = $7 and m.state in ('waiting', 'sending')"
        " returning m.id",
        [message.id for message, _ in fates],
        [fate.state.value for _, fate in fates],
        [fate.due_at for _, fate in fates],
        [fate.problem for _, fate in fates],
        [
            0 if fate.is_diverted else message.attempts - (not fate.is_tried)
            for message, fate in fates
        ],
        [fate.state is not LetterState.WAITING for _, fate in fates],
        lease,
        [fate.is_diverted for _, fate in fates],
    )
    return {row[0] for row in rows}


async def load_letters(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Read letters by id."""
    rows = await tx.fetch("select * from notify.message where id = any($1)", list(ids))
    return {row["id"]: row for row in rows}


async def list_letters(tx: Transaction, query: LetterQuery) -> list[Row]:
    """Read letters, the newest first."""
    states = [state.value for state in query.states]
    if query.subject is not None:
        return await tx.fetch(
            "select * from notify.message where subject = $1"
            " and (cardinality($2::text[]) = 0 or state = any($2))"
            " order by number desc limit $3",
            query.subject,
            states,
            query.letters_max,
        )
    return await tx.fetch(
        "select * from notify.message where cardinality($1::text[]) = 0 or state = any($1)"
        " order by number desc limit $2",
        states,
        query.letters_max,
    )


async def retry_letters(tx: Transaction, ids: Sequence[UUID], now: datetime) -> set[UUID]:
    """Let news that failed, or may have left, be tried again; give what was let."""
    rows = await tx.fetch(
        "update notify.message set state = 'waiting', attempts = 0, due_at = $2, problem = null"
        " where id = any($1) and state in ('failed', 'unknown') and facts is not null"
        " and stale_at > $2 returning id",
        list(ids),
        now,
    )
    return {row[0] for row in rows}


async def count_asked(
    tx: Transaction, subject: UUID, template: str, rank: int, since: datetime
) -> int:
    """Count the letters about something that somebody asked for; whoever asks next waits."""
    await tx.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"letters:{subject}")
    count: int = await tx.fetch_value(
        "select count(*) from notify.message"
        " where subject = $1 and template = $2 and rank = $3 and taken_at > $4",
        subject,
        template,
        rank,
        since,
    )
    return count


async def sum_waiting(tx: Transaction) -> tuple[int, datetime | None]:
    """Count what waits, and say since when the oldest does."""
    row = await tx.fetch_row(
        "select count(*), min(taken_at) from notify.message where state in ('waiting', 'sending')"
    )
    return (row[0], row[1]) if row is not None else (0, None)


async def forget(tx: Transaction, before: datetime, rows_max: int) -> int:
    """Delete some outcomes that are older than this, and data keys that seal nothing any more."""
    count = await tx.execute(
        "delete from notify.message where id in (select id from notify.message"
        " where taken_at < $1 and state = any($3) order by taken_at limit $2)",
        before,
        rows_max,
        _OVER,
    )
    await tx.execute(
        "delete from notify.data_key k where made_at < $1"
        " and not exists (select from notify.message m where m.data_key = k.id)"
        " and not exists (select from notify.chat c where c.data_key = k.id)"
        " and not exists (select from notify.ticket t where t.data_key = k.id)"
        " and not exists (select from notify.act a where a.data_key = k.id)",
        before,
    )
    return count


async def load_concern_keys(tx: Transaction) -> set[str]:
    """Name what stands and has been told of."""
    return {row[0] for row in await tx.fetch("select key from notify.concern")}


async def load_concerns(tx: Transaction, keys: Collection[str]) -> dict[str, Concern]:
    """Read what stands of these."""
    rows = await tx.fetch(
        "select key, kind, place, words from notify.concern where key = any($1)", list(keys)
    )
    return {row[0]: Concern(row[0], ConcernKind(row[1]), row[2], row[3]) for row in rows}


async def put_concerns(tx: Transaction, found: Sequence[Concern], now: datetime) -> set[str]:
    """Keep what stands, with its newest words; give what is new."""
    rows = await tx.fetch(
        "insert into notify.concern as c (key, kind, place, words, since)"
        " select n.key, n.kind, n.place, n.words, $5"
        " from unnest($1::text[], $2::text[], $3::uuid[], $4::text[])"
        "  as n (key, kind, place, words) order by n.key"
        " on conflict (key) do update set words = excluded.words"
        "  where c.words <> excluded.words"
        " returning key, xmax = 0 as is_new",
        [each.key for each in found],
        [each.kind.value for each in found],
        [each.place for each in found],
        [each.words for each in found],
        now,
    )
    return {row["key"] for row in rows if row["is_new"]}


async def end_concerns(tx: Transaction, standing: Collection[str], before: datetime) -> int:
    """Forget what does not stand any more, and was seen before this."""
    return await tx.execute(
        "delete from notify.concern where key <> all($1::text[]) and since < $2",
        list(standing),
        before,
    )


async def mute(tx: Transaction, merchant: UUID, template: str) -> bool:
    """Write that a merchant does not want letters of a template; false: that was so."""
    count = await tx.execute(
        "insert into notify.muted (merchant, template) values ($1, $2) on conflict do nothing",
        merchant,
        template,
    )
    return count == 1


async def unmute(tx: Transaction, merchant: UUID, template: str) -> bool:
    """Write that a merchant wants letters of a template; false: that was so."""
    count = await tx.execute(
        "delete from notify.muted where merchant = $1 and template = $2", merchant, template
    )
    return count == 1


async def load_muted(tx: Transaction, merchants: Collection[UUID]) -> set[tuple[UUID, str]]:
    """Read what merchants do not want."""
    rows = await tx.fetch(
        "select merchant, template from notify.muted where merchant = any($1)", list(merchants)
    )
    return {(row[0], row[1]) for row in rows}


async def put_report(tx: Transaction, report: CheckReport) -> bool:
    """Keep a check's outcome; false: a newer one is known."""
    count = await tx.execute(
        "insert into notify.report as r (name, at, is_good, findings) values ($1, $2, $3, $4)"
        " on conflict (name) do update set at = excluded.at, is_good = excluded.is_good,"
        " findings = excluded.findings where r.at <= excluded.at",
        report.name,
        report.at,
        report.is_good,
        encode(report.findings).decode(),
    )
    return count == 1


async def load_reports(tx: Transaction) -> list[CheckReport]:
    """Read the newest outcome of each check, by name."""
    rows = await tx.fetch("select name, at, is_good, findings from notify.report order by name")
    return [
        CheckReport(row["name"], row["at"], row["is_good"], decode(row["findings"], dict[str, int]))
        for row in rows
    ]
