"""Listing: a merchant's orders page by page, found by any number, and summed by hours and days."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vendrail.api.orders import (
    DeliveredOrder,
    MerchantSales,
    MerchantSalesQuery,
    OrderId,
    OrderSearch,
    PastSaleQuery,
    SalePart,
    SaleParts,
    SalePartsQuery,
    SalesQuery,
    SalesSum,
    SoldOrder,
    SoldOrderQuery,
)
from vendrail.api.payments import Payments
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record, decode, replace
from vendrail.kernel.db import Database, Row
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, first_id_at, from_serial, to_serial
from vendrail.kernel.numbers import Found, FoundKind, by_number, check, ids_in
from vendrail.kernel.saga import SagaLog
from vendrail.orders import decide, store
from vendrail.orders.decide import OrderFacts
from vendrail.orders.service.seals import Seals
from vendrail.orders.service.tracking import view_of
from vendrail.orders.settings import OrdersSettings
from vendrail.orders.store import sales

_PAGE_MAX = 200
_ZONE_LENGTH_MAX = 60
_SALES_MAX = 5_000
_SUMMED_MAX = 20_000
_PARTS_MAX = 200
_FOUND_MAX = 50
_WORDS_MAX = 254
_SERIAL_LENGTH = 26
_FIRST = UUID(int=0)
_LAST = UUID(int=(1 << 128) - 1)


class _Chosen(Record, frozen=True):
    """What of an order's facts a sale in little tells."""

    method: str
    category: str = ""


class Listing:
    """Reads orders for their merchants."""

    def __init__(
        self,
        db: Database,
        seals: Seals,
        log: SagaLog,
        clock: Clock,
        settings: OrdersSettings,
        payments: Payments,
    ) -> None:
        self._db = db
        self._seals = seals
        self._log = log
        self._clock = clock
        self._settings = settings
        self._payments = payments
        # An id is of the moment it was made, which is its order's to within so much.
        self._slack = timedelta(seconds=settings.id_age_s_max)

    async def list_orders(self, queries: Sequence[SoldOrderQuery]) -> list[list[SoldOrder]]:
        """Read pages; few and each its own, so one by one."""
        pages = []
        for query in queries:
            first = first_id_at(query.since - self._slack) if query.since else _FIRST
            last = first_id_at(query.until + self._slack) if query.until else _LAST
            bounded = replace(query, orders_max=max(0, min(query.orders_max, _PAGE_MAX)))
            async with self._db.reading() as tx:
                rows = await store.list_orders(tx, bounded, first, min(query.before or last, last))
            pages.append(await self._show(rows))
        return pages

    async def find_orders(self, searches: Sequence[OrderSearch]) -> list[list[SoldOrder]]:
        """Find by the order's number, the payment's (ours or the provider's), or the contact."""
        return [await self._find(search) for search in searches]

    async def _find(self, search: OrderSearch) -> list[SoldOrder]:
        words = search.words.strip()[:_WORDS_MAX]
        if not words:
            return []
        (captures,) = await self._payments.find_captures([words])
        ids = [*_ids_in(words), *(capture.order for capture in captures if capture.order)]
        contact = decide.contact(words)
        async with self._db.reading() as tx:
            rows = await store.load_orders(tx, ids) if ids else {}
            if search.merchant is not None:  # Perhaps the merchant's own number of a charge.
                key = self._seals.charge_key(search.merchant, words)
                charges = await store.load_by_idempotency(tx, [key])
                rows |= {row["id"]: row for row in charges.values()}
            if contact is not None:
                since = self._clock.now() - timedelta(days=self._settings.lookup_days)
                of_contact = await store.find_by_contact(
                    tx, self._seals.contact_hash(contact), since.date(), _FOUND_MAX
                )
                rows |= {row["id"]: row for row in of_contact}
        mine = [row for row in rows.values() if search.merchant in (None, row["merchant"])]
        return await self._show(sorted(mine, key=lambda row: row["id"], reverse=True))

    async def find_numbers(self, numbers: Sequence[str]) -> list[list[Found]]:
        """Find what ids name: orders, what was given back of them, and what was replaced."""
        check(numbers)
        ids = ids_in(numbers)
        if not ids:
            return [[] for _ in numbers]
        async with self._db.reading() as tx:
            rows = await store.find_numbers(tx, list(ids.values()))
        found = [
            Found(
                FoundKind(row["kind"]),
                row["id"],
                to_serial(row["id"]),
                row["at"],
                row["order"],
                (row["merchant"],),
            )
            for row in rows
        ]
        return by_number(numbers, [(each.id, each) for each in found])

    async def sum_sales(self, queries: Sequence[SalesQuery]) -> list[list[SalesSum]]:
        """Sum by hours or days of the zone."""
        sums = []
        for query in queries:
            _check_zone(query.zone)
            async with self._db.reading() as tx:
                rows = await sales.sum_sales(
                    tx,
                    query,
                    first_id_at(query.since - self._slack),
                    first_id_at(query.until + self._slack),
                )
            sums.append([SalesSum(*row) for row in rows])
        return sums

    async def sum_sale_parts(self, queries: Sequence[SalePartsQuery]) -> list[SaleParts]:
        """Sum the newest orders of each stretch by variant, method and hour of the zone."""
        sums = []
        for query in queries:
            _check_zone(query.zone)
            most = max(0, min(query.orders_max, _SUMMED_MAX))
            async with self._db.reading() as tx:
                rows = await sales.sum_parts(
                    tx,
                    replace(query, orders_max=most),
                    first_id_at(query.since - self._slack),
                    first_id_at(query.until + self._slack),
                )
            sums.append(_parts_of(query, most, rows))
        return sums

    async def list_sales(self, queries: Sequence[PastSaleQuery]) -> list[list[DeliveredOrder]]:
        """Read pages in little: no contact is opened, nothing is read but the orders."""
        pages = []
        for query in queries:
            first = first_id_at(query.since - self._slack)
            last = first_id_at(query.until + self._slack)
            bounded = replace(query, sales_max=max(0, min(query.sales_max, _SALES_MAX)))
            async with self._db.reading() as tx:
                rows = await sales.list_sales(tx, bounded, first, last)
            page = []
            for row in rows:
                facts = decode(row["facts"], _Chosen)
                page.append(
                    DeliveredOrder(
                        row["id"],
                        row["merchant"],
                        row["amount_minor"],
                        row["currency"],
                        row["placed_at"],
                        facts.method,
                        facts.category,
                    )
                )
            pages.append(page)
        return pages

    async def count_sales(self, queries: Sequence[MerchantSalesQuery]) -> list[list[MerchantSales]]:
        """Count by merchant and currency."""
        counts = []
        for query in queries:
            first = first_id_at(query.since - self._slack)
            last = first_id_at(query.until + self._slack)
            async with self._db.reading() as tx:
                rows = await sales.count_sales(tx, query, first, last)
            counts.append([MerchantSales(*row) for row in rows])
        return counts

    async def _show(self, rows: Sequence[Row]) -> list[SoldOrder]:
        if not rows:
            return []
        ids = [row["id"] for row in rows]
        contacts = await self._seals.open_contacts(
            [(row["id"], row["data_key"], row["contact_sealed"]) for row in rows]
        )
        async with self._db.reading() as tx:
            sagas = await self._log.find(tx, [derive(id, "purchase") for id in ids])
            refunds = await store.load_refunds(tx, ids)
            replaced = await store.load_replacements(tx, ids)
        return [
            SoldOrder(
                view_of(
                    row,
                    sagas.get(derive(row["id"], "purchase")),
                    refunds.get(id, []),
                    replaced.get(id, []),
                ),
                contact,
                (facts := decode(row["facts"], OrderFacts)).method,
                row["buyer"] is not None and facts.wallet is None,
            )
            for id, row, contact in zip(ids, rows, contacts, strict=True)
        ]


