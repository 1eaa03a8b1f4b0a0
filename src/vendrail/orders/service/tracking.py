"""Tracking: an order as its buyer sees it, and how it is found again without giving others away."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.catalog import AllocationId, Catalog, Delivery
from vendrail.api.notify import Message, Notify
from vendrail.api.orders import (
    Addressee,
    BoughtQuery,
    FoundOrder,
    LookupCode,
    LookupRequest,
    OrderId,
    OrderQuery,
    OrderState,
    OrderView,
    ReplacedItem,
    TimelineStep,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode
from vendrail.kernel.db import Database, Row
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.kernel.saga import Saga, SagaLog, SagaState
from vendrail.kernel.vault import is_same
from vendrail.orders import decide, store
from vendrail.orders.decide import CaptureFacts, OrderFacts
from vendrail.orders.service.seals import Seals
from vendrail.orders.settings import OrdersSettings

UNENDED = (OrderState.PLACED, OrderState.EXPIRED, OrderState.CANCELLED)
_FOUND_MAX = 50
_CODE_TRIES_MAX = 5


class Tracking:
    """Reads orders for their buyers."""

    def __init__(
        self,
        db: Database,
        seals: Seals,
        log: SagaLog,
        clock: Clock,
        settings: OrdersSettings,
        catalog: Catalog,
        notify: Notify,
    ) -> None:
        self._db = db
        self._seals = seals
        self._log = log
        self._clock = clock
        self._settings = settings
        self._catalog = catalog
        self._notify = notify

    async def read_orders(self, queries: Sequence[OrderQuery]) -> list[OrderView | None]:
        """Read orders whose secret is right; the keys only past the pivot."""
        # Judged query by query: in one batch, one buyer's right secret must not open the order to
        # another's wrong one.
        rights = [
            query.secret is None or is_same(query.secret, self._seals.order_secret(query.id))
            for query in queries
        ]
        ids = list({query.id for query, right in zip(queries, rights, strict=True) if right})
        if not ids:
            return [None] * len(queries)
        async with self._db.reading() as tx:
            rows = await store.load_orders(tx, ids)
            unended = [id for id, row in rows.items() if row["state"] in UNENDED]
            sagas = (
                await self._log.find(tx, [derive(id, "purchase") for id in unended])
                if unended
                else {}
            )
            touched = [id for id, row in rows.items() if row["delivered_at"]]
            refunds = await store.load_refunds(tx, touched) if touched else {}
            replacements = await store.load_replacements(tx, touched) if touched else {}
        items = await self._read_items(queries, rows)
        views: list[OrderView | None] = []
        for query, right in zip(queries, rights, strict=True):
            row = rows.get(query.id) if right else None
            if row is None:
                views.append(None)
                continue
            saga = sagas.get(derive(query.id, "purchase"))
            given = items.get(query.id) if query.with_items else None
            views.append(
                view_of(
                    row,
                    saga,
                    refunds.get(query.id, []),
                    replacements.get(query.id, []),
                    given,
                )
            )
        return views

    async def _read_items(
        self, queries: Sequence[OrderQuery], rows: dict[UUID, Row]
    ) -> dict[UUID, Delivery]:
        wanted = {
            AllocationId(row["allocation"])
            for query in queries
            if query.with_items
            and (row := rows.get(query.id))
            and row["state"] == OrderState.DELIVERED
            and row["allocation"] is not None
        }
        if not wanted:
            return {}
        deliveries = await self._catalog.read_deliveries(list(wanted))
        return {each.order: each for each in deliveries if each is not None}

    async def read_addressees(self, orders: Sequence[OrderId]) -> list[Addressee | None]:
        """Open orders' contacts; None where there is no such order."""
        async with self._db.reading() as tx:
            rows = await store.load_orders(tx, list(set(orders)))
        sealed = [(row["id"], row["data_key"], row["contact_sealed"]) for row in rows.values()]
        contacts = await self._seals.open_contacts(sealed) if sealed else []
        found = {
            row["id"]: Addressee(
                OrderId(row["id"]),
                contact,
                decode(row["facts"], OrderFacts).locale,
                self._seals.order_secret(row["id"]),
            )
            for row, contact in zip(rows.values(), contacts, strict=True)
        }
        return [found.get(order) for order in orders]

    async def request_lookup_codes(self, requests: Sequence[LookupRequest]) -> list[bool]:
        """Send a code to each contact that is one; the answer never tells whether orders exist."""
        now = self._clock.now()
        cleaned = [decide.contact(request.contact) for request in requests]
        codes = {
            contact: f"{secrets.randbelow(10**8):08}"
            for contact in cleaned
            if contact is not None and "@" in contact
        }
        if codes:
            async with self._db.reading() as tx:
                await store.put_lookup_codes(
                    tx,
                    sorted(
                        (self._seals.contact_hash(contact), self._seals.code_hash(contact, code))
                        for contact, code in codes.items()
                    ),
                    now,
                )
            locales = {decide.contact(each.contact): each.locale for each in requests}
            await self._notify.send_messages(
                [
                    Message(
                        new_id(now),
                        contact,
                        "lookup_code",
                        locales[contact],
                        {"code": code, "minutes": str(self._settings.lookup_code_s // 60)},
                        # A newer code takes the place of an older one, and its letter too.
                        stream=UUID(bytes=self._seals.contact_hash(contact)),
                    )
                    for contact, code in codes.items()
                ]
            )
        return [contact is not None for contact in cleaned]

    async def redeem_lookup_codes(
        self, codes: Sequence[LookupCode]
    ) -> list[list[FoundOrder] | None]:
        """Give contacts' recent orders for right codes; few and each its own, so one by one."""
        return [await self._redeem(code) for code in codes]

    async def _redeem(self, given: LookupCode) -> list[FoundOrder] | None:
        contact = decide.contact(given.contact)
        if contact is None:
            return None
        now = self._clock.now()
        digest = self._seals.contact_hash(contact)
        async with self._db.transaction() as tx:
            row = await store.try_lookup_code(tx, digest)
            if row is None or row["tries"] > _CODE_TRIES_MAX:
                return None
            life = timedelta(seconds=self._settings.lookup_code_s)
            is_right = is_same(row["code_hash"], self._seals.code_hash(contact, given.code.strip()))
            if not is_right or now - row["made_at"] > life:
                return None
            await store.drop_lookup_code(tx, digest)
            since = (now - timedelta(days=self._settings.lookup_days)).date()
            rows = await store.find_by_contact(tx, digest, since, _FOUND_MAX)
        return [self._found(row) for row in rows]

    async def list_bought(self, queries: Sequence[BoughtQuery]) -> list[list[FoundOrder]]:
        """List what buyers bought signed in, and what their proven contacts bought."""
        return [await self._list_bought(query) for query in queries]

    async def _list_bought(self, query: BoughtQuery) -> list[FoundOrder]:
        since = (self._clock.now() - timedelta(days=self._settings.lookup_days)).date()
        before = query.before or store.LAST
        contact = decide.contact(query.contact)
        async with self._db.reading() as tx:
            found = await store.find_by_buyer(tx, query.buyer, before, query.orders_max)
            if contact is not None:
                digest = self._seals.contact_hash(contact)
                found += await store.find_by_contact(tx, digest, since, query.orders_max, before)
        newest = sorted({row["id"]: row for row in found}.items(), reverse=True)
        return [self._found(row) for _, row in newest[: query.orders_max]]

    def _found(self, row: Row) -> FoundOrder:
        return FoundOrder(
            OrderId(row["id"]),
            to_serial(row["id"]),
            self._seals.order_secret(row["id"]),
            decode(row["facts"], OrderFacts).title,
            OrderState(row["state"]),
            row["placed_at"],
        )


def view_of(
    row: Row,
    saga: Saga | None,
    refunds: Sequence[Row],
    replacements: Sequence[Row],
    delivery: Delivery | None = None,
) -> OrderView:
    """Say how an order stands: its row, its saga, its refunds and replacements together."""
    facts = decode(row["facts"], OrderFacts)
    state = OrderState(row["state"])
    paid_at = row["paid_at"]
    if saga is not None and state in UNENDED:
        state = OrderState.REFUNDING if saga.is_turned else OrderState.PAID
        paid_at = decode(saga.data, CaptureFacts).paid_at
    elif state is OrderState.DELIVERED and any(each["state"] == "asked" for each in refunds):
        state = OrderState.REFUNDING
    is_waiting = saga is not None and saga.state in (SagaState.WAITING, SagaState.STUCK)
    return OrderView(
        id=OrderId(row["id"]),
        serial=to_serial(row["id"]),
        state=state,
        waiting=saga.reason if saga is not None and is_waiting else "",
        shop=facts.shop,
        shop_slug=facts.shop_slug,
        merchant=row["merchant"],
        product=facts.product,
        sku=facts.sku,
        title=facts.title,
        quantity=row["quantity"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        refunded_minor=row["refunded_minor"],
        placed_at=row["placed_at"],
        expires_at=row["expires_at"],
        paid_at=paid_at,
        delivered_at=row["delivered_at"],
        timeline=_timeline(row, saga, paid_at, refunds, replacements),
        items=delivery.items if delivery else [],
        trace_id=row["trace_id"],
        delivery=facts.delivery,
        number=facts.number,
        exchange=facts.exchange,
        returned_minor=_returned(row, facts, refunds),
        capture=row["capture"],
        buyer=row["buyer"],
        wallet=facts.wallet,
        discount=facts.discount,
        warranty=facts.warranty,
        replaced=[
            ReplacedItem(each.position, each.text, each.at)
            for each in (delivery.replaced if delivery else ())
        ],
    )


def _returned(row: Row, facts: OrderFacts, refunds: Sequence[Row]) -> int:
    """Say what has gone back, in the currency that was paid."""
    returned_minor: int = row["refunded_minor"]
    if facts.exchange is None or not returned_minor:
        return returned_minor
    if row["delivered_at"] is None:  # It could not be filled: all of it has.
        return facts.exchange.amount_minor
    return sum(each["paid_minor"] or 0 for each in refunds if each["state"] == "paid")


def _timeline(
    row: Row,
    saga: Saga | None,
    paid_at: datetime | None,
    refunds: Sequence[Row],
    replacements: Sequence[Row],
) -> list[TimelineStep]:
    """Tell where the money is and was; each step as it really happened."""
    steps = [TimelineStep("placed", row["placed_at"])]
    if paid_at is not None:
        # Providers tell whole seconds of their own clock: nobody pays before there is an order.
        paid_at = max(paid_at, row["placed_at"])
        steps += [TimelineStep("paid", paid_at), TimelineStep("held", paid_at)]
    if saga is not None and saga.state is SagaState.WAITING:
        steps.append(TimelineStep("waiting", steps[-1].at, saga.reason))
    if row["delivered_at"]:
        # The split stands before the pivot and counts from it: one moment for both.
        steps += [
            TimelineStep("delivered", row["delivered_at"]),
            TimelineStep("released", row["delivered_at"]),
        ]
    if row["state"] in (OrderState.EXPIRED, OrderState.CANCELLED):
        steps.append(TimelineStep(row["state"], row["ended_at"]))
    steps += [
        TimelineStep("replaced", each["settled_at"])
        for each in replacements
        if each["settled_at"] is not None
    ]
    for refund in refunds:
        amount = str(refund["paid_minor"] or refund["amount_minor"])
        if refund["to_wallet"] is not None:  # One step: no provider is asked.
            if refund["settled_at"] and refund["state"] == "paid":
                steps.append(TimelineStep("wallet_refunded", refund["settled_at"], amount))
            continue
        steps.append(TimelineStep("refund_asked", refund["asked_at"], amount))
        if refund["settled_at"]:
            kind = "refunded" if refund["state"] == "paid" else "refund_failed"
            steps.append(TimelineStep(kind, refund["settled_at"], amount))
    if row["state"] == OrderState.REFUNDED and not row["delivered_at"]:
        amount = str(_returned(row, decode(row["facts"], OrderFacts), refunds))
        steps.append(TimelineStep("refunded", row["ended_at"], amount))
    return steps
