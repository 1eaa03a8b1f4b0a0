"""Telling: letters to a merchant's owners about what became of their dossier."""

from datetime import timedelta

from vendrail.api.identity import Identity, PeopleQuery, Permission, Person, PersonState
from vendrail.api.notify import Message, Notify
from vendrail.compliance import store
from vendrail.compliance.service.ground import Ground, LetterFacts
from vendrail.kernel.codec import decode
from vendrail.kernel.db import Row
from vendrail.kernel.ids import derive

_LETTERS_MAX = 50
_AGAIN = timedelta(seconds=30)


class Telling:
    """Hands letters to notify; each has its id, so that none leaves twice."""

    def __init__(self, ground: Ground, notify: Notify, identity: Identity) -> None:
        self._ground = ground
        self._notify = notify
        self._identity = identity

    async def tell(self) -> bool:
        """Hand on what is due; true: there may be more."""
        now = self._ground.clock.now()
        async with self._ground.db.transaction() as tx:
            rows = await store.claim_letters(tx, now, now + _AGAIN, _LETTERS_MAX)
        if not rows:
            return False
        letters = [letter for row in rows for letter in await self._letters(row)]
        if letters:
            await self._notify.send_messages(letters)
        async with self._ground.db.transaction() as tx:
            await store.drop_letters(tx, [row["id"] for row in rows])
        return True

    async def _letters(self, row: Row) -> list[Message]:
        [people] = await self._identity.list_people([PeopleQuery(row["merchant"])])
        facts = decode(row["facts"], LetterFacts)
        site = self._ground.settings.public_url.rstrip("/")
        values = {
            "step": row["step"],
            "day": facts.day,
            "note": facts.note,
            "link": f"{site}/merchant/verification",
        }
        return [
            Message(
                derive(row["id"], f"to:{person.id}"),
                person.email,
                "verification",
                person.locale,
                values,
            )
            for person in people
            if _is_told(person, row)
        ]


def _is_told(person: Person, row: Row) -> bool:
    return person.state is PersonState.ACTIVE and any(
        each.merchant == row["merchant"] and Permission.VERIFICATION_WRITE in each.permissions
        for each in person.memberships
    )
