"""All SQL of shops and products. Rows are read as the JSON of their records, and so decoded."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.catalog import (
    LowStock,
    LowStockQuery,
    Offer,
    Product,
    ProductId,
    ProductQuery,
    Shop,
    ShopProductQuery,
    StockedProduct,
)
from vendrail.catalog.shelves import ShopBook
from vendrail.catalog.store.agencies import load_listed
from vendrail.kernel.codec import Record, decode, encode
from vendrail.kernel.db import Transaction

# An agent's product: its supplier still supplies it. Looked up for each, whatever else is listed.
_SUPPLIED = (
    "coalesce((select l.is_supplied from catalog.listed l where l.product = p.id limit 1), true)"
)


class ViewRow(Record, frozen=True):
    """A product with all that its view needs from the database."""

    product: Product
    shop: Shop
    free: dict[str, int]  # SKU -> free units.
    contents: list[str]  # SKUs whose content was given.
    sold_count: int
    is_on_sale: bool
    written_minor: dict[str, int] | None


async def lock(tx: Transaction) -> None:
    """Let one writer of shops and products through at a time; slugs are shared."""
    await tx.execute("select pg_advisory_xact_lock(hashtext('catalog.shelves'))")


async def load(tx: Transaction, shops: Sequence[UUID], slugs: Sequence[str]) -> ShopBook:
    """Load the shops with these ids or slugs."""
    rows = await tx.fetch(
        "select to_jsonb(s)::text from catalog.shop s"
        " where id = any($1::uuid[]) or slug = any($2::text[])",
        shops,
        slugs,
    )
    book = ShopBook()
    for row in rows:
        shop = decode(row[0], Shop)
        book.shops[shop.id] = shop
        book.shop_slugs[shop.slug] = shop.id
    return book


async def load_products(tx: Transaction, products: Sequence[Product]) -> ShopBook:
    """Load what stands where these products are to stand: by id, slug, SKU and variant."""
    shops = [product.shop for product in products]
    variants = [variant for product in products for variant in product.variants]
    book = await load(tx, shops, [])
    rows = await tx.fetch(
        "select document::text from catalog.product_document"
        " where id = any($1::uuid[])"
        "  or (shop, slug) in (select * from unnest($2::uuid[], $3::text[]))",
        [product.id for product in products],
        shops,
        [product.slug for product in products],
    )
    for row in rows:
        product = decode(row[0], Product)
        book.products[product.id] = product
        book.product_slugs[product.shop, product.slug] = product.id
    for row in await tx.fetch(
        "select id, product, sku, is_withdrawn from catalog.variant"
        " where id = any($1::uuid[]) or sku = any($2::text[]) or product = any($3::uuid[])",
        [variant.id for variant in variants],
        [variant.sku for variant in variants],
        [product.id for product in products],
    ):
        book.variants[row["id"]] = row["product"]
        if not row["is_withdrawn"]:
            book.skus[row["sku"]] = row["product"]
    ids = [variant.id for variant in variants]
    listed = await load_listed(tx, ids, [product.id for product in products])
    book.listed = {id: each.floor_minor for id, each in listed.items()}
    return book


async def put_shops(tx: Transaction, shops: Sequence[Shop]) -> None:
    """Write shops whole."""
    await tx.execute(
        "insert into catalog.shop"
        " select r.* from jsonb_populate_recordset(null::catalog.shop, $1::text::jsonb) r"
        " on conflict (id) do update set merchant = excluded.merchant,"
        "  merchant_name = excluded.merchant_name, slug = excluded.slug, name = excluded.name,"
        "  notice = excluded.notice, contact = excluded.contact, theme = excluded.theme,"
        "  is_open = excluded.is_open, low_stock_max = excluded.low_stock_max,"
        "  has_keys_in_letters = excluded.has_keys_in_letters, scheme = excluded.scheme,"
        "  logo = excluded.logo",
        encode(shops).decode(),
    )


async def put_products(tx: Transaction, products: Sequence[Product], search: Sequence[str]) -> None:
    """Write products whole; variants left out are withdrawn, new ones begin with empty counters."""
    ids = [product.id for product in products]
    variants = [(variant, product.id) for product in products for variant in product.variants]
    variant_ids = [variant.id for variant, _ in variants]
    await tx.execute(
        "insert into catalog.product (id, shop, slug, title, description, picture, category, state,"
        "  delivery, hold_policy, restock_wait_s, instructions, warranty, search)"
        " select r.id, r.shop, r.slug, r.title, r.description, r.picture, r.category, r.state,"
        "  r.delivery, r.hold_policy, r.restock_wait_s, r.instructions,"
        "  r.warranty, w.search"
        " from unnest($2::uuid[], $3::text[]) with ordinality as w (id, search, number)"
        " join jsonb_populate_recordset(null::catalog.product, $1::text::jsonb) r on r.id = w.id"
        " order by w.number"
        " on conflict (id) do update set shop = excluded.shop, slug = excluded.slug,"
        "  title = excluded.title, description = excluded.description, picture = excluded.picture,"
        "  category = excluded.category, state = excluded.state, delivery = excluded.delivery,"
        "  hold_policy = excluded.hold_policy, restock_wait_s = excluded.restock_wait_s,"
        "  instructions = excluded.instructions, warranty = excluded.warranty,"
        "  search = excluded.search",
        encode(products).decode(),
        ids,
        search,
    )
    # First everything is withdrawn, so that a SKU may move from one variant to another.
    await tx.execute(
        "update catalog.variant set is_withdrawn = true"
        " where product = any($1::uuid[]) and not is_withdrawn",
        ids,
    )
    await tx.execute(
        "insert into catalog.variant"
        "  (id, product, sku, title, prices_minor, quantity_min, quantity_max, position,"
        "   low_stock_max, quantity_prices)"
        " select r.id, w.product, r.sku, r.title, r.prices_minor, r.quantity_min, r.quantity_max,"
        "  r.position, r.low_stock_max, r.quantity_prices"
        " from unnest($2::uuid[], $3::uuid[]) as w (id, product)"
        " join jsonb_populate_recordset(null::catalog.variant, $1::text::jsonb) r on r.id = w.id"
        " on conflict (id) do update set sku = excluded.sku, title = excluded.title,"
        "  prices_minor = excluded.prices_minor, quantity_min = excluded.quantity_min,"
        "  quantity_max = excluded.quantity_max, position = excluded.position,"
        "  low_stock_max = excluded.low_stock_max, quantity_prices = excluded.quantity_prices,"
        "  is_withdrawn = false",
        encode([variant for variant, _ in variants]).decode(),
        variant_ids,
        [product for _, product in variants],
    )
    await tx.execute(
        "insert into catalog.stock (variant) select unnest($1::uuid[]) on conflict do nothing",
        variant_ids,
    )


async def read_shops(tx: Transaction, slugs: Sequence[str]) -> list[Shop]:
    """Read shops by slug; without slugs, all open ones."""
    rows = await tx.fetch(
        "select (to_jsonb(s) || jsonb_build_object('is_open', o.is_open))::text"
        " from catalog.shop s cross join lateral (select s.is_open"
        "  and s.merchant not in (select merchant from catalog.suspension) as is_open) o"
        " where case when cardinality($1::text[]) = 0 then o.is_open"
        "  else s.slug = any($1::text[]) end"
        " order by s.id",
        slugs,
    )
    return [decode(row[0], Shop) for row in rows]


async def list_shops(tx: Transaction, merchants: Sequence[UUID]) -> list[Shop]:
    """Read merchants' shops."""
    rows = await tx.fetch(
        "select to_jsonb(s)::text from catalog.shop s where merchant = any($1::uuid[]) order by id",
        merchants,
    )
    return [decode(row[0], Shop) for row in rows]


