"""Finding whatever a number names, wherever it is kept: each service is asked in one batch."""

import asyncio
import re
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from vendrail.api.orders import OrderId, OrderQuery, OrderSearch, OrderView
from vendrail.kernel.ids import to_serial
from vendrail.kernel.numbers import Found, FoundKind
from vendrail.web.console.apis import Apis

WORDS_MAX = 128
_SUBJECTS_MAX = 16
_ORDERS_MAX = 20
_FOUND_MAX = 50
_MONEY = frozenset({FoundKind.PAYOUT, FoundKind.TRANSFER})
_PHONE = re.compile(r"[+0-9][0-9 ()-]{5,18}")


class Trail(NamedTuple):
    """What a number has led to."""

    found: list[Found]
    orders: list[OrderView]  # The newest first.

    @property
    def subjects(self) -> list[UUID]:
        """Give what transfers are booked under, where no order is known."""
        own = {each.subject for each in self.found if each.subject is not None}
        payouts = {each.id for each in self.found if each.kind is FoundKind.PAYOUT}
        return sorted(own | payouts)


class Finder:
    """Asks every service that knows things by numbers."""

    def __init__(self, apis: Apis) -> None:
        self._apis = apis
        self._rooms = apis.numbered

    async def find(self, words: str, merchant: UUID | None, *, has_money: bool) -> Trail:
        """Find what a number or contact names; of one merchant's, or (None) of all.

        What was found may belong to something else, as a transfer to a refund: that is found too.
        """
        sold, found = await asyncio.gather(
            self._apis.orders.find_orders([OrderSearch(merchant, words)]), self._ask([words])
        )
        found = _visible(found, merchant, has_money=has_money)
        views = {each.view.id: each.view for each in sold[0]}
        views |= await self._orders(found, views, merchant)
        others = _subjects(found) - views.keys() - {each.id for each in found}
        if others:
            serials = [to_serial(each) for each in sorted(others)[:_SUBJECTS_MAX]]
            more = _visible(await self._ask(serials), merchant, has_money=has_money)
            found += [each for each in more if each not in found]
            views |= await self._orders(more, views, merchant)
        orders = sorted(views.values(), key=lambda each: each.id, reverse=True)
        return Trail(found[:_FOUND_MAX], orders[:_ORDERS_MAX])

    async def _ask(self, numbers: Sequence[str]) -> list[Found]:
        told = await asyncio.gather(*(room.find_numbers(numbers) for room in self._rooms))
        merged: dict[tuple[FoundKind, UUID], Found] = {}
        for room in told:
            for found in room:
                for each in found:
                    merged.setdefault((each.kind, each.id), each)
        return list(merged.values())

    async def _orders(
        self, found: Sequence[Found], known: dict[OrderId, OrderView], merchant: UUID | None
    ) -> dict[OrderId, OrderView]:
        wanted = sorted(_subjects(found) - known.keys())[:_SUBJECTS_MAX]
        if not wanted:
            return {}
        views = await self._apis.orders.read_orders(
            [OrderQuery(OrderId(each), None) for each in wanted]
        )
        return {
            view.id: view
            for view in views
            if view is not None and merchant in (None, view.merchant)
        }


def masked(words: str) -> str:
    """Give words as the log may keep them: numbers whole, contacts so that none can be read."""
    if "@" in words:
        name, _, domain = words.rpartition("@")
        return f"{name[:1]}…@{domain}"
    return f"…{words[-2:]}" if _PHONE.fullmatch(words) else words


def _subjects(found: Sequence[Found]) -> set[UUID]:
    return {each.subject for each in found if each.subject is not None}


def _visible(found: Sequence[Found], merchant: UUID | None, *, has_money: bool) -> list[Found]:
    return [
        each
        for each in found
        if (merchant is None or merchant in each.merchants)
        and (has_money or each.kind not in _MONEY)
    ]
