"""All SQL of disputes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.disputes import DisputeFigures, DisputeQuery, DisputeState, PutEvidence
from vendrail.api.payments import (
    DisputeTold,
)
from vendrail.api.payments.disputes import DisputeOutcome
from vendrail.disputes import decide
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.vault import DataKey

LIST = (
    "select * from disputes.dispute where ($1::uuid is null or merchant = $1)"
    " and ($2::uuid is null or id < $2)"
    " and ($3::text is null or case when outcome <> 'open' then outcome"
    "  when answered_at is null then 'open' else 'answered' end = $3)"
    " order by id desc limit $4"
)


async def write_told(tx: Transaction, id: UUID, told: DisputeTold, now: datetime) -> bool:
    """Write what is told of a dispute: the first end stands, and the first fee, whenever told.

    True: how it stands is new. Only who moves the cursor writes here, one after the other.
    """
    is_end = told.outcome is not DisputeOutcome.OPEN
    capture = told.capture
    before = await tx.fetch("select outcome from disputes.dispute where id = $1", id)
    await tx.execute(
        "insert into disputes.dispute as d (id, capture, channel, channel_name, case_number,"
        " provider_number, order_id, merchant, amount_minor, captured_minor, currency, fee_minor,"
        " reason, outcome, opened_at, answer_by, ended_at, due_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,"
        "  case when $17::boolean then $15::timestamptz end, $18)"
        " on conflict (id) do update set"
        "  opened_at = least(d.opened_at, excluded.opened_at),"
        "  answer_by = coalesce(d.answer_by, excluded.answer_by),"
        "  fee_minor = case when d.fee_minor > 0 then d.fee_minor else excluded.fee_minor end,"
        "  is_fee_due = d.is_fee_due or (d.fee_minor = 0 and excluded.fee_minor > 0),"
        "  outcome = case when d.outcome = 'open' then excluded.outcome else d.outcome end,"
        "  ended_at = coalesce(d.ended_at, excluded.ended_at),"
        "  due_at = excluded.due_at",
        id,
        capture.id,
        capture.channel,
        capture.channel_name,
        told.case_number,
        capture.provider_number,
        capture.order,
        capture.merchant,
        told.amount_minor,
        capture.amount_minor,
        told.currency,
        told.fee_minor,
        told.reason,
        told.outcome,
        told.at,
        told.answer_by,
        is_end,
        now,
    )
    return not before or (is_end and before[0]["outcome"] == DisputeOutcome.OPEN)


async def write_dropped(tx: Transaction, id: UUID, told: DisputeTold, now: datetime) -> bool:
    """Write an end where a dispute stands; what never took money has left nothing to end."""
    count = await tx.execute(
        "update disputes.dispute set outcome = $2, ended_at = $3, due_at = $4"
        " where id = $1 and outcome = 'open'",
        id,
        told.outcome,
        told.at,
        now,
    )
    return count == 1


async def claim_due(tx: Transaction, now: datetime, rows_max: int) -> list[Row]:
    """Take disputes whose money is to be moved; nobody else takes them for a while."""
    return await tx.fetch(
        "update disputes.dispute set due_at = $2 where id in"
        " (select id from disputes.dispute where due_at <= $1"
        "  and (step = 'told' or (step = 'frozen' and outcome <> 'open') or is_fee_due)"
        "  order by due_at limit $3 for update skip locked) returning *",
        now,
        now + timedelta(seconds=30),
        rows_max,
    )


async def set_price(
    tx: Transaction, id: UUID, price_minor: int, currency: str, *, is_split: bool
) -> None:
    """Write the disputed part of the price: the first answer stands, or postings would differ."""
    await tx.execute(
        "update disputes.dispute set price_minor = $2, price_currency = $3, is_split = $4"
        " where id = $1 and price_minor is null",
        id,
        price_minor,
        currency,
        is_split,
    )


async def mark_fee_posted(tx: Transaction, id: UUID) -> None:
    """Write that a fee which was told late is in the books."""
    await tx.execute("update disputes.dispute set is_fee_due = false where id = $1", id)


async def note_taken(tx: Transaction, id: UUID, price_minor: int) -> None:
    """Write how much of the price is about to be taken for a lost dispute; 0: nothing is left."""
    await tx.execute("update disputes.dispute set taken_minor = $2 where id = $1", id, price_minor)


async def sum_taken_by_others(tx: Transaction, id: UUID, order: UUID | None, capture: UUID) -> int:
    """Sum what other disputes of the same money have taken of its price, or are about to take."""
    rows = await tx.fetch(
        "select coalesce(sum(taken_minor), 0)::bigint as taken from disputes.dispute"
        " where (order_id = $2 or ($2::uuid is null and order_id is null))"
        " and capture = $3 and id <> $1",
        id,
        order,
        capture,
    )
    taken: int = rows[0]["taken"]
    return taken


async def note_held(tx: Transaction, id: UUID, held_minor: int) -> None:
    """Write how much of a wallet is about to be kept from being spent."""
    await tx.execute("update disputes.dispute set frozen_minor = $2 where id = $1", id, held_minor)


async def mark_frozen(tx: Transaction, id: UUID, frozen_minor: int, now: datetime) -> None:
    """Write that a dispute's money is where it belongs while it is open."""
    await tx.execute(
        "update disputes.dispute set step = 'frozen', frozen_minor = $2, due_at = $3"
        " where id = $1 and step = 'told'",
        id,
        frozen_minor,
        now,
    )