async def list_products(tx: Transaction, query: ShopProductQuery) -> list[StockedProduct]:
    """Read a page of a merchant's products, newest first, with their counters."""
    rows = await tx.fetch(
        "select jsonb_build_object('product', d.document, 'shop', to_jsonb(s),"
        "  'counts', coalesce(c.counts, '[]'), 'contents', coalesce(c.contents, '[]'),"
        "  'variants_ever', coalesce(c.ever, '[]'))::text"
        " from catalog.shop s join catalog.product p on p.shop = s.id"
        " join catalog.product_document d on d.id = p.id"
        " left join lateral ("
        "  select jsonb_agg(to_jsonb(t) || jsonb_build_object('sku', v.sku,"
        "    'free', coalesce(src.free, t.free))"
        "    order by v.position, v.id) filter (where not v.is_withdrawn) as counts,"
        "   jsonb_agg(v.sku) filter (where c.variant is not null and not v.is_withdrawn)"
        "    as contents,"
        "   jsonb_agg(v.id) as ever"
        "  from catalog.variant v join catalog.stock t on t.variant = v.id"
        "  left join catalog.content c on c.variant = v.id"
        "  left join catalog.listing l on l.variant = v.id"  # An agent's: what its supplier has.
        "  left join catalog.stock src on src.variant = l.source where v.product = p.id) c on true"
        " where s.merchant = $1 and p.state <> 'removed' and ($2::text is null or p.state = $2)"
        "  and ($3::uuid is null or p.id < $3)"
        "  and not exists (select from unnest(string_to_array($4, ' ')) as w (word)"
        "   where strpos(p.search, w.word) = 0)"
        " order by p.id desc limit $5",
        query.merchant,
        query.state,
        query.before,
        " ".join(query.words.lower().split()) or None,
        query.products_max,
    )
    return [decode(row[0], StockedProduct) for row in rows]


