"""All SQL of stock: one function a statement, over arrays, whatever the batch's size.

Tables that grow are reached by `unnest … cross join lateral (… offset 0)`: the `offset` keeps the
planner from turning the look-ups into a scan of the table, which it would choose (and keep, in a
prepared statement) while the table is still small. Rows to change are then named by their place on
disk (`ctid`), and the conditions said again, for a rival may have been there in between.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from vendrail.api.catalog import Hold, KeyId
from vendrail.catalog.decide import AllocationRow, Held, Shelf, Supply, Units
from vendrail.catalog.stock import Tally
from vendrail.catalog.store.arrays import columns
from vendrail.kernel.db import Row, Transaction


async def read_shelves(tx: Transaction, variants: Sequence[UUID]) -> dict[UUID, Shelf]:
    """Read what each variant is made of, and how many of it are free just now."""
    rows = await tx.fetch(
        "select v.id, case when p.delivery = 'unique_key' then 'keys'"
        "  when c.variant is null then 'empty' else 'endless' end, p.hold_policy, s.free,"
        "  s.held"
        " from catalog.variant v join catalog.product p on p.id = v.product"
        " join catalog.stock s on s.variant = v.id"
        " left join catalog.content c on c.variant = v.id"
        " where v.id = any($1::uuid[])",
        variants,
    )
    return {
        id: Shelf(Supply(supply), policy == "at_order", free, held)
        for id, supply, policy, free, held in rows
    }


async def lock_stock(tx: Transaction, variants: Sequence[UUID]) -> dict[UUID, Units]:
    """Lock the variants' counters in id order; give how many of each are free, and held."""
    rows = await tx.fetch(
        "select variant, free, held from catalog.stock where variant = any($1::uuid[])"
        " order by variant for no key update",
        variants,
    )
    return {variant: Units(free, held) for variant, free, held in rows}


# Both lock in id order, whatever the join does, so that no two batches wait for each other.
_ADD_TALLIES = (
    "with locked as materialized ("
    "  select variant from catalog.stock where variant = any($1::uuid[])"
    "  order by variant for no key update)"
    " update catalog.stock s set free = s.free + t.free, held = s.held + t.held,"
    "  allocated = s.allocated + t.allocated, sold = s.sold + t.sold, void = s.void + t.void,"
    "  first_key = least(greatest(s.first_key, t.raise_to), t.lower_to)"
    " from locked join unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],"
    "  $6::bigint[], $7::uuid[], $8::uuid[])"
    "  as t (variant, free, held, allocated, sold, void, raise_to, lower_to)"
    "  on t.variant = locked.variant"
    " where s.variant = t.variant"
)
_HOLD_UNITS = (
    "with locked as materialized ("
    "  select variant from catalog.stock where variant = any($1::uuid[])"
    "  order by variant for no key update)"
    " update catalog.stock s set free = s.free - t.wanted, held = s.held + t.wanted"
    " from locked join unnest($1::uuid[], $2::bigint[]) as t (variant, wanted)"
    "  on t.variant = locked.variant"
    " where s.variant = t.variant and s.free >= t.wanted"
    "  and (s.held + t.wanted) * 100 <= (s.free + s.held) * $3::bigint"
)


async def add_tallies(
    tx: Transaction,
    tallies: Iterable[tuple[UUID, Tally]],
    raise_to: dict[UUID, KeyId] | None = None,
    lower_to: dict[UUID, KeyId] | None = None,
) -> None:
    """Add a batch's moves to the counters; move the hint where picking starts.

    The last statement of its transaction wherever it can be: the counters of a variant that
    everybody wants are locked from here to the commit.
    """
    raised, lowered = raise_to or {}, lower_to or {}
    rows = [
        (v, t.free, t.held, t.allocated, t.sold, t.void, raised.get(v), lowered.get(v))
        for v, t in tallies
    ]
    if rows:
        await tx.execute(_ADD_TALLIES, *columns(rows, 8))


