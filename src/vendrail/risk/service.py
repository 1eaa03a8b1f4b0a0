"""Risk's service: load, decide, save."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.risk import (
    ListEntry,
    Review,
    ReviewQuery,
    RiskAnswer,
    RiskLimits,
    RiskQuestion,
    Verdict,
    VerdictStatus,
    subject_hash,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Database, Retry, Transaction
from vendrail.kernel.errors import Malformed
from vendrail.kernel.vault import Vault
from vendrail.risk import decide, rules, store
from vendrail.risk.rules import Rulebook
from vendrail.risk.settings import RiskSettings
from vendrail.risk.tally import Tally

_TRIES = 5
_FORGOTTEN_MAX = 5_000
_PAGE_MAX = 1_000


class RiskService:
    """Fulfils `api.risk.Risk`."""

    def __init__(self, db: Database, vault: Vault, clock: Clock, settings: RiskSettings) -> None:
        self._db = db
        self._vault = vault
        self.clock = clock
        self._settings = settings
        self._rulebook: Rulebook | None = None
        self._looked_at: datetime | None = None
        self._looking = asyncio.Lock()

    async def screen_orders(self, questions: Sequence[RiskQuestion]) -> list[RiskAnswer]:
        """Say whether orders may be placed: only lists and hard limits refuse. Keeps nothing."""
        rulebook = await self._look()
        now = self.clock.now()
        return [rules.screen(question, rulebook, now) for question in questions]

    async def weigh_orders(self, questions: Sequence[RiskQuestion]) -> list[RiskAnswer]:
        """Say what would be said of payments; each by itself, and nothing is kept or counted."""
        rulebook = await self._look()
        hour = rules.hour_of(self.clock.now())
        numbers = {each.number for question in questions for each in rules.subjects_of(question)}
        async with self._db.reading() as tx:
            slots = await store.read_slots(tx, sorted(numbers), rules.day_of(hour))
        return [rules.weigh(question, rulebook, slots, hour) for question in questions]

    async def assess_payments(self, questions: Sequence[RiskQuestion]) -> list[RiskAnswer]:
        """Say whether paid orders may be delivered; the first answer of an order is kept for ever.

        A verdict on a review takes its place. Items of one batch see each other, in order.
        """
        rulebook = await self._look()
        asked = list({question.order: question for question in reversed(questions)}.values())
        asked.reverse()
        for _ in range(_TRIES):
            try:
                kept = await self._assess(asked, rulebook)
                break
            except Retry:
                # A rival has just answered for one of them: that answer is there now.
                await asyncio.sleep(0)
        else:
            kept = await self._assess(asked, rulebook)
        return [kept[question.order] for question in questions]

    async def _assess(
        self, asked: Sequence[RiskQuestion], rulebook: Rulebook
    ) -> dict[UUID, RiskAnswer]:
        now = self.clock.now()
        async with self._db.transaction() as tx:
            kept = await store.load_answers(tx, [question.order for question in asked])
            new = [question for question in asked if question.order not in kept]
            if not new:
                return kept
            tally = Tally(new, rules.hour_of(now))
            await self._count(tx, tally)
            answers = tally.answers(rulebook)
            await store.add_answers(tx, new, answers, now)
            excesses = tally.excesses(rulebook)
            if excesses:
                await store.add_excesses(tx, excesses)
                self._looked_at = None
        kept |= {question.order: answer for question, answer in zip(new, answers, strict=True)}
        return kept

    async def _count(self, tx: Transaction, tally: Tally) -> None:
        """Add the batch to the counts: one statement, or one more for each further currency."""
        for round_ in tally.rounds():
            slots = await store.count_orders(tx, round_, rules.day_of(tally.hour), tally.hour)
            tally.learn(slots)

    async def settle_reviews(self, verdicts: Sequence[Verdict]) -> list[VerdictStatus]:
        """Record what people decided."""
        async with self._db.transaction() as tx:
            reviews = await store.lock_reviews(tx, [verdict.order for verdict in verdicts])
            statuses, settled = decide.settle(verdicts, reviews)
            if settled:
                await store.settle_reviews(tx, settled, self.clock.now())
        return statuses

    async def list_reviews(self, queries: Sequence[ReviewQuery]) -> list[list[Review]]:
        """List orders that wait for a person; few pages and each its own, so one by one."""
        async with self._db.reading() as tx:
            return [
                await store.list_reviews(
                    tx, replace(query, reviews_max=max(0, min(query.reviews_max, _PAGE_MAX)))
                )
                for query in queries
            ]

    async def read_reviews(self, orders: Sequence[UUID]) -> list[Review | None]:
        """Read the reviews of orders that wait for a person; None for those that do not."""
        async with self._db.reading() as tx:
            found = await store.load_reviews(tx, orders)
        return [found.get(order) for order in orders]

    async def put_list_entries(self, entries: Sequence[ListEntry]) -> list[bool]:
        """Put subjects on lists; true where it is new."""
        if not entries:
            return []
        hashed = [self._hash(entry.subject) for entry in entries]
        last = dict(zip(hashed, entries, strict=True))
        async with self._db.transaction() as tx:
            added = await store.put_list_entries(
                tx,
                list(last),
                [entry.kind for entry in last.values()],
                [entry.reason for entry in last.values()],
                self.clock.now(),
            )
        self._looked_at = None
        return decide.first_of_each(hashed, added)

    async def remove_list_entries(self, subjects: Sequence[str]) -> list[bool]:
        """Take subjects off all lists; true where one was there."""
        if not subjects:
            return []
        hashed = [self._hash(subject) for subject in subjects]
        async with self._db.transaction() as tx:
            removed = await store.remove_list_entries(tx, hashed)
        self._looked_at = None
        return decide.first_of_each(hashed, removed)

    async def put_limits(self, limits: RiskLimits) -> None:
        """Set the limits."""
        decide.check_limits(limits)
        async with self._db.transaction() as tx:
            await store.put_limits(tx, limits)
        self._looked_at = None

    async def forget(self) -> bool:
        """Delete some of what is too old to count; true: there is more."""
        now = self.clock.now()
        day = rules.day_of(rules.hour_of(now)) - max(2, self._settings.velocity_days)
        return await store.forget(self._db, day, now, _FORGOTTEN_MAX)

    def _hash(self, subject: str) -> str:
        """Give the form in which a subject is kept and looked up."""
        parted = decide.part_subject(subject)
        if parted is None:
            raise Malformed(
                f"{subject!r} names nobody; write contact:…, address:… or device:… and a value."
            )
        kind, value = parted
        return f"{kind}:{subject_hash(self._vault, kind, value)}"

    async def _look(self) -> Rulebook:
        """Give limits, lists and excesses as they were at most a moment ago."""
        now = self.clock.now()
        life = timedelta(seconds=self._settings.look_again_s)
        async with self._looking:
            known, looked_at = self._rulebook, self._looked_at
            if known is not None and looked_at is not None and now - looked_at < life:
                return known
            async with self._db.reading() as tx:
                self._rulebook = await store.load_rulebook(tx, known, now)
            self._looked_at = now
            return self._rulebook
