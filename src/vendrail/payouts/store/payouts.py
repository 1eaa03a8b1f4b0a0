"""Payouts, their claims, and what happened to them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.payouts import (
    NewPayout,
    PayoutId,
    PayoutMoved,
    PayoutOrigin,
    PayoutQuery,
    PayoutState,
    PayoutStep,
)
from vendrail.kernel.codec import encode
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.outbox import append_events
from vendrail.payouts.decide import Kept

_KEPT = (
    "id, merchant, payee, channel, channel_name, currency, amount_minor, fee_minor, origin, state,"
    " verdict, turn, tries, asks, reserve_tries, problem, is_filed"
)
_VIEW = (
    "select o.*, p.kind as payee_kind, p.shown, p.state as payee_state from payouts.payout o"
    " join payouts.payee p on p.id = o.payee"
)


def kept_of(row: Row) -> Kept:
    """Read a payout as decisions see it."""
    values = [row[name] for name in Kept._fields]
    return Kept(*values)._replace(state=PayoutState(row["state"]))


async def load_payouts(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Row]:
    """Read payouts with what is shown of their payees."""
    rows = await tx.fetch(f"{_VIEW} where o.id = any($1::uuid[])", list(ids))
    return {row["id"]: row for row in rows}


FIND_PAYOUTS = (
    "select id, merchant, provider_number, asked_at from payouts.payout"
    " where id = any($1::uuid[])"
    " union all"
    " select id, merchant, provider_number, asked_at from payouts.payout"
    " where provider_number = any($2::text[]) and provider_number <> ''"
)


async def find_payouts(tx: Transaction, ids: Sequence[UUID], numbers: Sequence[str]) -> list[Row]:
    """Find payouts by their ids, or by the providers' numbers."""
    return await tx.fetch(FIND_PAYOUTS, ids, numbers)


async def list_payouts(tx: Transaction, query: PayoutQuery, payouts_max: int) -> list[Row]:
    """Read a page of payouts, the newest first, by an index."""
    wheres: list[str] = []
    values: list[object] = [payouts_max]
    for sql, value in (
        ("o.merchant = $%d", query.merchant),
        ("o.state = any($%d::text[])", [str(each) for each in query.states] or None),
        ("o.id < $%d", query.before),
        ("o.currency = $%d", query.currency or None),
        ("o.id in (select payout from payouts.batch_payout where batch = $%d)", query.batch),
    ):
        if value is not None:
            values.append(value)
            wheres.append(sql % len(values))
    where = f" where {' and '.join(wheres)}" if wheres else ""
    return await tx.fetch(f"{_VIEW}{where} order by o.id desc limit $1", *values)


async def insert_payouts(
    tx: Transaction, payouts: Sequence[tuple[NewPayout, Row, int]], now: datetime, due_at: datetime
) -> list[Kept]:
    """Write what is asked for, each with its payee and fee; a rival's stays as it is."""
    ordered = sorted(payouts, key=lambda each: each[0].id)
    rows = await tx.fetch(
        "insert into payouts.payout (id, merchant, payee, channel, channel_name, currency,"  # noqa: S608 - constants only
        " amount_minor, fee_minor, origin, asked_by, state, asked_at, due_at, is_filed)"
        " select *, 'requested', $11, $12, u.channel in (select id from payouts.bank)"
        " from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[],"
        "  $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::text[])"
        "  as u (id, merchant, payee, channel, channel_name, currency, amount_minor, fee_minor,"
        "   origin, asked_by)"
        f" on conflict (id) do nothing returning {_KEPT}",
        [new.id for new, _, _ in ordered],
        [new.merchant for new, _, _ in ordered],
        [new.payee for new, _, _ in ordered],
        [payee["channel"] for _, payee, _ in ordered],
        [payee["channel_name"] for _, payee, _ in ordered],
        [new.currency for new, _, _ in ordered],
        [new.amount_minor for new, _, _ in ordered],
        [fee for _, _, fee in ordered],
        [str(new.origin) for new, _, _ in ordered],
        [new.by for new, _, _ in ordered],
        now,
        due_at,
    )
    await insert_steps(tx, [(row["id"], PayoutState.REQUESTED, "", "") for row in rows], now)
    return [kept_of(row) for row in rows]


