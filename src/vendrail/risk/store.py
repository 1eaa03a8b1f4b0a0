"""All SQL of risk."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.risk import (
    ListKind,
    Review,
    ReviewQuery,
    RiskAnswer,
    RiskDecision,
    RiskLimits,
    RiskQuestion,
    Verdict,
)
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Database, Retry, Transaction, is_duplicate
from vendrail.risk.rules import Excess, KeptReview, Rulebook, Slot


def _by_id(row: tuple[UUID, object, object]) -> int:
    return row[0].int


async def load_answers(tx: Transaction, orders: Sequence[UUID]) -> dict[UUID, RiskAnswer]:
    """Load first answers; where a person has decided since, what they said."""
    rows = await tx.fetch(
        "select order_id, decision, reasons from risk.assessment where order_id = any($1)",
        list(orders),
    )
    found = {row[0]: RiskAnswer(RiskDecision(row[1]), row[2] or []) for row in rows}
    reviewed = [id for id, kept in found.items() if kept.decision is RiskDecision.REVIEW]
    if reviewed:
        rows = await tx.fetch(
            "select order_id, verdict, reasons from risk.review"
            " where order_id = any($1) and verdict is not null",
            reviewed,
        )
        found |= {row[0]: RiskAnswer(RiskDecision(row[1]), row[2]) for row in rows}
    return found


async def read_slots(tx: Transaction, subjects: Sequence[int], day: int) -> dict[int, list[int]]:
    """Read the counts of subjects, yesterday's and today's together."""
    rows = await tx.fetch(
        "select subject, slots from risk.velocity"
        " where day in ($2, $2 - 1) and subject = any($1::bigint[]) order by day",
        list(subjects),
        day,
    )
    found: dict[int, list[int]] = {}
    for row in rows:
        found.setdefault(row["subject"], []).extend(row["slots"])
    return found


async def count_orders(
    tx: Transaction, slots: Sequence[Slot], day: int, hour: int
) -> dict[int, list[int]]:
    """Add to counts, holding each subject's row; give the slots of yesterday and today after it.

    Each subject may stand there once. In the order of their numbers, so that batches never embrace.
    Who was not known before is left out of the answer: nearly all, and reading arrays is dear.
    """
    rows = await tx.fetch(
        "with counted as ("
        " insert into risk.velocity as v (day, subject, slots)"
        " select $1, n.subject, array[$2::bigint, coalesce(n.currency, 0), coalesce(n.orders, 1),"
        "  coalesce(n.amount, 0)]"
        " from unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])"
        "  as n (subject, currency, orders, amount) order by n.subject"
        " on conflict (day, subject) do update set slots = case"
        "  when v.slots[cardinality(v.slots) - 3] = excluded.slots[1]"
        "   and v.slots[cardinality(v.slots) - 2] = excluded.slots[2]"
        "  then v.slots[:cardinality(v.slots) - 2] || array["
        "   v.slots[cardinality(v.slots) - 1] + excluded.slots[3],"
        "   v.slots[cardinality(v.slots)] + excluded.slots[4]]"
        "  else v.slots || excluded.slots end"
        " returning subject, slots, xmax = 0 as is_new)"
        " select c.subject, c.slots, y.slots from counted c"
        " left join risk.velocity y on y.day = $1 - 1 and y.subject = c.subject"
        " where not c.is_new or y.subject is not null",
        day,
        hour,
        [slot.subject for slot in slots],
        [slot.currency for slot in slots if slot.currency],
        _without_ones([slot.orders for slot in slots]),
        [slot.amount_minor for slot in slots if slot.currency],
    )
    return {row[0]: (row[2] or []) + row[1] for row in rows}


def _without_ones(values: list[int]) -> list[int]:
    """Leave out the ones at the end: nearly all; the statement puts them back."""
    length = len(values)
    while length and values[length - 1] == 1:
        length -= 1
    return values[:length]


async def add_answers(
    tx: Transaction,
    questions: Sequence[RiskQuestion],
    answers: Sequence[RiskAnswer],
    now: datetime,
) -> None:
    """Keep first answers, and open a review where a person is asked."""
    pairs = [
        pair
        for pair in zip(questions, answers, strict=True)
        if pair[1].decision is not RiskDecision.ALLOW
    ]
    kept: list[tuple[UUID, object, object]] = [
        (question.order, answer.decision, answer.reasons or None)
        for question, answer in zip(questions, answers, strict=True)
    ]
    kept.sort(key=_by_id)
    try:
        # In one order for all writers: rivals then wait for each other, and never for ever.
        await tx.copy_rows("risk", "assessment", ("order_id", "decision", "reasons"), kept)
    except Exception as error:
        if is_duplicate(error):
            raise Retry("Someone else has just assessed one of these; look again.") from error
        raise
    reviews = [pair for pair in pairs if pair[1].decision is RiskDecision.REVIEW]
    if reviews:
        await tx.execute(
            "insert into risk.review (order_id, merchant, amount_minor, currency, reasons, at)"
            " select n.id, n.merchant, n.amount, n.currency, string_to_array(n.reasons, ','), $6"
            " from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[])"
            "  as n (id, merchant, amount, currency, reasons)",
            [question.order for question, _ in reviews],
            [question.merchant for question, _ in reviews],
            [question.amount_minor for question, _ in reviews],
            [question.currency for question, _ in reviews],
            [",".join(answer.reasons) for _, answer in reviews],
            now,
        )


async def add_excesses(tx: Transaction, excesses: Sequence[Excess]) -> None:
    """Remember who has reached a hard limit."""
    ordered = sorted(excesses)
    await tx.execute(
        "insert into risk.excess as e (subject, reason, until)"
        " select * from unnest($1::bigint[], $2::text[], $3::timestamptz[])"
        " on conflict (subject) do update"
        " set reason = excluded.reason, until = greatest(e.until, excluded.until)",
        [excess.subject for excess in ordered],
        [excess.reason for excess in ordered],
        [excess.until for excess in ordered],
    )


async def load_rulebook(tx: Transaction, known: Rulebook | None, now: datetime) -> Rulebook:
    """Load limits and excesses; the lists only where something has changed."""
    row = await tx.fetch_row("select version, limits::text as limits from risk.rulebook")
    assert row is not None
    excesses = {
        each[0]: (each[1], each[2])
        for each in await tx.fetch(
            "select subject, reason, until from risk.excess where until > $1", now
        )
    }
    if known is not None and known.version == row["version"]:
        return known._replace(excesses=excesses)
    entries = await tx.fetch("select subject, kind from risk.list_entry")
    return Rulebook(
        row["version"],
        decode(row["limits"], RiskLimits),
        {each[0]: ListKind(each[1]) for each in entries},
        excesses,
    )


async def _turn_page(tx: Transaction) -> None:
    await tx.execute("update risk.rulebook set version = version + 1")


async def put_limits(tx: Transaction, limits: RiskLimits) -> None:
    """Set the limits."""
    await tx.execute("update risk.rulebook set limits = $1::text::jsonb", encode(limits).decode())
    await _turn_page(tx)


async def put_list_entries(
    tx: Transaction,
    subjects: Sequence[str],
    kinds: Sequence[ListKind],
    reasons: Sequence[str],
    now: datetime,
) -> set[str]:
    """Put subjects on lists, each one once; give those that are new."""
    rows = await tx.fetch(
        "insert into risk.list_entry (subject, kind, reason, at)"
        " select n.subject, n.kind, n.reason, $4"
        " from unnest($1::text[], $2::text[], $3::text[]) as n (subject, kind, reason)"
        " order by n.subject"
        " on conflict (subject) do update"
        " set kind = excluded.kind, reason = excluded.reason, at = excluded.at"
        " returning subject, xmax = 0 as is_new",
        list(subjects),
        list(kinds),
        list(reasons),
        now,
    )
    await _turn_page(tx)
    return {row["subject"] for row in rows if row["is_new"]}


async def remove_list_entries(tx: Transaction, subjects: Sequence[str]) -> set[str]:
    """Take subjects off lists; give those that were there."""
    rows = await tx.fetch(
        "delete from risk.list_entry where subject = any($1::text[]) returning subject",
        list(subjects),
    )
    await _turn_page(tx)
    return {row[0] for row in rows}


async def lock_reviews(tx: Transaction, orders: Sequence[UUID]) -> dict[UUID, KeptReview]:
    """Hold reviews, in id order, and tell how they were settled."""
    rows = await tx.fetch(
        "select order_id, verdict from risk.review where order_id = any($1)"
        " order by order_id for no key update",
        list(orders),
    )
    return {row[0]: KeptReview(None if row[1] is None else RiskDecision(row[1])) for row in rows}


async def settle_reviews(tx: Transaction, verdicts: Sequence[Verdict], now: datetime) -> None:
    """Write what people decided."""
    await tx.execute(
        "update risk.review r"
        " set verdict = n.verdict, person = n.person, reason = n.reason, settled_at = $5"
        " from unnest($1::uuid[], $2::text[], $3::text[], $4::text[])"
        "  as n (id, verdict, person, reason)"
        " where r.order_id = n.id and r.verdict is null",
        [verdict.order for verdict in verdicts],
        [verdict.decision for verdict in verdicts],
        [verdict.person for verdict in verdicts],
        [verdict.reason for verdict in verdicts],
        now,
    )


_REVIEW = "select order_id, merchant, amount_minor, currency, reasons, at from risk.review"
LIST_REVIEWS = {  # By whether one merchant's are asked for: each has an index of what waits.
    False: f"{_REVIEW} where verdict is null and $1::uuid is null and order_id > $2"
    " order by order_id limit $3",
    True: f"{_REVIEW} where verdict is null and merchant = $1 and order_id > $2"
    " order by order_id limit $3",
}


async def list_reviews(tx: Transaction, query: ReviewQuery) -> list[Review]:
    """Read a page of reviews that wait, the first placed first."""
    rows = await tx.fetch(
        LIST_REVIEWS[query.merchant is not None],
        query.merchant,
        query.after or UUID(int=0),
        query.reviews_max,
    )
    return [Review(*row) for row in rows]


async def load_reviews(tx: Transaction, orders: Sequence[UUID]) -> dict[UUID, Review]:
    """Read reviews that wait, by their orders."""
    rows = await tx.fetch(
        f"{_REVIEW} where order_id = any($1::uuid[]) and verdict is null", list(orders)
    )
    return {row["order_id"]: Review(*row) for row in rows}


async def forget(db: Database, day: int, now: datetime, rows_max: int) -> bool:
    """Delete some counts of days before this one, and past excesses; true: there is more."""
    async with db.reading() as tx:
        await tx.execute("delete from risk.excess where until <= $1", now)
        count = await tx.execute(
            "delete from risk.velocity where ctid = any(array("
            " select ctid from risk.velocity where day < $1 limit $2))",
            day,
            rows_max,
        )
    return count == rows_max
