"""All SQL of promotions. Whoever changes a coupon's uses holds its row, in id order."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.promotions import (
    CodePage,
    Coupon,
    CouponId,
    CouponQuery,
    CouponUse,
    CouponUseQuery,
    CouponUseState,
    CouponView,
)
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Row, Transaction
from vendrail.promotions.decide import Book, Fate

_VIEW = (
    "select jsonb_build_object('coupon', to_jsonb(c), 'codes_count', c.codes_count,"
    " 'held_count', c.held_count, 'used_count', c.used_count, 'used_minor', c.used_minor)::text"
    " from promotions.coupon c"
)


class Use(NamedTuple):
    """One row of `promotions.use`."""

    order: UUID
    coupon: UUID
    code: bytes
    contact: str
    buyer: UUID | None
    discount_minor: int
    currency: str
    state: CouponUseState
    held_at: datetime
    ending_at: datetime | None = None
    asked_again_at: datetime | None = None  # By another try to place the order.


_USE = (
    'select "order", coupon, code, contact, buyer, discount_minor, currency, state, held_at,'
    " ending_at, asked_again_at from promotions.use"
)


def _use(row: Row) -> Use:
    values = dict(row)
    return Use(**(values | {"state": CouponUseState(values["state"])}))


async def lock_coupons(tx: Transaction, ids: Iterable[UUID]) -> dict[UUID, CouponView]:
    """Hold coupons, in id order, and read them."""
    rows = await tx.fetch(
        f"{_VIEW} where c.id = any($1::uuid[]) order by c.id for no key update", sorted(set(ids))
    )
    views = (decode(row[0], CouponView) for row in rows)
    return {view.coupon.id: view for view in views}


async def read_coupons(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, CouponView]:
    """Read coupons."""
    rows = await tx.fetch(f"{_VIEW} where c.id = any($1::uuid[])", ids)
    views = (decode(row[0], CouponView) for row in rows)
    return {view.coupon.id: view for view in views}


async def list_coupons(tx: Transaction, query: CouponQuery) -> list[CouponView]:
    """Read a page of a merchant's coupons, or of everybody's, newest first."""
    where = "c.merchant = $1 and " if query.merchant is not None else "$1::uuid is null and "
    rows = await tx.fetch(
        f"{_VIEW} where {where}($2::uuid is null or c.id < $2) order by c.id desc limit $3",
        query.merchant,
        query.before,
        query.coupons_max,
    )
    return [decode(row[0], CouponView) for row in rows]


async def lock_words(tx: Transaction, merchants: Iterable[UUID]) -> None:
    """Let nobody else write coupons of these merchants until the end: their words are unique."""
    for merchant in sorted(set(merchants)):
        await tx.execute(
            "select pg_advisory_xact_lock(hashtextextended('promotions.words:' || $1, 0))",
            str(merchant),
        )


async def read_most_taken(tx: Transaction, coupon: UUID) -> int:
    """Say how often the code of a coupon that is taken most is taken."""
    query = "select coalesce(max(taken_count), 0) from promotions.code where coupon = $1"
    return int(await tx.fetch_value(query, coupon))


async def put_coupons(tx: Transaction, coupons: Sequence[Coupon]) -> None:
    """Write coupons whole; what was counted of them stays."""
    await tx.execute(
        "insert into promotions.coupon (id, merchant, title, currency, amount_minor, permyriad,"
        "  cap_minor, order_minor_min, uses_max, uses_per_code, uses_per_buyer, starts_at, ends_at,"
        "  products, categories, is_on, word)"
        " select id, merchant, title, currency, amount_minor, permyriad, cap_minor,"
        "  order_minor_min, uses_max, uses_per_code, uses_per_buyer, starts_at, ends_at, products,"
        "  categories, is_on, word"
        " from jsonb_populate_recordset(null::promotions.coupon, $1::text::jsonb)"
        " on conflict (id) do update set title = excluded.title,"
        "  order_minor_min = excluded.order_minor_min, uses_max = excluded.uses_max,"
        "  uses_per_code = excluded.uses_per_code, uses_per_buyer = excluded.uses_per_buyer,"
        "  starts_at = excluded.starts_at, ends_at = excluded.ends_at,"
        "  products = excluded.products, categories = excluded.categories, is_on = excluded.is_on",
        encode(coupons).decode(),
    )


async def add_codes(tx: Transaction, coupon: UUID, codes: Sequence[tuple[bytes, int]]) -> int:
    """Write codes that are not there yet; gives how many were new."""
    return await tx.execute(
        "insert into promotions.code (hash, coupon, number)"
        " select hash, $1, number from unnest($2::bytea[], $3::int[]) as n (hash, number)"
        " on conflict do nothing",
        coupon,
        [hash_ for hash_, _ in codes],
        [number for _, number in codes],
    )


async def set_codes_count(tx: Transaction, coupon: UUID, count: int) -> None:
    """Note how many codes were made."""
    await tx.execute("update promotions.coupon set codes_count = $2 where id = $1", coupon, count)


async def load_codes(tx: Transaction, hashes: Sequence[bytes]) -> dict[bytes, Row]:
    """Find codes: which coupon each stands for, and how often it is taken."""
    rows = await tx.fetch(
        "select hash, coupon, taken_count from promotions.code where hash = any($1::bytea[])",
        hashes,
    )
    return {row["hash"]: row for row in rows}


async def list_codes(tx: Transaction, page: CodePage) -> list[Row]:
    """Read a page of a coupon's codes, by number."""
    return await tx.fetch(
        "select c.number, c.taken_count, p.word from promotions.code c"
        " join promotions.coupon p on p.id = c.coupon"
        " where c.coupon = $1 and p.merchant = $2 and c.number > $3 order by c.number limit $4",
        page.coupon,
        page.merchant,
        page.after,
        page.codes_max,
    )