async def claim_due(
    tx: Transaction, now: datetime, lease_until: datetime, rows_max: int
) -> list[Kept]:
    """Claim payouts that are due: of several processes one gets each."""
    rows = await tx.fetch(
        "update payouts.payout set due_at = $2, turn = turn + 1 where id in"  # noqa: S608 - constants only
        " (select id from payouts.payout where due_at <= $1 order by due_at limit $3"
        "  for no key update skip locked)"
        f" returning {_KEPT}",
        now,
        lease_until,
        rows_max,
    )
    # Who has asked first is served first.
    return sorted((kept_of(row) for row in rows), key=lambda each: each.id)


class Change(NamedTuple):
    """What becomes of a payout that was claimed; None: as it is."""

    kept: Kept
    state: PayoutState
    due_at: datetime | None
    verdict: str = ""
    problem: str = ""
    asks: int = 0
    reserve_tries: int = 0
    provider_number: str | None = None
    confirm_url: str = ""
    confirm_package: str = ""


async def _lock(tx: Transaction, ids: Collection[UUID]) -> None:
    """Hold payouts in the order of their ids: nobody waits for one who waits."""
    await tx.fetch(
        "select from payouts.payout where id = any($1::uuid[]) order by id for no key update",
        list(ids),
    )


async def write_changes(tx: Transaction, changes: Sequence[Change], now: datetime) -> set[UUID]:
    """Write what became of claimed payouts; who lost a claim meanwhile writes nothing."""
    await _lock(tx, [each.kept.id for each in changes])
    rows = await tx.fetch(
        "update payouts.payout o set state = v.state, due_at = v.due_at, verdict = v.verdict,"
        " problem = v.problem, asks = v.asks, reserve_tries = v.reserve_tries,"
        " provider_number = case when v.provider_number = '' then o.provider_number"
        "  else v.provider_number end,"
        # Given once, with the first answer: it stays until the payout has ended.
        " confirm_url = case when v.confirm_url = '' and v.state = 'sent' and v.verdict = ''"
        "  then o.confirm_url else v.confirm_url end,"
        " confirm_package = case when v.confirm_package = '' and v.state = 'sent'"
        "  and v.verdict = '' then o.confirm_package else v.confirm_package end,"
        " ended_at = case when o.ended_at is null and v.state = any($11::text[]) then $12"
        "  else o.ended_at end,"
        " untold_since = case when o.state <> v.state and o.origin <> 'test'"
        "  and v.state in ('failed', 'returned', 'declined') then $12 else o.untold_since end"
        " from unnest($1::uuid[], $2::int[], $3::text[], $4::timestamptz[], $5::text[],"
        "  $6::text[], $7::int[], $8::int[], $9::text[], $10::text[], $13::text[])"
        "  as v (id, turn, state, due_at, verdict, problem, asks, reserve_tries,"
        "   provider_number, confirm_url, confirm_package)"
        " where o.id = v.id and o.turn = v.turn returning o.id",
        [each.kept.id for each in changes],
        [each.kept.turn for each in changes],
        [str(each.state) for each in changes],
        [each.due_at for each in changes],
        [each.verdict for each in changes],
        [each.problem[:300] for each in changes],
        [each.asks for each in changes],
        [each.reserve_tries for each in changes],
        [each.provider_number or "" for each in changes],
        [each.confirm_url for each in changes],
        ["refused", "succeeded", "failed", "returned", "declined"],
        now,
        [each.confirm_package for each in changes],
    )
    written = {row["id"] for row in rows}
    steps = [
        (each.kept.id, each.state, each.problem[:300], "")
        for each in changes
        if each.kept.id in written and each.state is not each.kept.state
    ]
    await insert_steps(tx, steps, now)
    return written