async def list_low_stock(tx: Transaction, query: LowStockQuery, rows_max: int) -> list[LowStock]:
    """Read the variants on sale of which so few keys are free, the fewest first.

    What is few a variant says itself, or its shop, or whoever asks.
    """
    rows = await tx.fetch(
        "select v.sku, case when v.title in ('', p.title) then p.title"
        "  else p.title || ' – ' || v.title end, p.id, t.free, t.held, b.bound"
        " from catalog.shop s join catalog.product p on p.shop = s.id"
        " join catalog.variant v on v.product = p.id join catalog.stock t on t.variant = v.id"
        " cross join lateral (select coalesce(v.low_stock_max, s.low_stock_max, $2) as bound) b"
        " where s.merchant = $1 and p.state = 'on_sale' and p.delivery = 'unique_key'"
        "  and not v.is_withdrawn and b.bound > 0 and t.free <= b.bound * $4::bigint"
        "  and not exists (select from catalog.listing l where l.variant = v.id)"
        " order by t.free, v.id limit $3",
        query.merchant,
        query.free_max,
        rows_max,
        query.factor,
    )
    return [LowStock(*row) for row in rows]


async def find_products(tx: Transaction, queries: Sequence[ProductQuery]) -> list[list[ProductId]]:
    """Find the ids of products on sale in open shops, newest first, for each query."""
    rows = await tx.fetch(
        "select q.number, f.id"  # noqa: S608
        " from unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::int[])"
        "  with ordinality as q (shop, category, words, after, wanted, number)"
        " cross join lateral ("
        "  select p.id from catalog.product p join catalog.shop s on s.id = p.shop"
        "  where p.state = 'on_sale' and not p.is_blocked and s.is_open"
        "   and s.merchant not in (select merchant from catalog.suspension)"
        f"   and {_SUPPLIED}"
        "   and (q.shop is null or s.slug = q.shop)"
        "   and (q.category is null or p.category = q.category)"
        "   and (q.after is null or p.id < q.after)"
        "   and not exists (select from unnest(string_to_array(q.words, ' ')) as w (word)"
        "    where strpos(p.search, w.word) = 0)"
        "  order by p.id desc limit q.wanted) f"
        " order by q.number, f.id desc",
        [query.shop_slug for query in queries],
        [query.category for query in queries],
        [" ".join(query.words.lower().split()) if query.words else None for query in queries],
        [query.after for query in queries],
        [query.products_max for query in queries],
    )
    found: list[list[ProductId]] = [[] for _ in queries]
    for number, id in rows:
        found[number - 1].append(id)
    return found


