"""Telling: letters about accounts that were added or doubted, and payouts that did not arrive."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.identity import Identity, PeopleQuery, Permission, Person, PersonState
from vendrail.api.notify import Message, MessageStatus, Notify
from vendrail.kernel.clock import Clock
from vendrail.kernel.ids import derive, to_serial
from vendrail.kernel.locales import amount_text, nearest
from vendrail.payouts.settings import PayoutsSettings
from vendrail.payouts.store import Database, Row, Transaction
from vendrail.payouts.store import payees as payees_store
from vendrail.payouts.store import payouts as payouts_store

_AT_ONCE = 32


def _works(person: Person, _merchant: UUID) -> bool:
    return person.state is PersonState.ACTIVE


def _sees_balances(person: Person, merchant: UUID) -> bool:
    return person.state is PersonState.ACTIVE and any(
        each.merchant == merchant and Permission.BALANCE_READ in each.permissions
        for each in person.memberships
    )


class Telling:
    """Writes to merchants' people."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        settings: PayoutsSettings,
        identity: Identity,
        notify: Notify,
    ) -> None:
        self._db = db
        self._clock = clock
        self._link = f"{settings.public_url.rstrip('/')}/merchant/payouts"
        self._identity = identity
        self._notify = notify

    async def tell_due(self) -> bool:
        """Write of everything that is due, each once; true: there may be more.

        Of an account that payouts come back from it is told once a day.
        """
        counts = [
            await self._tell(
                payees_store.list_doubted, self._doubted, payees_store.note_doubts_told
            ),
            await self._tell(payees_store.list_untold, self._added, self._note_added),
            await self._tell(
                payouts_store.list_untold,
                self._undelivered,
                payouts_store.note_told,
                _sees_balances,
            ),
        ]
        return _AT_ONCE in counts

    async def _tell(
        self,
        read: Callable[[Transaction, int], Awaitable[list[Row]]],
        letter: Callable[[Row, Person], Message],
        note: Callable[[Transaction, Sequence[Row]], Awaitable[None]],
        is_told: Callable[[Person, UUID], bool] = _works,
    ) -> int:
        """Write of some rows to those of their merchants' people who are told; give how many."""
        async with self._db.reading() as tx:
            rows = await read(tx, _AT_ONCE)
        if not rows:
            return 0
        people = await self._identity.list_people([PeopleQuery(row["merchant"]) for row in rows])
        letters = [
            letter(row, person)
            for row, team in zip(rows, people, strict=True)
            for person in team
            if is_told(person, row["merchant"])
        ]
        if letters:
            statuses = await self._notify.send_messages(letters)
            assert MessageStatus.TEMPLATE_UNKNOWN not in statuses
        async with self._db.transaction() as tx:
            await note(tx, rows)
        return len(rows)

    async def _note_added(self, tx: Transaction, rows: Sequence[Row]) -> None:
        await payees_store.note_told(tx, [row["id"] for row in rows], self._clock.now())

    def _doubted(self, row: Row, person: Person) -> Message:
        return Message(
            derive(row["doubt"], f"doubted:{person.id}"),
            person.email,
            "payee_doubted",
            person.locale,
            {"account": row["shown"], "link": self._link},
        )

    def _added(self, row: Row, person: Person) -> Message:
        usable_at: datetime = row["usable_at"]
        return Message(
            derive(row["id"], f"added:{person.id}"),
            person.email,
            "payee_added",
            person.locale,
            {
                "account": row["shown"],
                "link": self._link,
                "by": row["added_by"],
                "usable": f"{usable_at:%Y-%m-%d %H:%M} UTC",
            },
        )

    def _undelivered(self, row: Row, person: Person) -> Message:
        since: datetime = row["untold_since"]
        locale = (nearest(person.locale) or "en").replace("-", "_")
        return Message(
            derive(row["payee"], f"{row['state']}:{since.date()}:{person.id}"),
            person.email,
            "payout_undelivered",
            person.locale,
            {
                "step": row["state"],
                "amount": amount_text(row["amount_minor"], row["currency"], locale),
                "account": row["shown"],
                "link": f"{self._link}/{to_serial(row['id'])}",
            },
        )
