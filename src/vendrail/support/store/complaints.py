"""All SQL of complaints, their steps and their letters."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.support import (
    ComplaintCount,
    ComplaintFigures,
    ComplaintKind,
    ComplaintMoved,
    ComplaintQuery,
    ComplaintState,
    ComplaintStep,
    ComplaintView,
    OpenComplaint,
    Outcome,
    Remedy,
    Side,
)
from vendrail.kernel.codec import encode
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.outbox import append_events

_FIELDS = (
    'id, "order", merchant, title, kind, positions, can_replace, state, amount_minor, currency,'
    " opened_at, due_at, remedy, offer_minor, decided_by, person, outcome, ended_at, frozen_minor,"
    " problem, turn"
)


def view_of(row: Row) -> ComplaintView:
    """Read a complaint as it stands."""
    remedy, side, outcome = row["remedy"], row["decided_by"], row["outcome"]
    return ComplaintView(
        row["id"],
        row["order"],
        row["merchant"],
        ComplaintKind(row["kind"]),
        list(row["positions"]),
        ComplaintState(row["state"]),
        row["amount_minor"],
        row["currency"],
        row["opened_at"],
        row["due_at"],
        Remedy(remedy) if remedy else None,
        row["offer_minor"],
        Side(side) if side else None,
        Outcome(outcome) if outcome else None,
        row["ended_at"],
        row["frozen_minor"],
        row["problem"],
        row["title"],
    )


async def add(
    tx: Transaction,
    asked: OpenComplaint,
    view: ComplaintView,
    *,
    can_replace: bool,
) -> bool:
    """Write a new complaint, to be looked after at once; false: one of the order stands."""
    count = await tx.execute(
        'insert into support.complaint (id, "order", merchant, title, kind, positions,'
        " can_replace, state, amount_minor, currency, opened_at, due_at, work_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, 'open', $8, $9, $10, $11, $10)"
        " on conflict do nothing",
        asked.id,
        asked.order,
        view.merchant,
        view.title,
        str(view.kind),
        view.positions,
        can_replace,
        view.amount_minor,
        view.currency,
        view.opened_at,
        view.due_at,
    )
    if count:
        await _tell(tx, view, 0, view.opened_at)
    return count == 1


async def load(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Load complaints."""
    sql = f"select {_FIELDS} from support.complaint where id = any($1)"  # noqa: S608 - a constant
    return {row["id"]: row for row in await tx.fetch(sql, list(ids))}


async def lock(tx: Transaction, id: UUID) -> Row | None:
    """Load a complaint and hold it."""
    sql = f"select {_FIELDS} from support.complaint where id = $1 for update"  # noqa: S608 - a constant
    return await tx.fetch_row(sql, id)


