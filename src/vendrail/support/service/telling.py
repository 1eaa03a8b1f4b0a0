"""Telling: letters about complaints, and one letter about what stayed unread for a while."""

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID

from vendrail.api.identity import Identity, PeopleQuery, Permission, Person, PersonState
from vendrail.api.notify import Message, Notify
from vendrail.api.orders import Addressee, OrderId, OrderQuery, OrderView
from vendrail.api.support import Side
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Row
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.kernel.money import to_text
from vendrail.support.service.ground import Ground, LetterFacts
from vendrail.support.store import complaints, talks

_LETTERS_MAX = 50
_AGAIN = timedelta(seconds=30)
_READERS = {Permission.ORDERS_WRITE, Permission.REFUNDS_WRITE}


class Telling:
    """Hands letters to notify; each has its id, so that none leaves twice."""

    def __init__(self, ground: Ground, notify: Notify, identity: Identity) -> None:
        self._ground = ground
        self._db = ground.db
        self._notify = notify
        self._identity = identity

    async def tell(self) -> bool:
        """Hand on what is due; true: there may be more."""
        now = self._ground.clock.now()
        async with self._db.transaction() as tx:
            for order, side, count in await talks.take_unread(tx, now, _LETTERS_MAX):
                letter = (new_id(now), "message_unread", order, side)
                facts = LetterFacts("unread", count=count)
                await complaints.add_letter(tx, letter, encode(facts), now)
            rows = await complaints.load_letters(tx, now, _LETTERS_MAX)
            await complaints.delay_letters(tx, [row["id"] for row in rows], now + _AGAIN)
        if not rows:
            return False
        messages = await self._write(rows)
        if messages:
            await self._notify.send_messages(messages)
        async with self._db.reading() as tx:
            await complaints.end_letters(tx, [row["id"] for row in rows])
        return True

    async def _write(self, rows: Sequence[Row]) -> list[Message]:
        orders = [OrderId(id) for id in dict.fromkeys(row["order"] for row in rows)]
        views = await self._ground.orders.read_orders([OrderQuery(id, None) for id in orders])
        addressees = await self._ground.orders.read_addressees(orders)
        known = {
            id: (view, addressee)
            for id, view, addressee in zip(orders, views, addressees, strict=True)
            if view is not None
        }
        messages = []
        for row in rows:
            if row["order"] in known:
                messages += await self._letters(row, *known[row["order"]])
        return messages

    async def _letters(
        self, row: Row, view: OrderView, addressee: Addressee | None
    ) -> list[Message]:
        facts = decode(row["facts"], LetterFacts)
        site = self._ground.settings.public_url.rstrip("/")
        serial = to_serial(view.id)
        values = {
            "step": facts.step,
            "title": view.title,
            "serial": serial,
            "amount": f"{to_text(facts.amount_minor, view.currency)} {view.currency}",
            "count": str(facts.count),
            "hours": str(facts.hours),
        }
        side = Side(row["side"])
        if side is Side.BUYER:
            if addressee is None:
                return []
            link = f"{site}/orders/{serial}?key={quote(addressee.secret, safe='')}"
            told = {**values, "link": link}
            return [self._letter(row, row["id"], addressee.contact, addressee.locale, told)]
        merchant = view.merchant if side is Side.MERCHANT else None
        root = "merchant" if merchant else "operator"
        told = {**values, "link": f"{site}/{root}/complaints/{serial}"}
        [people] = await self._identity.list_people([PeopleQuery(merchant)])
        return [
            self._letter(row, derive(row["id"], str(each.id)), each.email, each.locale, told)
            for each in people
            if _is_reader(each, merchant)
        ]

    def _letter(
        self, row: Row, id: UUID, recipient: str, locale: str, values: dict[str, str]
    ) -> Message:
        stream = derive(row["order"], f"letters:{recipient}")
        return Message(id, recipient, row["template"], locale, values, stream)


def _is_reader(person: Person, merchant: UUID | None) -> bool:
    held = {
        permission
        for membership in person.memberships
        if membership.merchant == merchant
        for permission in membership.permissions
    }
    return person.state is PersonState.ACTIVE and bool(held & _READERS)
