"""All SQL of the log, its chain, and of proposals."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vendrail.api.identity import Act, ActQuery, Proposal, ProposalState, ProposalView
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.ids import first_id_at


class Sealable(NamedTuple):
    """An act as its seal covers it."""

    id: UUID
    text: str


async def add_acts(tx: Transaction, acts: Sequence[Act]) -> set[UUID]:
    """Write acts, each id once; give those that are new."""
    rows = await tx.fetch(
        "with added as (insert into identity.act (id, at, merchant, actor, act, document)"
        "  select n.id, n.at, n.merchant, n.actor, n.act, n.document::jsonb"
        "  from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[],"
        "   $6::text[]) as n (id, at, merchant, actor, act, document) order by n.id"
        "  on conflict (id) do nothing returning id)"
        " insert into identity.unsealed (act) select id from added returning act",
        [act.id for act in acts],
        [act.at for act in acts],
        [act.merchant for act in acts],
        [act.by.name for act in acts],
        [act.act for act in acts],
        [encode(act).decode() for act in acts],
    )
    return {row["act"] for row in rows}


_ACTS = "select document::text as document from identity.act where id < $1 and id >= $2"


async def list_acts(tx: Transaction, query: ActQuery) -> list[Act]:
    """Read a page of the log, newest first: ids are in the order of time."""
    newest = query.after or (first_id_at(query.until) if query.until else UUID(int=(1 << 128) - 1))
    oldest = first_id_at(query.since) if query.since else UUID(int=0)
    if query.until:
        newest = min(newest, first_id_at(query.until))
    filters, values = "", [newest, oldest, max(1, min(query.acts_max, 1_000))]
    given: list[object] = list(values)
    if query.merchant is not None:
        given.append(query.merchant)
        filters += f" and merchant = ${len(given)}"
    if query.actor:
        given.append(query.actor)
        filters += f" and actor = ${len(given)}"
    if query.act:
        given.append(_prefix(query.act))
        filters += f" and act like ${len(given)}"
    rows = await tx.fetch(
        _ACTS + filters + " order by id desc limit $3",
        *given,
    )
    return [decode(row["document"], Act) for row in rows]


def _prefix(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped + "%"


async def claim_unsealed(tx: Transaction, acts_max: int) -> list[Sealable]:
    """Take the oldest acts that are not sealed; one sealer at a time."""
    await tx.execute("select pg_advisory_xact_lock(hashtext('identity.seal'))")
    rows = await tx.fetch(
        "with taken as (delete from identity.unsealed where act in ("
        "  select act from identity.unsealed order by act limit $1) returning act)"
        " select a.id, concat_ws('|', a.id, a.at, a.merchant, a.actor, a.act, a.document) as text"
        " from identity.act a join taken t on t.act = a.id order by a.id",
        acts_max,
    )
    return [Sealable(row["id"], row["text"]) for row in rows]


async def load_last_seal(tx: Transaction) -> tuple[int, bytes]:
    """Give number and hash of the newest seal; (0, nothing) before the first."""
    row = await tx.fetch_row("select number, hash from identity.seal order by number desc limit 1")
    return (row["number"], row["hash"]) if row else (0, b"")


async def add_seals(tx: Transaction, seals: Sequence[tuple[int, UUID, bytes]]) -> None:
    """Write seals."""
    await tx.execute(
        "insert into identity.seal (number, act, hash)"
        " select n.number, n.act, n.hash from unnest($1::bigint[], $2::uuid[], $3::bytea[])"
        " as n (number, act, hash)",
        [number for number, _, _ in seals],
        [act for _, act, _ in seals],
        [hash for _, _, hash in seals],
    )


class Sealed(NamedTuple):
    """A seal, and the act that it covers as that is now; an act that is gone has no text."""

    number: int
    act: UUID
    hash: bytes
    text: str


async def load_seal(tx: Transaction, number: int) -> bytes:
    """Give the hash of a seal; nothing before the first."""
    row = await tx.fetch_row("select hash from identity.seal where number = $1", number)
    return row["hash"] if row else b""


async def load_sealed(tx: Transaction, after: int, seals_max: int) -> list[Sealed]:
    """Read a stretch of the chain with what it covers."""
    rows = await tx.fetch(
        "select s.number, s.act, s.hash, case when a.id is null then ''"
        "  else concat_ws('|', a.id, a.at, a.merchant, a.actor, a.act, a.document) end as text"
        " from identity.seal s left join identity.act a on a.id = s.act"
        " where s.number > $1 order by s.number limit $2",
        after,
        seals_max,
    )
    return [Sealed(row["number"], row["act"], row["hash"], row["text"]) for row in rows]


async def count_unsealed(tx: Transaction) -> int:
    """Count acts that no seal covers yet."""
    row = await tx.fetch_row("select count(*) as count from identity.unsealed")
    return int(row["count"]) if row else 0


async def find_uncovered(tx: Transaction) -> UUID | None:
    """Give an act that is neither sealed nor waits to be: somebody has put it in by hand."""
    row = await tx.fetch_row(
        "select a.id from identity.act a where not exists ("
        "  select from identity.seal s where s.act = a.id) and not exists ("
        "  select from identity.unsealed u where u.act = a.id) limit 1"
    )
    return row["id"] if row else None


async def add_proposals(
    tx: Transaction, proposals: Sequence[Proposal], now: datetime, ends_at: datetime
) -> set[UUID]:
    """Put proposals up, each id once; give those that are new."""
    rows = await tx.fetch(
        "insert into identity.proposal (id, merchant, state, made_at, ends_at, document)"
        " select n.id, n.merchant, 'open', $4, $5, n.document::jsonb"
        " from unnest($1::uuid[], $2::uuid[], $3::text[]) as n (id, merchant, document)"
        " order by n.id on conflict (id) do nothing returning id",
        [each.id for each in proposals],
        [each.merchant for each in proposals],
        [encode(each).decode() for each in proposals],
        now,
        ends_at,
    )
    return {row["id"] for row in rows}


_VIEW = (
    "select id, merchant, state, made_at, ends_at, decided_by, decided_at,"
    " document::text as document from identity.proposal"
)


def _view(row: Row, now: datetime) -> ProposalView:
    state = ProposalState(row["state"])
    if state in (ProposalState.OPEN, ProposalState.APPROVED) and row["ends_at"] <= now:
        state = ProposalState.EXPIRED
    return ProposalView(
        decode(row["document"], Proposal),
        state,
        row["made_at"],
        row["ends_at"],
        row["decided_by"],
        row["decided_at"],
    )


async def load_proposals(
    tx: Transaction, ids: Sequence[UUID], now: datetime, *, is_locked: bool = False
) -> dict[UUID, ProposalView]:
    """Load proposals by id; an old one that nobody decided, or carried out, has expired."""
    rows = await tx.fetch(
        _VIEW + " where id = any($1::uuid[]) order by id" + (" for update" if is_locked else ""),
        list(ids),
    )
    return {row["id"]: _view(row, now) for row in rows}


async def list_proposals(
    tx: Transaction, merchant: UUID | None, now: datetime, views_max: int
) -> list[ProposalView]:
    """List proposals, the newest first; without a merchant everybody's."""
    if merchant is None:
        rows = await tx.fetch(_VIEW + " order by made_at desc, id limit $1", views_max)
    else:
        rows = await tx.fetch(
            _VIEW + " where merchant = $1 order by made_at desc, id limit $2", merchant, views_max
        )
    return [_view(row, now) for row in rows]


async def set_proposal(
    tx: Transaction, id: UUID, state: ProposalState, decided_by: str, now: datetime
) -> None:
    """Keep what became of a proposal."""
    await tx.execute(
        "update identity.proposal set state = $2, decided_by = coalesce(nullif($3, ''),"
        " decided_by), decided_at = coalesce(decided_at, $4) where id = $1",
        id,
        state,
        decided_by,
        now,
    )