async def mark_ended(tx: Transaction, id: UUID, problem: str) -> None:
    """Write that a dispute's money is where its end says."""
    await tx.execute(
        "update disputes.dispute set step = 'ended', problem = $2"
        " where id = $1 and step = 'frozen'",
        id,
        problem,
    )


async def list_disputes(tx: Transaction, query: DisputeQuery) -> list[Row]:
    """Read a page of disputes, newest first."""
    state = None if query.state is None else DisputeState(query.state).value
    return await tx.fetch(LIST, query.merchant, query.before, state, query.disputes_max)


async def read_disputes(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Read disputes by id, with what was said against them."""
    rows = await tx.fetch(
        "select d.*, a.sealed as answer_sealed, k.sealed as key_sealed, k.id as key_id"
        " from disputes.dispute d left join disputes.answer a on a.dispute = d.id"
        " left join disputes.data_key k on k.id = a.data_key where d.id = any($1::uuid[])",
        ids,
    )
    return {row["id"]: row for row in rows}


FIND_DISPUTES = (
    "select id, case_number, order_id, merchant, opened_at from disputes.dispute"
    " where id = any($1::uuid[])"
    " union all"
    " select id, case_number, order_id, merchant, opened_at from disputes.dispute"
    " where case_number = any($2::text[])"
)


async def find_disputes(tx: Transaction, ids: Sequence[UUID], numbers: Sequence[str]) -> list[Row]:
    """Find disputes by their ids, or by the providers' case numbers."""
    return await tx.fetch(FIND_DISPUTES, ids, numbers)


async def read_of_orders(tx: Transaction, orders: Sequence[UUID]) -> list[Row]:
    """Read orders' disputes, first to last."""
    return await tx.fetch(
        "select * from disputes.dispute where order_id = any($1::uuid[]) order by id", orders
    )


async def keep_answer(
    tx: Transaction, dispute: UUID, sealed: bytes, key: DataKey, person: str, now: datetime
) -> None:
    """Keep what a merchant says; in place of what the provider did not take."""
    await tx.execute(
        "insert into disputes.data_key (id, sealed, made_at) values ($1, $2, $3)",
        key.id,
        key.sealed,
        now,
    )
    await tx.execute(
        "insert into disputes.answer (dispute, sealed, data_key, person, at)"
        " values ($1, $2, $3, $4, $5) on conflict (dispute) do update set"
        " sealed = excluded.sealed, data_key = excluded.data_key, person = excluded.person,"
        " at = excluded.at",
        dispute,
        sealed,
        key.id,
        person,
        now,
    )


async def mark_answered(tx: Transaction, dispute: UUID, now: datetime) -> None:
    """Write that the provider has a dispute's answer."""
    await tx.execute(
        "update disputes.dispute set answered_at = $2 where id = $1 and answered_at is null",
        dispute,
        now,
    )


async def count(
    tx: Transaction, merchants: Sequence[UUID], since: datetime
) -> dict[UUID, DisputeFigures]:
    """Count merchants' disputes by how they ended, and by currency."""
    rows = await tx.fetch(
        "select merchant, coalesce(price_currency, currency) as currency,"
        " count(*) filter (where outcome = 'open') as open,"
        " count(*) filter (where outcome = 'won') as won,"
        " count(*) filter (where outcome = 'lost') as lost, count(*) as whole"
        " from disputes.dispute where merchant = any($1::uuid[]) and opened_at >= $2"
        " group by 1, 2 order by 1, 2",
        merchants,
        since,
    )
    found = {each: DisputeFigures(each, 0, 0, 0) for each in merchants}
    for row in rows:
        before = found[row["merchant"]]
        found[row["merchant"]] = replace(
            before,
            open_count=before.open_count + row["open"],
            won_count=before.won_count + row["won"],
            lost_count=before.lost_count + row["lost"],
            count_by_currency=before.count_by_currency | {row["currency"]: row["whole"]},
        )
    return found


async def lock_dispute(tx: Transaction, id: UUID) -> Row | None:
    """Load a dispute and hold it: its files and its answer go one after the other."""
    return await tx.fetch_row("select * from disputes.dispute where id = $1 for update", id)


async def begin_answer(tx: Transaction, id: UUID) -> None:
    """Write that a dispute's files are on their way, and stay as they are."""
    await tx.execute("update disputes.dispute set is_answering = true where id = $1", id)


async def end_answer(tx: Transaction, id: UUID) -> None:
    """Write that the provider took nothing: files may be changed again."""
    await tx.execute(
        "update disputes.dispute set is_answering = false where id = $1 and answered_at is null", id
    )


async def list_evidence(tx: Transaction, disputes: Sequence[UUID]) -> dict[UUID, list[Row]]:
    """List disputes' files, in the order of their kinds, without what is in them."""
    rows = await tx.fetch(
        "select id, dispute, kind, name, media_type, size, person, at from disputes.evidence"
        " where dispute = any($1::uuid[]) order by kind",
        disputes,
    )
    found: dict[UUID, list[Row]] = {}
    for row in rows:
        found.setdefault(row["dispute"], []).append(row)
    return found


async def read_evidence(tx: Transaction, dispute: UUID, id: UUID | None) -> list[Row]:
    """Read a dispute's files, or one of them, as they are sealed."""
    return await tx.fetch(
        "select e.*, k.sealed as key_sealed, k.id as key_id, d.merchant from disputes.evidence e"
        " join disputes.data_key k on k.id = e.data_key"
        " join disputes.dispute d on d.id = e.dispute"
        " where e.dispute = $1 and ($2::uuid is null or e.id = $2) order by e.kind",
        dispute,
        id,
    )


async def put_evidence(
    tx: Transaction, file: PutEvidence, kind: str, sealed: bytes, key: DataKey, now: datetime
) -> None:
    """Keep a file in place of the one of its kind; `kind` is what it holds, as a media type."""
    await tx.execute(
        "insert into disputes.data_key (id, sealed, made_at) values ($1, $2, $3)",
        key.id,
        key.sealed,
        now,
    )
    await tx.execute(
        "insert into disputes.evidence (id, dispute, kind, name, media_type, size, sealed,"
        " data_key, person, at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        " on conflict (dispute, kind) do update set id = excluded.id, name = excluded.name,"
        "  media_type = excluded.media_type, size = excluded.size, sealed = excluded.sealed,"
        "  data_key = excluded.data_key, person = excluded.person, at = excluded.at",
        file.id,
        file.dispute,
        file.kind.value,
        decide.clean_name(file.name, kind),
        kind,
        len(file.content),
        sealed,
        key.id,
        file.person,
        now,
    )


async def drop_evidence(tx: Transaction, dispute: UUID, id: UUID) -> bool:
    """Take a file away; false: it is not there."""
    count = await tx.execute(
        "delete from disputes.evidence where dispute = $1 and id = $2", dispute, id
    )
    return count == 1


async def find_due(tx: Transaction, merchants: Sequence[UUID], now: datetime) -> list[Row]:
    """Count merchants' disputes that wait to be answered, with their nearest limits."""
    return await tx.fetch(
        "select merchant, count(*)::int as due, min(answer_by) as answer_by from disputes.dispute"
        " where outcome = 'open' and merchant = any($1::uuid[]) and answered_at is null"
        "  and (answer_by is null or answer_by >= $2) group by merchant",
        merchants,
        now,
    )


async def load_untold(tx: Transaction, after: UUID | None, rows_max: int) -> list[Row]:
    """Load a page of disputes of which a letter may be due."""
    return await tx.fetch(
        "select id, order_id, merchant, channel_name, reason, amount_minor, currency, outcome,"
        " told, answered_at, answer_by, fee_minor from disputes.dispute"
        " where (outcome = 'open' or told <> outcome) and ($1::uuid is null or id > $1)"
        " order by id limit $2",
        after,
        rows_max,
    )


async def mark_told(tx: Transaction, ids: Sequence[UUID], steps: Sequence[str]) -> None:
    """Write which letters were the last of disputes."""
    await tx.execute(
        "update disputes.dispute d set told = t.step"
        " from unnest($1::uuid[], $2::text[]) as t (id, step) where d.id = t.id",
        ids,
        steps,
    )
