"""Telling: letters to who keeps a shop, when its domain's proof is missed and when it is lost.

What a look has proven or lost by itself is in the log as well: nobody was there who did it.
"""

from datetime import timedelta

from vendrail.api.identity import (
    Act,
    Actor,
    ActorKind,
    Identity,
    PeopleQuery,
    Permission,
    Person,
    PersonState,
)
from vendrail.api.notify import Message, Notify
from vendrail.domains import store
from vendrail.domains.settings import DomainsSettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Row
from vendrail.kernel.ids import derive, to_serial

_LETTERS_MAX = 50
_AGAIN = timedelta(seconds=30)
_BY = Actor(ActorKind.SYSTEM, None, "domains")
_ACTS = {"proven": "domain.proven", "lost": "domain.lost"}  # By step.
_SILENT = "proven"  # Good news that nobody waits for in a letter.


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
        acts = [_act(row) for row in rows if row["step"] in _ACTS]
        if acts:
            await self._identity.record_acts(acts)
        told = [row for row in rows if row["step"] != _SILENT]
        letters = [letter for row in told for letter in await self._letters(row)]
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


def _act(row: Row) -> Act:
    shop, merchant = row["shop"], row["merchant"]
    subject = f"shop:{to_serial(shop)}" if shop else f"merchant:{to_serial(merchant)}"
    id, host = derive(row["id"], "act"), {"host": row["host"]}
    is_lost = row["step"] == "lost"
    act = _ACTS[row["step"]]
    return Act(
        id,
        _BY,
        act,
        subject,
        merchant,
        before=host if is_lost else {},
        after={} if is_lost else host,
    )


def _is_told(person: Person, row: Row) -> bool:
    return person.state is PersonState.ACTIVE and any(
        each.merchant == row["merchant"] and Permission.SHOP_WRITE in each.permissions
        for each in person.memberships
    )
