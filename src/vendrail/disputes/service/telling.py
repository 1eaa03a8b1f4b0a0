"""Telling: letters when a dispute is opened, before its limit, and when the bank has decided."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from vendrail.api.identity import Identity, PeopleQuery, Permission, Person, PersonState
from vendrail.api.notify import Message, Notify
from vendrail.api.orders import OrderId, OrderQuery, Orders
from vendrail.api.wallets import WALLET_DESK
from vendrail.disputes import decide, store
from vendrail.disputes.settings import DisputesSettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Row
from vendrail.kernel.ids import derive, to_serial
from vendrail.kernel.money import to_text

_PAGE = 200
_TEMPLATE = "dispute_staff"


class Telling:
    """Hands letters to notify; each has an id of its own, so that none leaves twice."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        settings: DisputesSettings,
        orders: Orders,
        notify: Notify,
        identity: Identity,
    ) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._orders = orders
        self._notify = notify
        self._identity = identity

    async def tell(self) -> bool:
        """Tell of what is due, of all that is open or has just ended; it is soon looked again."""
        after: UUID | None = None
        while True:
            async with self._db.reading() as tx:
                rows = await store.load_untold(tx, after, _PAGE)
            await self._tell(rows)
            if len(rows) < _PAGE:
                return False
            after = rows[-1]["id"]

    async def _tell(self, rows: Sequence[Row]) -> None:
        now = self._clock.now()
        soon = timedelta(hours=self._settings.remind_hours)
        last = timedelta(hours=self._settings.remind_last_hours)
        due = [
            (row, step)
            for row in rows
            if (step := decide.letter(_telling_of(row), now, soon, last))
        ]
        if not due:
            return
        messages = [message for row, step in due for message in await self._letters(row, step)]
        if messages:
            await self._notify.send_messages(messages)
        async with self._db.reading() as tx:
            await store.mark_told(tx, [row["id"] for row, _ in due], [step for _, step in due])

    async def _letters(self, row: Row, step: str) -> list[Message]:
        """Write to whoever may answer: the merchant's people, of nobody's sales the platform's."""
        merchant = row["merchant"] if row["merchant"] != WALLET_DESK else None
        title, serial = await self._order(row)
        site = self._settings.public_url.rstrip("/")
        root = "merchant" if merchant else "operator"
        hours = 0
        if row["answer_by"] is not None:
            hours = max(0, int((row["answer_by"] - self._clock.now()).total_seconds() // 3_600))
        values = {
            "step": step,
            "title": title,
            "serial": serial,
            "amount": f"{to_text(row['amount_minor'], row['currency'])} {row['currency']}",
            "hours": str(hours),
            "link": f"{site}/{root}/disputes/{to_serial(row['id'])}",
        }
        [people] = await self._identity.list_people([PeopleQuery(merchant)])
        return [
            Message(
                derive(row["id"], f"letter:{step}:{each.id}"),
                each.email,
                _TEMPLATE,
                each.locale,
                values,
                derive(row["id"], f"letters:{each.email}"),
            )
            for each in people
            if _is_reader(each, merchant)
        ]

    async def _order(self, row: Row) -> tuple[str, str]:
        """Name what is disputed: the order and its title, or the payment's channel."""
        if row["order_id"] is None:
            return row["channel_name"], "–"
        [view] = await self._orders.read_orders([OrderQuery(OrderId(row["order_id"]), None)])
        return view.title if view is not None else row["channel_name"], to_serial(row["order_id"])


def _telling_of(row: Row) -> decide.Telling:
    return decide.Telling(
        row["outcome"], row["told"], row["answered_at"] is not None, row["answer_by"]
    )


def _is_reader(person: Person, merchant: UUID | None) -> bool:
    held = {
        permission
        for membership in person.memberships
        if membership.merchant == merchant
        for permission in membership.permissions
    }
    return person.state is PersonState.ACTIVE and Permission.REFUNDS_WRITE in held
