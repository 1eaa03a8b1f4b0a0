"""What wallets pay of orders, in SQL: a small table that only such orders have rows in."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.orders import WalletPartState
from vendrail.kernel.db import Row, Transaction
from vendrail.orders.parts import Part


def _part(row: Row) -> Part:
    return Part(
        row["order"],
        row["buyer"],
        row["number"],
        row["amount_minor"],
        WalletPartState(row["state"]),
    )


_LOAD_PARTS = 'select * from orders.wallet_part where "order" = any($1::uuid[]) order by "order"'
_LOAD_PARTS_LOCKED = f"{_LOAD_PARTS} for update"


async def load_parts(
    tx: Transaction, orders: Sequence[UUID], *, is_locked: bool = False
) -> dict[UUID, Part]:
    """Read what wallets pay of orders; locked, in the order of their ids."""
    rows = await tx.fetch(_LOAD_PARTS_LOCKED if is_locked else _LOAD_PARTS, orders)
    return {row["order"]: _part(row) for row in rows}


async def put_parts(tx: Transaction, parts: Sequence[Part], now: datetime) -> None:
    """Write parts as they stand now."""
    ordered = sorted(parts)
    await tx.execute(
        'insert into orders.wallet_part ("order", buyer, number, amount_minor, state, at)'
        " select n.*, $6::timestamptz from unnest($1::uuid[], $2::uuid[], $3::int[], $4::bigint[],"
        "  $5::text[]) as n"
        ' on conflict ("order") do update set buyer = excluded.buyer, number = excluded.number,'
        "  amount_minor = excluded.amount_minor, state = excluded.state, at = excluded.at",
        [part.order for part in ordered],
        [part.buyer for part in ordered],
        [part.number for part in ordered],
        [part.amount_minor for part in ordered],
        [part.state.value for part in ordered],
        now,
    )


async def claim_parts(
    tx: Transaction, asked_before: datetime, now: datetime, rows_max: int
) -> list[tuple[Part, UUID, str]]:
    """Claim parts that nothing will take: of orders that have ended, or given up while asked.

    Gives each with its order's merchant and currency; from now on no purchase can take it.
    """
    rows = await tx.fetch(
        "update orders.wallet_part p set state = 'freeing', at = $2"
        ' from (select w."order", o.merchant, o.currency from orders.wallet_part w'
        '   join orders."order" o on o.id = w."order"'
        "   where w.state in ('asked', 'held', 'freeing')"
        "    and (o.state <> 'placed' or w.state = 'freeing' or w.state = 'asked' and w.at < $1)"
        "    and (w.state <> 'freeing' or w.at < $1)"
        '   order by w."order" limit $3 for update of w skip locked) due'
        ' where p."order" = due."order" returning p.*, due.merchant, due.currency',
        asked_before,
        now,
        rows_max,
    )
    return [(_part(row), row["merchant"], row["currency"]) for row in rows]


async def end_parts(tx: Transaction, parts: Sequence[Part], now: datetime) -> None:
    """Write that parts are let go."""
    await tx.execute(
        "update orders.wallet_part p set state = 'freed', at = $3"
        ' from unnest($1::uuid[], $2::int[]) as n ("order", number)'
        ' where p."order" = n."order" and p.number = n.number and p.state = \'freeing\'',
        [part.order for part in parts],
        [part.number for part in parts],
        now,
    )


async def find_returning(tx: Transaction, buyers: Sequence[UUID]) -> set[UUID]:
    """Find buyers whose wallets may get money back by itself: for what is not settled yet."""
    rows = await tx.fetch(
        'select p.buyer from orders.wallet_part p join orders.saga s on s.subject = p."order"'
        "  where p.buyer = any($1::uuid[])"
        " union select to_wallet from orders.refund"
        "  where to_wallet = any($1::uuid[]) and state not in ('paid', 'failed')",
        list(buyers),
    )
    return {row["buyer"] for row in rows}


async def put_gone(tx: Transaction, buyers: Sequence[UUID], now: datetime) -> None:
    """Remember which buyers with paying wallets are no more."""
    await tx.execute(
        "insert into orders.gone_buyer (buyer, at) select distinct buyer, $2::timestamptz"
        " from orders.wallet_part where buyer = any($1::uuid[]) on conflict do nothing",
        list(buyers),
        now,
    )


async def find_gone(tx: Transaction, buyers: Sequence[UUID]) -> set[UUID]:
    """Find those buyers who are no more."""
    rows = await tx.fetch(
        "select buyer from orders.gone_buyer where buyer = any($1::uuid[])", list(buyers)
    )
    return {row["buyer"] for row in rows}
