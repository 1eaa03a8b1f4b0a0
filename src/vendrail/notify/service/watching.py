"""Watching: what begins to stand is told once to those who can do something about it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.catalog import Catalog, LowStockQuery, MerchantId
from vendrail.api.identity import Identity, PeopleQuery, Person
from vendrail.api.orders import Orders, SagaQuery
from vendrail.api.payments import Payments, UnmatchedQuery
from vendrail.kernel.codec import Record, decode, encode
from vendrail.kernel.db import Transaction
from vendrail.kernel.ids import derive, new_id
from vendrail.kernel.saga import SagaState
from vendrail.notify import concerns, store
from vendrail.notify.concerns import LIFE_S, TEMPLATES, Concern
from vendrail.notify.decide import RANK_NEWS, is_address
from vendrail.notify.service.chats import Chats
from vendrail.notify.service.news import Draft
from vendrail.notify.service.room import Means, Room
from vendrail.notify.store import DueMessage, NewMessage

_MERCHANTS_MAX = 10_000
_MERCHANTS_AT_ONCE = 200
_VARIANTS_MAX = 200
_SAGAS_MAX = 1_000
_CAPTURES_MAX = 1_000


class ConcernFacts(Record, frozen=True):
    """What a letter to staff is about, and who reads it; what it says is read as it leaves."""

    person: UUID
    keys: list[str]


class Watching(Room):
    """Looks at what stands, keeps letters of what is new, and writes them when they leave."""

    def __init__(
        self,
        means: Means,
        orders: Orders,
        catalog: Catalog,
        identity: Identity,
        payments: Payments,
        linked: Chats,
    ) -> None:
        super().__init__(means)
        self._linked = linked
        self._orders = orders
        self._catalog = catalog
        self._identity = identity
        self._payments = payments

    async def look(self) -> bool:
        """Look once: what is new is told, what has ended is forgotten. Never more to do at once."""
        began = self._clock.now()
        standing = await self._stand()
        async with self._db.reading() as tx:
            told = await store.load_concern_keys(tx)
            muted = await _load_muted(tx, standing)
        if not (standing or told):
            return False
        new = [each for each in standing if each.is_begun and each.key not in told]
        known = [each for each in standing if each.key in told]
        people = await self._people({each.place for each in new})
        ways = await self._linked.ways(
            {(TEMPLATES[each.kind], person.email) for each in new for person in people[each.place]}
        )
        async with self._db.transaction() as tx:
            # What another process has seen begin since we looked is not ours to end.
            await store.end_concerns(tx, [each.key for each in standing], began)
            added = await store.put_concerns(tx, [*new, *known], began)
            mine = [each for each in new if each.key in added and not _is_muted(each, muted)]
            written, unread = _letters(mine, people, began)
            planned = [self._linked.planned(row, address, ways) for row, address in written]
            rows = [each for pair in planned for each in pair if each is not None]
            if rows:
                await store.add_messages(tx, rows, None, began)
        self._metrics.count_each(
            "vendrail_letters_total", [(template, "no_address") for template in unread]
        )
        if rows:
            self._wakeups.wake("notify")
        return False

    async def _stand(self) -> list[Concern]:
        now, settings = self._clock.now(), self._settings
        stuck, oldest = await self._orders.list_sagas(
            [SagaQuery(SagaState.STUCK, sagas_max=_SAGAS_MAX), SagaQuery(sagas_max=_SAGAS_MAX)]
        )
        sagas = {each.id: each for each in (*stuck, *oldest)}
        found = concerns.of_sagas(sagas.values(), now, settings.saga_wait_s)
        [unmatched] = await self._payments.list_unmatched(
            [UnmatchedQuery(captures_max=_CAPTURES_MAX)]
        )
        found += concerns.of_captures(unmatched, now, settings.unmatched_wait_s)
        accounts = await self._payments.list_channels()
        health = await self._payments.read_health([each.id for each in accounts])
        seen = zip(accounts, health, strict=True)
        found += concerns.of_channels(seen, now, settings.channel_wait_s)
        async with self._db.reading() as tx:
            found += concerns.of_checks(await store.load_reports(tx))
        merchants = await self._identity.list_merchants(_MERCHANTS_MAX, None)
        for begin in range(0, len(merchants), _MERCHANTS_AT_ONCE):
            part = merchants[begin : begin + _MERCHANTS_AT_ONCE]
            queries = [
                LowStockQuery(
                    MerchantId(each.id),
                    max(0, settings.low_stock_max),
                    _VARIANTS_MAX,
                    factor=concerns.STOCK_OVER_FACTOR,
                )
                for each in part
            ]
            for merchant, low in zip(
                part, await self._catalog.list_low_stock(queries), strict=True
            ):
                found += concerns.of_stock(merchant.id, low)
        return found

    async def _people(self, places: set[UUID | None]) -> dict[UUID | None, list[Person]]:
        asked = list(places)
        found = await self._identity.list_people([PeopleQuery(place) for place in asked])
        return dict(zip(asked, found, strict=True))

    async def write(self, messages: Sequence[DueMessage]) -> list[Draft | None]:
        """Write letters of what still stands; None where all of it has ended."""
        facts = [decode(each.facts or b"", ConcernFacts) for each in messages]
        async with self._db.reading() as tx:
            standing = await store.load_concerns(tx, {key for each in facts for key in each.keys})
            muted = await _load_muted(tx, standing.values())
        standing = {key: each for key, each in standing.items() if not _is_muted(each, muted)}
        people = await self._people({each.place for each in standing.values()})
        return [self._draft(each, standing, people) for each in facts]

    def _draft(
        self,
        facts: ConcernFacts,
        standing: Mapping[str, Concern],
        people: Mapping[UUID | None, Sequence[Person]],
    ) -> Draft | None:
        found = [standing[key] for key in facts.keys if key in standing]
        if not found:
            return None
        place = found[0].place
        person = next((each for each in people[place] if each.id == facts.person), None)
        if person is None or not (own := concerns.readable(person, place, found)):
            return None  # Whoever it was written for is not here any more.
        link = f"{self._settings.public_url.rstrip('/')}/console"
        return Draft(person.email, person.locale, {**concerns.values(own), "link": link})


async def _load_muted(tx: Transaction, found: Iterable[Concern]) -> set[tuple[UUID, str]]:
    merchants = {each.place for each in found if each.place is not None}
    return await store.load_muted(tx, merchants) if merchants else set()


def _is_muted(each: Concern, muted: set[tuple[UUID, str]]) -> bool:
    return each.place is not None and (each.place, TEMPLATES[each.kind]) in muted


def _letters(
    found: Sequence[Concern], people: Mapping[UUID | None, Sequence[Person]], now: datetime
) -> tuple[list[tuple[NewMessage, str]], list[str]]:
    """Give one letter and address for each reader and template, and what nobody reads."""
    groups: dict[tuple[UUID | None, str], list[Concern]] = {}
    for each in found:
        groups.setdefault((each.place, TEMPLATES[each.kind]), []).append(each)
    rows: list[tuple[NewMessage, str]] = []
    unread: list[str] = []
    for (place, template), group in groups.items():
        readers = [
            (person, own)
            for person in people[place]
            if is_address(person.email) and (own := concerns.readable(person, place, group))
        ]
        if not readers:
            unread.append(template)
        for person, own in readers:
            facts = ConcernFacts(person.id, [each.key for each in own])
            row = NewMessage(
                new_id(now),
                template,
                None,
                now + timedelta(seconds=LIFE_S),
                derive(person.id, f"letters:{place}"),
                RANK_NEWS,
                subject=place,
                facts=encode(facts),
            )
            rows.append((row, person.email))
    return rows, unread