async def load_uses(tx: Transaction, orders: Sequence[UUID]) -> dict[UUID, Use]:
    """Read what orders have taken."""
    rows = await tx.fetch(f'{_USE} where "order" = any($1::uuid[])', orders)
    return {row["order"]: _use(row) for row in rows}


async def count_buyers(
    tx: Transaction, books: dict[UUID, Book], contacts: Sequence[str], buyers: Sequence[UUID]
) -> None:
    """Fill in how often these buyers have taken each coupon that asks for it."""
    bounded = [id for id, book in books.items() if book.terms.uses_per_buyer is not None]
    if not bounded:
        return
    for coupon, contact, count in await tx.fetch(
        "select coupon, contact, count(*) from promotions.use where coupon = any($1::uuid[])"
        " and contact = any($2::text[]) and state <> 'returned' group by 1, 2",
        bounded,
        contacts,
    ):
        books[coupon].by_contact[contact] = count
    if not buyers:
        return
    for coupon, buyer, count in await tx.fetch(
        "select coupon, buyer, count(*) from promotions.use where coupon = any($1::uuid[])"
        " and buyer = any($2::uuid[]) and state <> 'returned' group by 1, 2",
        bounded,
        buyers,
    ):
        books[coupon].by_buyer[buyer] = count


async def add_uses(tx: Transaction, uses: Sequence[Use], look_at: datetime) -> None:
    """Write holds and count them; their coupons' rows are held."""
    await tx.execute(
        'insert into promotions.use ("order", coupon, code, contact, buyer, discount_minor,'
        "  currency, state, held_at, look_at)"
        " select o, coupon, code, contact, buyer, discount, currency, state, held_at, $10"
        " from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[], $5::uuid[], $6::bigint[],"
        "  $7::text[], $8::text[], $9::timestamptz[])"
        "  as n (o, coupon, code, contact, buyer, discount, currency, state, held_at)",
        *(list(column) for column in zip(*(use[:9] for use in uses), strict=True)),
        look_at,
    )
    await tx.execute(
        "update promotions.coupon c set held_count = c.held_count + n.count"
        " from (select id, count(*) from unnest($1::uuid[]) as u (id) group by id) n"
        " where c.id = n.id",
        [use.coupon for use in uses],
    )
    await tx.execute(
        "update promotions.code c set taken_count = c.taken_count + n.count"
        " from (select hash, count(*) from unnest($1::bytea[]) as u (hash) group by hash) n"
        " where c.hash = n.hash",
        [use.code for use in uses],
    )


async def note_asked_again(tx: Transaction, orders: Sequence[UUID], now: datetime) -> None:
    """Note that orders asked again for what they hold; their coupons' rows are held."""
    await tx.execute(
        'update promotions.use set asked_again_at = $2 where "order" = any($1::uuid[])',
        orders,
        now,
    )


