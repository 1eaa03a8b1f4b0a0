"""News: events of orders become letters, which are written as they leave from what is so then."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote
from uuid import UUID

from vendrail.api.catalog import Catalog
from vendrail.api.orders import Addressee, OrderEvent, OrderId, OrderQuery, Orders, OrderView
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.ids import to_serial
from vendrail.kernel.outbox import move_cursor, read_cursor
from vendrail.notify import store
from vendrail.notify.decide import RANK_NEWS, is_address
from vendrail.notify.letters import money
from vendrail.notify.notices import Notice, NoticeFacts, is_news, notice
from vendrail.notify.service.room import Means, Room
from vendrail.notify.store import DueMessage, NewMessage

_SOURCE = "orders"
_WITH_KEYS = ("order_delivered", "order_replaced")
_IN_LETTERS = ("unique_key", "reusable_key", "text")
_KEYS_MAX = 20  # Of more, the link tells.
_OPENED_MAX = 256  # Contacts opened at once: others have their turn in between.


class Draft(NamedTuple):
    """What a letter will say, and to whom."""

    recipient: str
    locale: str
    values: dict[str, str]


class News(Room):
    """Reads what orders tell, keeps a letter for each, and writes it when it leaves."""

    def __init__(self, means: Means, orders: Orders, catalog: Catalog) -> None:
        super().__init__(means)
        self._orders = orders
        self._catalog = catalog

    async def consume(self) -> bool:
        """Keep the letters of some events, with the cursor in one commit; true: there is more."""
        now = self._clock.now()
        async with self._db.reading() as tx:
            cursor = await read_cursor(tx, "notify", _SOURCE)
        page = (await self._orders.read_events([cursor]))[0]
        if not page.batches:
            return False
        notices = [
            notice(event) for batch in page.batches for event in decode(batch, list[OrderEvent])
        ]
        fresh = [each for each in notices if each.stale_at > now]
        ends = [(each.template, "stale") for each in notices if each.stale_at <= now]
        reached = await self._reached([each.subject for each in fresh])
        ends += [(each.template, "no_address") for each in fresh if each.subject not in reached]
        rows = [_row(each) for each in fresh if each.subject in reached]
        async with self._db.transaction() as tx:
            if not await move_cursor(tx, "notify", _SOURCE, cursor, page.cursor):
                return True  # Another process has read this page.
            if rows:
                await store.add_messages(tx, rows, None, now)
        self._metrics.count_each("vendrail_letters_total", ends)
        if rows:
            self._wakeups.wake("notify")
        return page.is_more

    async def _reached(self, orders: Sequence[UUID]) -> set[UUID]:
        """Say which orders' buyers a letter can reach."""
        ids = [OrderId(id) for id in dict.fromkeys(orders)]
        reached: set[UUID] = set()
        for begin in range(0, len(ids), _OPENED_MAX):
            part = ids[begin : begin + _OPENED_MAX]
            for addressee in await self._orders.read_addressees(part):
                if addressee is not None and is_address(addressee.contact):
                    reached.add(addressee.order)
        return reached

    async def write(self, messages: Sequence[DueMessage]) -> list[Draft | None]:
        """Write letters as their orders stand now; None where the news is overtaken."""
        ids = [OrderId(id) for id in {each.subject for each in messages} if id is not None]
        addressees = await self._orders.read_addressees(ids)
        views = await self._orders.read_orders([OrderQuery(id, None) for id in ids])
        known = {
            id: (addressee, view)
            for id, addressee, view in zip(ids, addressees, views, strict=True)
            if addressee is not None and view is not None
        }
        keys = await self._keys(messages, [view for _, view in known.values()])
        drafts: list[Draft | None] = []
        for message in messages:
            found = known.get(OrderId(message.subject)) if message.subject else None
            facts = decode(message.facts or b"{}", NoticeFacts)
            is_reached = found is not None and is_address(found[0].contact)
            if found is None or not is_reached or not is_news(message.template, facts, found[1]):
                drafts.append(None)
            else:
                drafts.append(self._draft(facts, *found, keys.get(found[1].id, [])))
        return drafts

    async def _keys(
        self, messages: Sequence[DueMessage], views: Sequence[OrderView]
    ) -> dict[OrderId, list[str]]:
        """Read the keys of orders whose shop wants them told by letter; of files only the link."""
        told = {each.subject for each in messages if each.template in _WITH_KEYS}
        texts = [v for v in views if v.id in told and v.shop_slug and v.delivery in _IN_LETTERS]
        slugs = sorted({view.shop_slug for view in texts})
        if not slugs:
            return {}
        shops = await self._catalog.read_shops(slugs)
        wanted = {each.slug for each in shops if each is not None and each.has_keys_in_letters}
        ids = [view.id for view in texts if view.shop_slug in wanted]
        if not ids:
            return {}
        read = await self._orders.read_orders([OrderQuery(id, None, with_items=True) for id in ids])
        return {view.id: view.items for view in read if view and len(view.items) <= _KEYS_MAX}

    def _draft(
        self, facts: NoticeFacts, addressee: Addressee, order: OrderView, keys: Sequence[str]
    ) -> Draft:
        serial = to_serial(order.id)
        locale = addressee.locale
        key = quote(addressee.secret, safe="")
        amount_minor = facts.amount_minor or order.due_minor
        page = f"{self._settings.public_url.rstrip('/')}/orders/{serial}"
        values = {
            "title": order.title,
            "quantity": str(order.quantity),
            "serial": serial,
            "amount": money(order.due_minor, order.due_currency, locale),
            "refund": money(amount_minor, order.due_currency, locale),
            "is_whole": "yes" if amount_minor >= order.due_minor else "",
            "reason": facts.reason,
            "keys": "\n".join(keys),
            "count": str(facts.count or 1),
            "link": f"{page}?key={key}",
            "receipt": f"{page}/receipt.pdf?key={key}",
        }
        return Draft(addressee.contact, locale, values)


def _row(each: Notice) -> NewMessage:
    return NewMessage(
        each.id,
        each.template,
        None,
        each.stale_at,
        each.stream,
        RANK_NEWS,
        subject=each.subject,
        facts=encode(each.facts),
    )
