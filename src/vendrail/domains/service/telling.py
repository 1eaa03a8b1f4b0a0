"""Telling: letters to who keeps a shop, when its domain's proof is missed and when it is lost."""

from datetime import timedelta

from vendrail.api.identity import Identity, PeopleQuery, Permission, Person, PersonState
from vendrail.api.notify import Message, Notify
from vendrail.domains import store
from vendrail.domains.settings import DomainsSettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Row
from vendrail.kernel.ids import derive

_LETTERS_MAX = 50
_AGAIN = timedelta(seconds=30)


class Telling:
    """Hands letters to notify; each has its id, so that none leaves twice."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        settings: DomainsSettings,
        notify: Notify,
        identity: Identity,
    ) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._notify = notify
        self._identity = identity

    async def tell(self) -> bool:
        """Hand on what is due; true: there may be more."""
        now = self._clock.now()
        async with self._db.transaction() as tx:
            rows = await store.claim_letters(tx, now, now + _AGAIN, _LETTERS_MAX)
        if not rows:
            return False
        letters = [letter for row in rows for letter in await self._letters(row)]
        if letters:
            await self._notify.send_messages(letters)
        async with self._db.transaction() as tx:
            await store.drop_letters(tx, [row["id"] for row in rows])
        return True

    async def _letters(self, row: Row) -> list[Message]:
        [people] = await self._identity.list_people([PeopleQuery(row["merchant"])])
        site = self._settings.public_url.rstrip("/")
        values = {
            "step": row["step"],
            "host": row["host"],
            "days": str(self._settings.lost_after_days),
            "link": f"{site}/merchant/domains",
        }
        return [
            Message(
                derive(row["id"], f"to:{person.id}"), person.email, "domain", person.locale, values
            )
            for person in people
            if _is_told(person, row)
        ]


def _is_told(person: Person, row: Row) -> bool:
    return person.state is PersonState.ACTIVE and any(
        each.merchant == row["merchant"] and Permission.SHOP_WRITE in each.permissions
        for each in person.memberships
    )