async def hold_units(tx: Transaction, wanted: dict[UUID, int], percent: int) -> bool:
    """Move units from free to held where there are enough, up to a share of the stock.

    False (undo all) where one is short.
    """
    held = await tx.execute(_HOLD_UNITS, list(wanted), list(wanted.values()), percent)
    return held == len(wanted)


# Holds.


async def lock_caps(tx: Transaction) -> None:
    """Let one batch of capped holds through at a time, so that a cap is exact."""
    await tx.execute("select pg_advisory_xact_lock(hashtext('catalog.hold caps'))")


async def read_held_orders(tx: Transaction, orders: Sequence[UUID]) -> set[UUID]:
    """Tell which of the orders hold something."""
    rows = await tx.fetch(
        "select h.* from unnest($1::uuid[]) as o (id) cross join lateral ("
        '  select "order" from catalog.hold where "order" = o.id offset 0) h',
        orders,
    )
    return {row["order"] for row in rows}


async def count_holds(
    tx: Transaction,
    now: datetime,
    buyers: Sequence[str],
    addresses: Sequence[str],
    devices: Sequence[str],
) -> dict[str, dict[str, int]]:
    """Count live holds of buyers, addresses and devices."""
    rows = await tx.fetch(
        "select 'buyer' as kind, o.hash, h.n from unnest($2::text[]) as o (hash)"
        " cross join lateral (select count(*) as n from catalog.hold"
        "  where buyer = o.hash and until > $1) h"
        " union all select 'address', o.hash, h.n from unnest($3::text[]) as o (hash)"
        " cross join lateral (select count(*) as n from catalog.hold"
        "  where address = o.hash and until > $1) h"
        " union all select 'device', o.hash, h.n from unnest($4::text[]) as o (hash)"
        " cross join lateral (select count(*) as n from catalog.hold"
        "  where device = o.hash and until > $1) h",
        now,
        buyers,
        addresses,
        devices,
    )
    counts: dict[str, dict[str, int]] = {"buyer": {}, "address": {}, "device": {}}
    for row in rows:
        counts[row["kind"]][row["hash"]] = row["n"]
    return counts


async def insert_holds(tx: Transaction, holds: Sequence[Hold], *, is_plain: bool = False) -> int:
    """Write holds; fewer than given means that some orders hold something already.

    Plain: all must be new, else it is an error and the transaction is void.
    """
    if is_plain:
        rows = [(hold.order, hold.variant, hold.quantity, hold.until) for hold in holds]
        await tx.copy_rows("catalog", "hold", ("order", "variant", "quantity", "until"), rows)
        return len(rows)
    return await tx.execute(
        'insert into catalog.hold ("order", variant, quantity, until)'
        " select * from unnest($1::uuid[], $2::uuid[], $3::int[], $4::timestamptz[])"
        " on conflict do nothing",
        [hold.order for hold in holds],
        [hold.variant for hold in holds],
        [hold.quantity for hold in holds],
        [hold.until for hold in holds],
    )


async def name_holders(tx: Transaction, holds: Sequence[Hold]) -> None:
    """Write who holds, so that their holds can be counted: only where they are watched."""
    rows = [(h.order, h.buyer or None, h.address or None, h.device or None) for h in holds]
    await tx.execute(
        "update catalog.hold h set buyer = n.buyer, address = n.address, device = n.device"
        " from unnest($1::uuid[], $2::text[], $3::text[], $4::text[])"
        '  as n ("order", buyer, address, device) where h."order" = n."order"',
        *columns(rows, 4),
    )


async def end_holds(tx: Transaction, orders: Sequence[UUID]) -> dict[UUID, Held]:
    """End the holds of orders; give what each had set aside."""
    rows = await tx.fetch(
        "delete from catalog.hold where ctid = any(array("
        "  select h.ctid from unnest($1::uuid[]) as o (id) cross join lateral ("
        '   select ctid from catalog.hold where "order" = o.id offset 0) h))'
        ' returning "order", variant, quantity',
        orders,
    )
    return {row["order"]: Held(row["variant"], row["quantity"]) for row in rows}