async def load_of_orders(tx: Transaction, orders: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """Load orders' complaints, first to last."""
    rows = await tx.fetch(
        f'select {_FIELDS} from support.complaint where "order" = any($1) order by id',  # noqa: S608 - a constant
        list(orders),
    )
    found: dict[UUID, list[Row]] = {}
    for row in rows:
        found.setdefault(row["order"], []).append(row)
    return found


async def load_page(tx: Transaction, query: ComplaintQuery) -> list[ComplaintView]:
    """Load a page of complaints, newest first."""
    wanted: list[str] = ["true"]
    values: list[object] = []
    if query.merchant is not None:
        values.append(query.merchant)
        wanted.append(f"merchant = ${len(values)}")
    if query.states:
        values.append([str(state) for state in query.states])
        wanted.append(f"state = any(${len(values)}::text[])")
        if ComplaintState.CLOSED not in query.states:
            wanted.append("state <> 'closed'")  # So that the index of what stands is enough.
    if query.before is not None:
        values.append(query.before)
        wanted.append(f"id < ${len(values)}")
    values.append(query.complaints_max)
    rows = await tx.fetch(
        f"select {_FIELDS} from support.complaint where {' and '.join(wanted)}"  # noqa: S608 - constants and places
        f" order by id desc limit ${len(values)}",
        *values,
    )
    return [view_of(row) for row in rows]


async def move(
    tx: Transaction,
    view: ComplaintView,
    *,
    person: str,
    turn: int,
    work_at: datetime | None,
    at: datetime,
) -> None:
    """Write where a complaint stands now."""
    await tx.execute(
        "update support.complaint set state = $2, due_at = $3, remedy = $4, offer_minor = $5,"
        " decided_by = $6, person = $7, outcome = $8, ended_at = $9, problem = $10, turn = $11,"
        " work_at = coalesce($12, work_at) where id = $1",
        view.id,
        str(view.state),
        view.due_at,
        str(view.remedy) if view.remedy else None,
        view.offer_minor,
        str(view.decided_by) if view.decided_by else None,
        person,
        str(view.outcome) if view.outcome else None,
        view.ended_at,
        view.problem,
        turn,
        work_at,
    )
    await _tell(tx, view, turn, at)


async def _tell(tx: Transaction, view: ComplaintView, turn: int, at: datetime) -> None:
    """Tell whoever reads it where a complaint has come to."""
    outcome = str(view.outcome) if view.outcome else ""
    told = ComplaintMoved(view.id, view.order, view.merchant, view.state, outcome, turn, at)
    await append_events(tx, "support", at, encode([told]), 1)


async def add_step(tx: Transaction, step: ComplaintStep, amount_minor: int, at: datetime) -> bool:
    """Write a step down; false: it was taken before."""
    count = await tx.execute(
        "insert into support.step (id, complaint, kind, side, person, remedy, amount_minor, at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
        step.id,
        step.complaint,
        str(step.kind),
        str(step.by.side),
        step.by.person,
        str(step.remedy) if step.remedy else None,
        amount_minor,
        at,
    )
    return count == 1


async def has_step(tx: Transaction, id: UUID) -> bool:
    """Tell whether a step was taken before."""
    return bool(await tx.fetch_value("select count(*) from support.step where id = $1", id))


async def claim_work(
    tx: Transaction, now: datetime, lost_at: datetime, ids: Sequence[UUID] | None, rows_max: int
) -> list[Row]:
    """Claim complaints whose money or keys are to be looked after, until `lost_at`."""
    return await tx.fetch(
        "update support.complaint set work_at = $2 where id in (select id from support.complaint"  # noqa: S608 - constants
        " where work_at <= $1 and ($3::uuid[] is null or id = any($3)) order by work_at limit $4"
        f" for update skip locked) returning {_FIELDS}",
        now,
        lost_at,
        list(ids) if ids is not None else None,
        rows_max,
    )


async def settle_work(
    tx: Transaction, id: UUID, state: str, frozen_minor: int | None, work_at: datetime | None
) -> None:
    """Write what is to be done next for a complaint, if it still stands where it was seen."""
    await tx.execute(
        "update support.complaint set work_at = $4, frozen_minor = coalesce($3, frozen_minor)"
        " where id = $1 and state = $2",
        id,
        state,
        frozen_minor,
        work_at,
    )


async def lock_lapsed(tx: Transaction, now: datetime, rows_max: int) -> list[Row]:
    """Load complaints whose step took too long, and hold them."""
    return await tx.fetch(
        f"select {_FIELDS} from support.complaint where state in ('open', 'answered')"  # noqa: S608 - a constant
        " and due_at <= $1 order by due_at limit $2 for update skip locked",
        now,
        rows_max,
    )


async def add_letter(
    tx: Transaction,
    letter: tuple[UUID, str, UUID, Side],
    facts: bytes,
    due_at: datetime,
) -> None:
    """Keep a letter that somebody is to get."""
    id, template, order, side = letter
    await tx.execute(
        'insert into support.letter (id, template, "order", side, facts, due_at)'
        " values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
        id,
        template,
        order,
        str(side),
        facts,
        due_at,
    )


async def load_letters(tx: Transaction, now: datetime, rows_max: int) -> list[Row]:
    """Load letters that are due."""
    return await tx.fetch(
        'select id, template, "order", side, facts from support.letter where due_at <= $1'
        " order by due_at limit $2",
        now,
        rows_max,
    )


async def end_letters(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Forget letters that were handed on."""
    await tx.execute("delete from support.letter where id = any($1)", list(ids))


async def delay_letters(tx: Transaction, ids: Sequence[UUID], due_at: datetime) -> None:
    """Try letters again later."""
    await tx.execute("update support.letter set due_at = $2 where id = any($1)", list(ids), due_at)


async def count(tx: Transaction, now: datetime) -> list[ComplaintCount]:
    """Count what has not ended."""
    rows = await tx.fetch(
        "select state, count(*), count(*) filter (where due_at <= $1) from support.complaint"
        " where state <> 'closed' group by state",
        now,
    )
    found = {row[0]: (row[1], row[2]) for row in rows}
    return [
        ComplaintCount(state, *found.get(str(state), (0, 0)))
        for state in ComplaintState
        if state is not ComplaintState.CLOSED
    ]


async def sum_outcomes(
    tx: Transaction, merchants: Sequence[UUID], since: UUID
) -> dict[UUID, ComplaintFigures]:
    """Sum what became of merchants' complaints since an id of then."""
    rows = await tx.fetch(
        "select merchant, count(*),"
        " count(*) filter (where outcome in ('refunded', 'part_refunded')),"
        " count(*) filter (where outcome = 'replaced'),"
        " count(*) filter (where outcome = 'rejected')"
        " from support.complaint where merchant = any($1) and id >= $2 group by merchant",
        list(merchants),
        since,
    )
    return {row[0]: ComplaintFigures(*row) for row in rows}
