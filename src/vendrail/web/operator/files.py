"""All that is known of an order, as its file: what was bought, paid, and given back."""

import asyncio
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from vendrail.api.identity import Identity, Merchant
from vendrail.api.orders import (
    OrderId,
    OrderQuery,
    OrderSearch,
    OrderView,
    RefundView,
    ReplacementView,
    SoldOrder,
)
from vendrail.api.payments import AttemptView, Capture, Route
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial, to_serial
from vendrail.web.console.desk import Desk
from vendrail.web.console.movements import Movement, read_movements
from vendrail.web.split import OrderSplit, read_split

_MERCHANTS_AT_ONCE = 5_000
_END = 6  # Letters of a serial that tell merchants apart.
# Letters and marks by their categories, of which nobody sees anything (beside what is "Cf").
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_ENDED = re.compile(
    rf"\s*[^\w\s]+\s*[0-9a-z]{{{_END}}}$"
)  # As a serial's end is shown behind a name.


class OrderFile(NamedTuple):
    """One order with its payments and refunds, never its keys."""

    view: OrderView
    sold: SoldOrder | None  # With the contact, where the order can still be found.
    attempts: list[AttemptView]
    routes: dict[UUID, Route]  # Why each attempt went over its channel.
    titles: dict[UUID, str]  # Of channels.
    captures: list[Capture]
    refunds: list[RefundView]
    replacements: list[ReplacementView]

    @property
    def left_minor(self) -> int:
        """Give what could still be given back."""
        gone = sum(each.amount_minor for each in self.refunds if each.state != "failed")
        return self.view.amount_minor - gone


def read_id(text: str) -> UUID | None:
    """Read a serial number or an id out of an address or a form; None: it is neither."""
    cleaned = text.strip()
    try:
        return UUID(cleaned) if len(cleaned) >= 32 else from_serial(cleaned)
    except (ValueError, Malformed):
        return None


async def known_names(identity: Identity) -> dict[UUID, str]:
    """Give the names of all merchants that have one, told apart, read page by page."""
    return told_apart(await _raw_names(identity))


async def _raw_names(identity: Identity) -> dict[UUID, str]:
    named: dict[UUID, str] = {}
    last: Merchant | None = None
    while True:
        known = await identity.list_merchants(_MERCHANTS_AT_ONCE, last)
        named |= {each.id: each.name for each in known if each.name}
        if len(known) < _MERCHANTS_AT_ONCE:
            return named
        last = known[-1]


def told_apart(names: Mapping[UUID, str]) -> dict[UUID, str]:
    """Add to names that look alike what tells their merchants apart: how their serials end."""
    likes = {id: _likeness(name) for id, name in names.items()}
    counts = Counter(likes.values())
    return {
        id: f"{name} · {to_serial(id)[-_END:]}" if counts[likes[id]] > 1 else name
        for id, name in names.items()
    }


def _likeness(name: str) -> str:
    """Give what names have in common that look alike: width, case, blanks, and what is not seen.

    What looks like the end of a serial behind a name is no part of it: it may be another's.
    """
    plain = _BLANK.sub("", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(each for each in plain if unicodedata.category(each) != "Cf")
    like = " ".join(unicodedata.normalize("NFKC", seen).split())
    while ended := _ENDED.search(like, 1):
        like = like[: ended.start()]
    return like


class Files:
    """Reads orders' files, and merchants' names."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def read(self, order: UUID | None) -> OrderFile | None:
        """Read the file of an order; None: there is none."""
        if order is None:
            return None
        id, apis = OrderId(order), self._desk.apis
        [view] = await apis.orders.read_orders([OrderQuery(id, None)])
        if view is None:
            return None
        [attempts], [captures], [refunds], [replaced], [found] = await asyncio.gather(
            apis.payments.read_attempts([id]),
            apis.payments.read_captures([id]),
            apis.orders.read_refunds([id]),
            apis.orders.read_replacements([id]),
            apis.orders.find_orders([OrderSearch(None, view.serial)]),
        )
        ids: list[UUID] = [each.attempt.id for each in attempts]
        routes, channels = await asyncio.gather(
            apis.payments.read_routes(ids), apis.payments.list_channels()
        )
        known = {id: route for id, route in zip(ids, routes, strict=True) if route is not None}
        titles: dict[UUID, str] = {each.id: each.title for each in channels}
        sold = next((each for each in found if each.view.id == id), None)
        return OrderFile(view, sold, attempts, known, titles, captures, refunds, replaced)

    async def movements(self, file: OrderFile) -> list[Movement]:
        """Read what an order and its refunds have moved in the books, oldest first."""
        subjects = [file.view.id, *(each.id for each in file.refunds)]
        return await read_movements(self._desk.apis.ledger, subjects)

    async def split(self, file: OrderFile) -> OrderSplit | None:
        """Read how an order's money was split, and by what."""
        view, apis = file.view, self._desk.apis
        return await read_split(apis.ledger, apis.settlement, view.id, view.merchant, view.currency)

    async def merchant_names(self) -> dict[UUID, str]:
        """Give merchants' names, those told apart that look alike: as people are to choose them."""
        return told_apart(await self.own_names())

    async def own_names(self) -> dict[UUID, str]:
        """Give merchants' names as they are: as identity knows them, else as their shops say."""
        shops = await self._desk.front.calls.shops()
        named: dict[UUID, str] = {each.merchant: each.merchant_name or each.name for each in shops}
        return named | await _raw_names(self._desk.apis.identity)