async def list_untold(tx: Transaction, rows_max: int) -> list[Row]:
    """Read payouts that did not arrive and whose people have not been told, with the account."""
    return await tx.fetch(
        "select o.id, o.merchant, o.payee, o.amount_minor, o.currency, o.state, o.untold_since,"
        " p.shown from payouts.payout o join payouts.payee p on p.id = o.payee"
        " where o.untold_since is not null order by o.untold_since, o.id limit $1",
        rows_max,
    )


async def note_told(tx: Transaction, rows: Sequence[Row]) -> None:
    """Note that letters were handed over, unless one went on since."""
    ids = [row["id"] for row in rows]
    await _lock(tx, ids)
    await tx.execute(
        "update payouts.payout o set untold_since = null"
        " from unnest($1::uuid[], $2::timestamptz[]) as v (id, since)"
        " where o.id = v.id and o.untold_since = v.since",
        ids,
        [row["untold_since"] for row in rows],
    )


async def begin_telling(tx: Transaction, payouts: Sequence[Kept], now: datetime) -> set[UUID]:
    """Write that providers are about to be told, once more perhaps, before they are."""
    await _lock(tx, [each.id for each in payouts])
    rows = await tx.fetch(
        "update payouts.payout o set state = 'sent', tries = o.tries + 1,"
        " sent_at = coalesce(o.sent_at, $3)"
        " from unnest($1::uuid[], $2::int[]) as v (id, turn)"
        " where o.id = v.id and o.turn = v.turn returning o.id",
        [each.id for each in payouts],
        [each.turn for each in payouts],
        now,
    )
    begun = {row["id"] for row in rows}
    steps = [(each.id, PayoutState.SENT, "", "") for each in payouts if each.id in begun]
    await insert_steps(tx, steps, now)
    return begun


_STOPPED = (
    "select o.id, case when s.merchant is not null then 'suspended'"
    "  when p.state = 'closed' then 'payee_closed'"
    "  when p.state <> 'verified' and o.origin <> 'test' then 'payee_unverified' end as reason"
    " from payouts.payout o join payouts.payee p on p.id = o.payee"
    " left join payouts.suspension s on s.merchant = o.merchant"
)


async def load_stopped(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, str]:
    """Say why payouts must not go out, of those that must not."""
    rows = await tx.fetch(
        f"select * from ({_STOPPED} where o.id = any($1::uuid[])) t where reason is not null",  # noqa: S608 - a constant
        list(ids),
    )
    return {row["id"]: row["reason"] for row in rows}


async def load_untold(tx: Transaction, ids: Collection[UUID], before: datetime) -> set[UUID]:
    """Give those of payouts that no provider was told of since a moment."""
    if not ids:
        return set()
    rows = await tx.fetch(
        "select payout from payouts.step where payout = any($1::uuid[]) and state = 'sent'"
        " group by payout having max(at) < $2",
        list(ids),
        before,
    )
    return {row["payout"] for row in rows}


async def decline_stopped(tx: Transaction, merchants: Collection[UUID], now: datetime) -> None:
    """Decline what merchants wait for and must not get, unless a provider knows of it.

    Whoever had claimed such a payout stops, and its money comes back.
    """
    rows = await tx.fetch(
        "select id from payouts.payout where merchant = any($1::uuid[])"
        " and state in ('review', 'ready', 'reserved') and verdict = ''"
        " order by id for no key update",
        list(merchants),
    )
    if rows:
        await tx.execute(
            "update payouts.payout o set verdict = 'declined', problem = t.reason, due_at = $2,"  # noqa: S608 - a constant
            f" turn = turn + 1 from ({_STOPPED} where o.id = any($1::uuid[])) t"
            " where o.id = t.id and t.reason is not null",
            [row["id"] for row in rows],
            now,
        )


async def insert_steps(
    tx: Transaction, steps: Sequence[tuple[UUID, PayoutState, str, str]], now: datetime
) -> None:
    """Add lines to payouts' lives."""
    if steps:
        await tx.execute(
            "insert into payouts.step (payout, at, state, note, by)"
            " select u.payout, $5, u.state, u.note, u.by from"
            " unnest($1::uuid[], $2::text[], $3::text[], $4::text[])"
            " as u (payout, state, note, by)",
            [step[0] for step in steps],
            [str(step[1]) for step in steps],
            [step[2] for step in steps],
            [step[3] for step in steps],
            now,
        )
        await _tell(tx, [(step[0], step[1]) for step in steps], now)


