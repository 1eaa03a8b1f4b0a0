"""All SQL of forbidden goods."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.catalog import GoodsCase, GoodsQuery, GoodsRule, GoodsRules, Product, Shop
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Transaction

_NOBODY = UUID(int=0)


async def newest_version(tx: Transaction) -> int:
    """Give the number of the rules that count; 0: there were never any."""
    version: int = await tx.fetch_value("select coalesce(max(version), 0) from catalog.goods_rules")
    return version


async def list_rules(tx: Transaction, versions_max: int) -> list[GoodsRules]:
    """Read versions of the rules, the newest first."""
    rows = await tx.fetch(
        "select rules::text, version, written_at, written_by from catalog.goods_rules"
        " order by version desc limit $1",
        versions_max,
    )
    return [GoodsRules(decode(row[0], list[GoodsRule]), *list(row)[1:]) for row in rows]


async def add_rules(tx: Transaction, rules: GoodsRules, now: datetime) -> None:
    """Write the next version."""
    await tx.execute(
        "insert into catalog.goods_rules (rules, written_at, written_by)"
        " values ($1::text::jsonb, $2, $3)",
        encode(rules.rules).decode(),
        now,
        rules.written_by,
    )


async def load_cases(tx: Transaction, subjects: Sequence[UUID]) -> dict[UUID, GoodsCase]:
    """Read what was found of products and shops."""
    rows = await tx.fetch(
        "select to_jsonb(c)::text from catalog.goods_case c where subject = any($1::uuid[])",
        list(subjects),
    )
    cases = (decode(row[0], GoodsCase) for row in rows)
    return {case.subject: case for case in cases}


async def list_cases(tx: Transaction, query: GoodsQuery) -> list[GoodsCase]:
    """Read a page of cases, those that changed last first."""
    rows = await tx.fetch(
        "select to_jsonb(c)::text from catalog.goods_case c"
        " where state = $1 and ($2::timestamptz is null or changed_at < $2"
        "  or (changed_at = $2 and subject < $4::uuid))"
        " order by changed_at desc, subject desc limit $3",
        query.state,
        query.before,
        max(1, min(query.cases_max, 200)),
        query.before_subject,
    )
    return [decode(row[0], GoodsCase) for row in rows]


async def put_cases(tx: Transaction, cases: Sequence[GoodsCase]) -> None:
    """Write cases whole, and whether their products are blocked."""
    await tx.execute(
        "insert into catalog.goods_case"
        " select r.* from jsonb_populate_recordset(null::catalog.goods_case, $1::text::jsonb) r"
        " on conflict (subject) do update set merchant = excluded.merchant,"
        "  title = excluded.title, state = excluded.state, found = excluded.found,"
        "  is_blocked = excluded.is_blocked, is_appealed = excluded.is_appealed,"
        "  rules_version = excluded.rules_version, changed_at = excluded.changed_at,"
        "  decided_by = excluded.decided_by, reason = excluded.reason, seen = excluded.seen",
        encode(cases).decode(),
    )
    await tx.execute(
        "update catalog.product p set is_blocked = v.is_blocked"
        " from unnest($1::uuid[], $2::boolean[]) as v (id, is_blocked)"
        " where p.id = v.id and p.is_blocked <> v.is_blocked",
        [case.subject for case in cases],
        [case.is_blocked for case in cases],
    )


async def load_sold(tx: Transaction, ids: Sequence[UUID]) -> list[tuple[Product, Shop]]:
    """Read products with their shops."""
    rows = await tx.fetch(
        "select d.document::text, to_jsonb(s)::text from catalog.product_document d"
        " join catalog.shop s on s.id = d.shop where d.id = any($1::uuid[])",
        list(ids),
    )
    return [(decode(row[0], Product), decode(row[1], Shop)) for row in rows]


async def read_sweep(tx: Transaction, version: int) -> tuple[UUID, bool]:
    """Say how far the shelves were looked through for a version, and whether to the end."""
    row = await tx.fetch_row(
        "select after, is_done from catalog.goods_sweep where version = $1", version
    )
    return (row["after"], row["is_done"]) if row else (_NOBODY, False)


async def next_products(tx: Transaction, after: UUID, products_max: int) -> list[UUID]:
    """Name the next products that are not removed, in the order of their ids."""
    rows = await tx.fetch(
        "select id from catalog.product where id > $1 and state <> 'removed' order by id limit $2",
        after,
        products_max,
    )
    return [row[0] for row in rows]


async def put_sweep(tx: Transaction, version: int, after: UUID, *, is_done: bool) -> None:
    """Write how far the shelves were looked through."""
    await tx.execute(
        "insert into catalog.goods_sweep values ($1, $2, $3)"
        " on conflict (version) do update set after = excluded.after, is_done = excluded.is_done",
        version,
        after,
        is_done,
    )