async def end_expired_holds(
    tx: Transaction, variants: Sequence[UUID], now: datetime, holds_max: int
) -> list[Held]:
    """End holds of these variants whose time is over, passing by those that others are ending."""
    rows = await tx.fetch(
        "delete from catalog.hold where ctid = any(array("
        "  select h.ctid from unnest($1::uuid[]) as v (variant)"
        "  cross join lateral ("
        "   select ctid from catalog.hold where variant = v.variant and until <= $2"
        "   order by until limit $3 for update skip locked) h limit $3))"
        " returning variant, quantity",
        variants,
        now,
        holds_max,
    )
    return [Held(row["variant"], row["quantity"]) for row in rows]


async def read_holding_variants(tx: Transaction) -> list[UUID]:
    """List the variants of which something is held."""
    rows = await tx.fetch("select variant from catalog.stock where held > 0")
    return [row["variant"] for row in rows]


# Picking and allocations.

# Where the pool is picked from. Rows come by their place on disk (ctid), so that no plan can scan
# the pool: `order by key limit` walks the primary key from the front.
_PICK = (
    "delete from catalog.free_key where ctid = any(array("
    "  select f.ctid from unnest($1::uuid[], $2::bigint[]) as w (variant, wanted)"
    "  {hint}"
    "  cross join lateral ("
    "   select ctid from catalog.free_key where variant = w.variant {start}"
    "   order by variant, key limit w.wanted for update {skip}) f))"
    " returning variant, key"
)
_PICK_FROM_HINT = _PICK.format(
    hint="join catalog.stock s on s.variant = w.variant",
    start="and key >= s.first_key",
    skip="skip locked",
)
_PICK_FROM_FRONT = _PICK.format(hint="", start="", skip="skip locked")
_PICK_WAITING = _PICK.format(hint="", start="", skip="")
PICKS = (_PICK_FROM_HINT, _PICK_FROM_FRONT, _PICK_WAITING)


async def pick_keys(
    tx: Transaction, attempt: int, wanted: dict[UUID, int]
) -> dict[UUID, list[KeyId]]:
    """Take keys out of the pool in id order: from the hint; from the front; waiting for rivals."""
    rows = await tx.fetch(PICKS[attempt], list(wanted), list(wanted.values()))
    if len(wanted) == 1:  # One variant that everybody wants is the usual batch.
        return {variant: sorted([key for _, key in rows]) for variant in wanted if rows}
    picked: dict[UUID, list[KeyId]] = {}
    for variant, key in rows:
        picked.setdefault(variant, []).append(key)
    return {variant: sorted(keys) for variant, keys in picked.items()}


async def insert_free_keys(tx: Transaction, keys: Iterable[tuple[UUID, UUID]]) -> None:
    """Put keys (variant, key) into the pool."""
    await tx.execute(
        "insert into catalog.free_key select * from unnest($1::uuid[], $2::uuid[])",
        *columns(list(keys), 2),
    )


async def insert_allocations(
    tx: Transaction, rows: Sequence[AllocationRow], *, is_plain: bool = False
) -> int:
    """Write outcomes; fewer than given means that some have an outcome already.

    Plain: none may have one, else it is an error and the transaction is void.
    """
    if is_plain:
        await tx.copy_rows("catalog", "allocation", AllocationRow._fields, rows)
        return len(rows)
    return await tx.execute(
        'insert into catalog.allocation (id, "order", variant, key, quantity, position, state)'
        " select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::int[],"
        "  $6::smallint[], $7::text[])"
        " on conflict (id, position) do nothing",
        *columns(rows, 7),
    )


