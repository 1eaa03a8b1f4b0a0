"""Telling: letters to suppliers and agents about what the other side has done."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.identity import Identity, PeopleQuery, Permission, Person, PersonState
from vendrail.api.notify import Message, MessageStatus, Notify
from vendrail.catalog.store import agencynews as store
from vendrail.catalog.store.agencynews import KeptNews, News, Sold
from vendrail.kernel.db import Database, Transaction
from vendrail.kernel.ids import derive

_ROWS_MAX = 500
_TITLES_MAX = 10
_TITLES_LENGTH_MAX = 1_500


async def note_lost(tx: Transaction, before: Sequence[Sold], step: str, now: datetime) -> None:
    """Have agents told whose listings are for sale in fewer currencies than before, or in none."""
    if not before:
        return
    found = await store.load_sold(tx, [], [], [each.variant for each in before])
    after = {each.variant: each.prices_minor for each in found}
    lost = [
        News(each.agent, each.supplier, each.agent, step, each.variant)
        for each in before
        if not each.prices_minor.keys() <= after.get(each.variant, {}).keys()
    ]
    await store.put_news(tx, lost, now)


class AgencyTelling:
    """Tells of agencies and listings; whatever breaks off is told again under the same numbers."""

    def __init__(self, db: Database, identity: Identity, notify: Notify, public_url: str) -> None:
        self._db = db
        self._identity = identity
        self._notify = notify
        self._link = f"{public_url.rstrip('/')}/merchant/agents"

    async def tell_due(self) -> bool:
        """Write what nobody was told of; true: there may be more."""
        async with self._db.reading() as tx:
            found = await store.list_news(tx, _ROWS_MAX)
        if not found:
            return False
        groups: dict[tuple[UUID, UUID, UUID, str], list[KeptNews]] = {}
        for each in found:
            if each.is_so:  # What is so no more was taken back before anybody heard of it.
                key = (each.merchant, each.supplier, each.agent, each.step)
                groups.setdefault(key, []).append(each)
        await self._write(list(groups.values()))
        async with self._db.transaction() as tx:
            await store.drop_news(tx, [each.id for each in found])
        return len(found) == _ROWS_MAX

    async def _write(self, groups: Sequence[Sequence[KeptNews]]) -> None:
        if not groups:
            return
        teams = await self._identity.list_people(
            [PeopleQuery(group[0].merchant) for group in groups]
        )
        letters = [
            self._letter(group, person)
            for group, team in zip(groups, teams, strict=True)
            for person in team
            if _is_told(person, group[0].merchant)
        ]
        if letters:
            statuses = await self._notify.send_messages(letters)
            assert MessageStatus.TEMPLATE_UNKNOWN not in statuses

    def _letter(self, group: Sequence[KeptNews], person: Person) -> Message:
        newest = group[-1]
        titles = [each.title for each in group[:_TITLES_MAX] if each.title]
        values = {
            "step": newest.step,
            "name": newest.name,
            "titles": "\n".join(titles)[:_TITLES_LENGTH_MAX],
            "more": str(max(0, len(group) - _TITLES_MAX)),
            "link": f"{self._link}/goods" if newest.title else self._link,
        }
        id = derive(newest.id, f"to:{person.id}")
        return Message(id, person.email, "agency", person.locale, values)


def _is_told(person: Person, merchant: UUID) -> bool:
    return person.state is PersonState.ACTIVE and any(
        each.merchant == merchant and Permission.PRODUCTS_READ in each.permissions
        for each in person.memberships
    )