async def _tell(tx: Transaction, steps: Sequence[tuple[UUID, PayoutState]], now: datetime) -> None:
    """Tell whoever reads it what became of payouts; of a test nobody is told."""
    rows = await tx.fetch(
        "select id, merchant from payouts.payout where id = any($1::uuid[]) and origin <> 'test'",
        [id for id, _ in steps],
    )
    merchants = {row["id"]: row["merchant"] for row in rows}
    told = [
        PayoutMoved(PayoutId(id), merchants[id], state, now)
        for id, state in steps
        if id in merchants
    ]
    if told:
        await append_events(tx, "payouts", now, encode(told), len(told))


async def read_steps(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, list[PayoutStep]]:
    """Read payouts' lives, oldest first."""
    rows = await tx.fetch(
        "select payout, at, state, note, by from payouts.step where payout = any($1::uuid[])"
        " order by payout, number",
        list(ids),
    )
    found: dict[UUID, list[PayoutStep]] = {}
    for row in rows:
        step = PayoutStep(row["at"], PayoutState(row["state"]), row["note"], row["by"])
        found.setdefault(row["payout"], []).append(step)
    return found


async def lock_payout(tx: Transaction, id: UUID) -> Kept | None:
    """Read a payout and hold it."""
    sql = f"select {_KEPT} from payouts.payout where id = $1 for no key update"  # noqa: S608 - a constant
    row = await tx.fetch_row(sql, id)
    return kept_of(row) if row is not None else None


async def decide_payout(
    tx: Transaction, kept: Kept, state: PayoutState, verdict: str, now: datetime
) -> None:
    """Write what a person has decided; whoever had claimed it stops."""
    await tx.execute(
        "update payouts.payout set state = $2, verdict = $3, is_reviewed = true, due_at = $4,"
        " turn = turn + 1, problem = '' where id = $1",
        kept.id,
        str(state),
        verdict,
        now,
    )


async def hasten(tx: Transaction, ids: Sequence[UUID], now: datetime) -> set[UUID]:
    """Let payouts that are out be asked about at once."""
    rows = await tx.fetch(
        "update payouts.payout set due_at = $2 where id = any($1::uuid[])"
        " and (state = 'ready' or state in ('sent', 'succeeded') and not is_filed)"
        " and verdict = '' returning id",
        list(ids),
        now,
    )
    return {row["id"] for row in rows}


async def hasten_channel(tx: Transaction, channel_name: str, currency: str, now: datetime) -> None:
    """Let payouts that waited for a reserve ask it at once."""
    await tx.execute(
        "update payouts.payout set due_at = $3 where state = 'ready' and channel_name = $1"
        " and currency = $2 and due_at > $3",
        channel_name,
        currency,
        now,
    )


async def count_tests(tx: Transaction, merchant: UUID, since: datetime) -> int:
    """Count a merchant's test payouts since a moment."""
    count = await tx.fetch_value(
        "select count(*) from payouts.payout where merchant = $1 and origin = $2 and asked_at > $3",
        merchant,
        str(PayoutOrigin.TEST),
        since,
    )
    return int(count)


async def sum_hours(
    tx: Transaction, since: datetime, until: datetime
) -> dict[tuple[str, str], dict[int, int]]:
    """Sum what reserves were asked for, by channel, currency and hour since 1970."""
    rows = await tx.fetch(
        "select channel_name, currency, floor(extract(epoch from asked_at) / 3600)::bigint as hour,"
        " sum(amount_minor)::bigint as minor from payouts.payout"
        " where asked_at >= $1 and asked_at < $2 and state not in ('refused', 'declined', 'failed')"
        " group by 1, 2, 3",
        since,
        until,
    )
    found: dict[tuple[str, str], dict[int, int]] = {}
    for row in rows:
        found.setdefault((row["channel_name"], row["currency"]), {})[row["hour"]] = row["minor"]
    return found