_READ = (
    "select a.* from unnest($1::uuid[]) as o (id) cross join lateral ("
    '  select id, "order", variant, key, quantity, position, state from catalog.allocation'
    "  where id = o.id order by position {lock} offset 0) a order by a.id, a.position"
)
_READ_ONLY = _READ.format(lock="")
_READ_LOCKING = _READ.format(lock="for update")


async def read_allocations(
    tx: Transaction, ids: Sequence[UUID], *, is_locking: bool = False
) -> dict[UUID, list[AllocationRow]]:
    """Read the rows of allocations, by id, in order of position; locked in that order if wanted."""
    wanted = set(ids)
    if is_locking:
        rows = await tx.fetch(_READ_LOCKING, sorted(wanted))
    else:
        rows = await tx.fetch(_READ_ONLY, list(wanted))
    found = [AllocationRow(*row) for row in rows]
    return {id: list(group) for id, group in groupby(found, attrgetter("id"))}


async def read_sold(tx: Transaction, ids: Sequence[UUID]) -> set[UUID]:
    """Give those of allocations whose keys are sold, void since or not."""
    rows = await tx.fetch(
        "select a.id from unnest($1::uuid[]) as o (id) cross join lateral ("
        "  select id from catalog.allocation where id = o.id and position = 0"
        "  and state in ('sold', 'void') offset 0) a",
        list(ids),
    )
    return {row["id"] for row in rows}


async def lock_sales(tx: Transaction) -> None:
    """Let one batch be marked sold at a time, before `sell` is begun.

    Two processes may read the same deliveries. A statement that finds its rows changed since it
    began is checked again for each of them, its whole list of places sorted anew: 7,700 rows took
    4.8 s. One that begins when the other has ended sees what is sold.
    """
    await tx.execute("select pg_advisory_xact_lock(hashtext('catalog.sell'))")


async def sell(tx: Transaction, ids: Sequence[UUID]) -> int:
    """Mark allocations sold and count them, in one statement; give how many changed."""
    changed: int = await tx.fetch_value(
        "with changed as ("
        "  update catalog.allocation set state = 'sold' where ctid = any(array("
        "    select a.ctid from unnest($1::uuid[]) as o (id) cross join lateral ("
        "     select ctid from catalog.allocation where id = o.id offset 0) a))"
        "  and state = 'allocated'"
        "  returning variant, position, quantity),"
        " moved as ("
        "  select variant, sum(quantity) as units from changed group by variant),"
        " locked as materialized ("
        "  select s.variant from catalog.stock s"
        "  where s.variant = any(array(select variant from moved))"
        "  order by s.variant for no key update),"
        " counted as ("
        "  update catalog.stock s set allocated = s.allocated - m.units, sold = s.sold + m.units"
        "  from locked join moved m on m.variant = locked.variant where s.variant = m.variant)"
        " select count(*) from changed where position = 0",
        ids,
    )
    return changed


async def void(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Mark the rows of allocations void (the caller has locked them)."""
    await tx.execute(
        "update catalog.allocation set state = 'void'"
        " where id = any($1::uuid[]) and state in ('allocated', 'sold')",
        ids,
    )


async def free(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Take the keys from allocations that are undone; the first row stays as the kept outcome."""
    await tx.execute(
        "delete from catalog.allocation where id = any($1::uuid[]) and position > 0", ids
    )
    await tx.execute(
        "update catalog.allocation set state = 'freed', key = null"
        " where id = any($1::uuid[]) and position = 0",
        ids,
    )


async def read_stock(tx: Transaction, skus: Sequence[str]) -> list[Row]:
    """Read the counters of variants, by SKU."""
    return await tx.fetch(
        "select v.sku, coalesce(src.free, s.free), s.held, s.allocated, s.sold, s.void"
        " from catalog.variant v join catalog.stock s on s.variant = v.id"
        " left join catalog.listing l on l.variant = v.id"  # An agent's: what its supplier has.
        " left join catalog.stock src on src.variant = l.source"
        " where v.sku = any($1::text[]) and not v.is_withdrawn",
        skus,
    )