def _ids_in(words: str) -> Iterable[OrderId]:
    """Read an order's id out of what may be its number, or that of an attempt to pay it."""
    text = "".join(words.replace("-", "").split())
    if not text.isascii() or len(text) < _SERIAL_LENGTH:
        return
    if len(text) == 32:
        try:
            yield OrderId(UUID(hex=text))
        except ValueError:
            return
    elif len(text) == _SERIAL_LENGTH or text[_SERIAL_LENGTH:].isdecimal():
        try:
            yield OrderId(from_serial(text[:_SERIAL_LENGTH]))
        except Malformed:
            return


def _parts_of(query: SalePartsQuery, orders_max: int, rows: Sequence[Row]) -> SaleParts:
    """Sort the sums by what they are of; the row of all says from when on orders were read."""
    told: dict[str, list[SalePart]] = {"variant": [], "method": [], "hour": []}
    begins_at = query.since
    for row in rows:
        if row["part"] == "all":
            if row["looked_at"] >= orders_max and row["begins_at"] is not None:
                begins_at = max(query.since, row["begins_at"])
            continue
        is_variant = row["part"] == "variant" and bool(row["key"])
        told[row["part"]].append(
            SalePart(
                row["key"],
                row["sold_count"],
                row["quantity"],
                row["sold_minor"],
                row["refunded_minor"],
                row["title"] if is_variant else "",
                row["sku"] if is_variant else "",
            )
        )
    hours = sorted(told["hour"], key=lambda each: int(each.key))
    return SaleParts(begins_at, told["variant"][:_PARTS_MAX], told["method"], hours)


def _check_zone(name: str) -> None:
    """Refuse what names no time zone; one that was read is known from then on."""
    try:
        if 0 < len(name) <= _ZONE_LENGTH_MAX:
            ZoneInfo(name)
            return
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise Malformed("There is no such time zone; name it as in `Asia/Shanghai`.")
