"""Saved filters of the consoles' lists: each person's own, and what a team shares."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.identity import (
    FILTERS_MAX,
    FilterChange,
    FilterQuery,
    FilterStatus,
    Permission,
    Person,
    SavedFilter,
)
from vendrail.api.identity.filters import FILTERS_PER_PERSON_MAX
from vendrail.identity import decide
from vendrail.identity.service.ground import Ground
from vendrail.identity.store import filters, people
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Transaction


class FiltersService:
    """What people want to see again."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def list_filters(self, queries: Sequence[FilterQuery]) -> list[list[SavedFilter]]:
        """List the filters that people find saved for lists of a console, by name."""
        async with self._ground.db.reading() as tx:
            found = await people.load_people(tx, sorted({query.person for query in queries}))
            return [
                await filters.list_filters(tx, query)
                if _works_at(found.get(query.person), query.merchant)
                else []
                for query in queries
            ]

    async def save_filters(self, saved: Sequence[SavedFilter]) -> list[FilterStatus]:
        """Save filters of lists for the people who asked; the same id is saved once."""
        return [await self._save_filter(each) for each in saved]

    async def _save_filter(self, asked: SavedFilter) -> FilterStatus:
        new = replace(asked, name=" ".join(asked.name.split()))
        if (status := decide.save_filter(new)) is not FilterStatus.DONE:
            return status
        async with self._ground.db.transaction() as tx:
            await people.lock_place(tx, new.merchant)  # What is shared there is counted.
            await people.lock_person(tx, new.person)
            if not _works_at(await self._person(tx, new.person), new.merchant):
                return FilterStatus.NOT_ALLOWED
            known = await filters.load_filter(tx, new.person, new.id)
            if known is not None:
                is_theirs = known.person == new.person
                return FilterStatus.DONE if is_theirs else FilterStatus.NOT_FOUND
            if await filters.has_name(tx, new):
                return FilterStatus.NAME_TAKEN
            if await self._is_full(tx, new):
                return FilterStatus.FULL
            await filters.add_filter(tx, new, self._ground.clock.now())
            if new.is_default:
                await filters.put_default(tx, new.person, new)
        return FilterStatus.DONE

    async def _is_full(self, tx: Transaction, new: SavedFilter) -> bool:
        if new.is_shared and await filters.is_shared_full(tx, new.merchant, new.page):
            return True
        own = await filters.count_filters(tx, new.person, new.merchant, new.page)
        everywhere = await filters.count_filters(tx, new.person, None, "")
        return own >= FILTERS_MAX or everywhere >= FILTERS_PER_PERSON_MAX

    async def change_filters(self, changes: Sequence[FilterChange]) -> list[FilterStatus]:
        """Name filters anew and share them, or no more: one's own, or shared ones by who staffs."""
        return [await self._change_filter(each) for each in changes]

    async def _change_filter(self, asked: FilterChange) -> FilterStatus:
        change = replace(asked, name=" ".join(asked.name.split()))
        if not decide.is_filter_name(change.name):
            return FilterStatus.NAME_MALFORMED
        async with self._ground.db.transaction() as tx:
            known = await self._changeable(tx, change.person, change.filter)
            if known is None:
                return FilterStatus.NOT_FOUND
            if await filters.has_name(tx, replace(known, name=change.name)):
                return FilterStatus.NAME_TAKEN
            is_more = change.is_shared and not known.is_shared
            if is_more and await filters.is_shared_full(tx, known.merchant, known.page):
                return FilterStatus.FULL
            await filters.change_filter(tx, change)
        return FilterStatus.DONE

    async def drop_filters(self, drops: Sequence[tuple[UUID, UUID]]) -> list[FilterStatus]:
        """Remove filters, each (person, filter), as they may be changed."""
        statuses = []
        async with self._ground.db.transaction() as tx:
            for person, filter in drops:
                known = await self._changeable(tx, person, filter)
                if known is not None:
                    await filters.drop_filter(tx, filter)
                statuses.append(FilterStatus.DONE if known else FilterStatus.NOT_FOUND)
        return statuses

    async def choose_default_filters(
        self, choices: Sequence[tuple[UUID, UUID, bool]]
    ) -> list[FilterStatus]:
        """Say, each (person, filter, whether), by which filter a person's list opens."""
        statuses = []
        async with self._ground.db.transaction() as tx:
            for person, filter, is_chosen in choices:
                known = await self._seen(tx, person, filter)
                if known is not None and is_chosen:
                    await filters.put_default(tx, person, known)
                elif known is not None:
                    await filters.drop_default(tx, person, filter)
                statuses.append(FilterStatus.DONE if known else FilterStatus.NOT_FOUND)
        return statuses

    async def _seen(self, tx: Transaction, person: UUID, filter: UUID) -> SavedFilter | None:
        """Give a filter that a person finds in a console in which they work."""
        known = await filters.load_filter(tx, person, filter)
        if known is None or not (known.is_shared or known.person == person):
            return None
        return known if _works_at(await self._person(tx, person), known.merchant) else None

    async def _changeable(self, tx: Transaction, person: UUID, filter: UUID) -> SavedFilter | None:
        """Give a filter that a person may change: their own, or a shared one where they staff."""
        known = await self._seen(tx, person, filter)
        if known is None or known.person == person:
            return known
        found = await self._person(tx, person)
        there = decide.membership_at(found, known.merchant) if found else None
        return known if there and Permission.STAFF_WRITE in there.permissions else None

    @staticmethod
    async def _person(tx: Transaction, person: UUID) -> Person | None:
        return (await people.load_people(tx, [person])).get(person)


def _works_at(person: Person | None, merchant: UUID | None) -> bool:
    return person is not None and decide.membership_at(person, merchant) is not None