async def read_views(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, ViewRow]:
    """Read products with their shops and what is left of each variant."""
    rows = await tx.fetch(
        "select jsonb_build_object('product', case when o.is_supplied then"  # It has one variant.
        "   jsonb_set(p.document, '{variants,0,prices_minor}', o.prices_minor)"
        "   else p.document end, 'shop', to_jsonb(s), 'written_minor',"
        "   case when o.is_supplied then p.document #> '{variants,0,prices_minor}' end,"
        "  'free', coalesce(c.free, '{}'), 'contents', coalesce(c.contents, '[]'),"
        "  'sold_count', coalesce(c.sold, 0),"
        "  'is_on_sale', p.document->>'state' = 'on_sale'"
        "   and not (p.document->>'is_blocked')::boolean and s.is_open"
        "   and s.merchant not in (select merchant from catalog.suspension)"
        "   and coalesce(o.is_supplied, true))::text"
        " from catalog.product_document p join catalog.shop s on s.id = p.shop"
        " left join lateral (select is_supplied, prices_minor from catalog.listed"
        "  where product = p.id limit 1) o on true"  # By the index, not all that is listed.
        " left join lateral ("
        "  select jsonb_object_agg(v.sku, coalesce(src.free, t.free))"
        "   filter (where not v.is_withdrawn) as free,"
        "   jsonb_agg(v.sku) filter (where c.variant is not null) as contents, sum(t.sold) as sold"
        "  from catalog.variant v join catalog.stock t on t.variant = v.id"
        "  left join catalog.content c on c.variant = v.id"
        "  left join catalog.listing l on l.variant = v.id"
        "  left join catalog.stock src on src.variant = l.source where v.product = p.id) c on true"
        " where p.id = any($1::uuid[])",
        ids,
    )
    views = (decode(row[0], ViewRow) for row in rows)
    return {view.product.id: view for view in views}


async def read_offers(
    tx: Transaction, skus: Sequence[str], pressing_min: int, pressing_percent: int
) -> dict[str, Offer]:
    """Read what placing an order must know."""
    rows = await tx.fetch(
        "select jsonb_build_object('variant', v.id, 'sku', v.sku, 'product', p.id, 'shop', s.id,"
        "  'shop_slug', s.slug, 'merchant', s.merchant, 'title', case"
        "   when v.title in ('', p.title) then p.title else p.title || ' – ' || v.title end,"
        "  'prices_minor', coalesce(l.prices_minor, v.prices_minor),"
        "  'quantity_min', v.quantity_min, 'quantity_max', v.quantity_max,"
        "  'quantity_prices', v.quantity_prices,"
        "  'delivery', p.delivery, 'hold_policy', p.hold_policy,"
        "  'restock_wait_s', p.restock_wait_s, 'picture', p.picture,"
        "  'category', p.category, 'warranty', p.warranty,"
        "  'is_on_sale', p.state = 'on_sale' and not p.is_blocked and s.is_open"
        "   and s.merchant not in (select merchant from catalog.suspension)"
        "   and coalesce(l.is_supplied, true),"
        "  'is_pressed', t.held >= $2::bigint and t.held * 100 > (t.free + t.held) * $3::bigint,"
        "  'supply', case when l.variant is not null then jsonb_build_object('merchant',"
        "   l.supplier, 'variant', l.source, 'floor_minor', l.floor_minor) end)::text"
        " from catalog.variant v join catalog.product p on p.id = v.product"
        " join catalog.shop s on s.id = p.shop"
        " left join lateral (select * from catalog.listed where variant = v.id limit 1) l on true"
        " join catalog.stock t on t.variant = coalesce(l.source, v.id)"
        " where v.sku = any($1::text[]) and not v.is_withdrawn",
        skus,
        pressing_min,
        pressing_percent,
    )
    offers = (decode(row[0], Offer) for row in rows)
    return {offer.sku: offer for offer in offers}