async def settle_uses(tx: Transaction, uses: Sequence[Use], fates: Sequence[Fate]) -> None:
    """Write what has become of uses, and count it; their coupons' rows are held."""
    await tx.execute(
        "update promotions.use u set state = n.state, look_at = n.look_at, ending_at = n.ending_at"
        " from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[])"
        '  as n (o, state, look_at, ending_at) where u."order" = n.o',
        [use.order for use in uses],
        [fate.state.value for fate in fates],
        [fate.look_at for fate in fates],
        [fate.ending_at for fate in fates],
    )
    moves = [
        (use.coupon, use.code, use.state.value, fate.state.value, use.discount_minor)
        for use, fate in zip(uses, fates, strict=True)
        if use.state is not fate.state
    ]
    if not moves:
        return
    await tx.execute(
        "update promotions.coupon c set held_count = c.held_count + n.held,"
        "  used_count = c.used_count + n.used, used_minor = c.used_minor + n.minor"
        " from (select id, sum((target = 'held')::int - (source = 'held')::int) as held,"
        "   sum((target = 'used')::int - (source = 'used')::int) as used,"
        "   sum(discount * ((target = 'used')::int - (source = 'used')::int)) as minor"
        "  from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[])"
        "   as m (id, source, target, discount) group by id) n where c.id = n.id",
        [move[0] for move in moves],
        [move[2] for move in moves],
        [move[3] for move in moves],
        [move[4] for move in moves],
    )
    returned = [move[1] for move in moves if move[3] == CouponUseState.RETURNED]
    if returned:
        await tx.execute(
            "update promotions.code c set taken_count = c.taken_count - n.count"
            " from (select hash, count(*) from unnest($1::bytea[]) as u (hash) group by hash) n"
            " where c.hash = n.hash",
            returned,
        )


async def list_uses(tx: Transaction, query: CouponUseQuery) -> list[CouponUse]:
    """Read a page of a coupon's uses, newest first."""
    rows = await tx.fetch(
        'select u."order", u.coupon, u.discount_minor, u.currency, u.state, u.held_at'
        " from promotions.use u join promotions.coupon c on c.id = u.coupon"
        " where u.coupon = $1 and c.merchant = $2"
        '  and ($3::uuid is null or u."order" < $3) order by u."order" desc limit $4',
        query.coupon,
        query.merchant,
        query.before,
        query.uses_max,
    )
    return [
        CouponUse(
            row["order"],
            CouponId(row["coupon"]),
            row["discount_minor"],
            row["currency"],
            CouponUseState(row["state"]),
            row["held_at"],
        )
        for row in rows
    ]


async def find_due(tx: Transaction, now: datetime, uses_max: int) -> list[Use]:
    """Read uses that are to be looked at."""
    rows = await tx.fetch(f"{_USE} where look_at <= $1 order by look_at limit $2", now, uses_max)
    return [_use(row) for row in rows]


async def look_soon(tx: Transaction, orders: Sequence[UUID], now: datetime) -> None:
    """Have uses looked at now."""
    await tx.execute(
        "update promotions.use set look_at = $2"
        " where \"order\" = any($1::uuid[]) and state <> 'returned'",
        orders,
        now,
    )


async def find_guessers(
    tx: Transaction, addresses: Sequence[str], since: datetime, guesses_max: int
) -> set[str]:
    """Say who has tried too many wrong codes of late."""
    rows = await tx.fetch(
        "select address from promotions.guess"
        " where address = any($1::text[]) and since > $2 and count >= $3",
        addresses,
        since,
        guesses_max,
    )
    return {row["address"] for row in rows}


async def add_guesses(
    tx: Transaction, addresses: Sequence[str], now: datetime, window: timedelta
) -> None:
    """Count wrong codes; after a while counting begins anew."""
    await tx.execute(
        "insert into promotions.guess as g (address, since, count)"
        " select address, $2, count(*) from unnest($1::text[]) as n (address)"
        " group by address order by address"
        " on conflict (address) do update set"
        "  since = case when g.since > $3 then g.since else excluded.since end,"
        "  count = case when g.since > $3 then g.count else 0 end + excluded.count",
        addresses,
        now,
        now - window,
    )


async def forget_guesses(tx: Transaction, before: datetime) -> int:
    """Delete counts of wrong codes that count no more."""
    return await tx.execute("delete from promotions.guess where since < $1", before)
