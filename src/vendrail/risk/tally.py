"""A batch's orders counted subject by subject: item k sees k−1, and what was there before. Pure.

Nearly every order is far from every limit, and counts only grow: where a subject's total after the
whole batch is within the soft limits, no order of the batch need be looked at because of it.
"""

from collections.abc import Iterator, Mapping, Sequence

from vendrail.api.risk import RiskAnswer, RiskDecision, RiskQuestion
from vendrail.risk import rules
from vendrail.risk.rules import Excess, Rulebook, Slot, Subject, SubjectKind, Total

_ALLOWED = RiskAnswer(RiskDecision.ALLOW)
_BUYER = SubjectKind.BUYER


class Tally:
    """Counts a batch, then answers for each of its orders in turn."""

    def __init__(self, questions: Sequence[RiskQuestion], hour: int) -> None:
        self.hour = hour
        self._questions = questions
        # Buyers' orders and amounts by currency; the others' orders alone.
        self._buyers: dict[tuple[int, int], list[int]] = {}
        self._others: dict[Subject, int] = {}
        buyers, others = self._buyers, self._others
        for question in questions:
            for subject in rules.subjects_of(question):
                number, kind = subject
                if kind is not _BUYER:
                    others[subject] = others.get(subject, 0) + 1
                    continue
                key = (number, rules.currency_number(question.currency))
                sums = buyers.get(key)
                if sums is None:
                    buyers[key] = [1, question.amount_minor]
                else:
                    sums[0] += 1
                    sums[1] += question.amount_minor
        self._slots: dict[int, list[int]] = {}
        self._near: dict[Subject, _Running] = {}

    def rounds(self) -> Iterator[list[Slot]]:
        """Give what is to be added, each subject once a round; nearly always there is one.

        Buyers come first, and what is 1 comes last: the store need not send it.
        """
        others = sorted(self._others.items(), key=lambda item: -item[1])
        left = [Slot(key[0], key[1], sums[0], sums[1]) for key, sums in self._buyers.items()]
        added = [Slot(subject.number, 0, orders, 0) for subject, orders in others]
        while left or added:
            taken: dict[int, Slot] = {}
            for slot in left:
                taken.setdefault(slot.subject, slot)
            later = [slot for slot in left if taken[slot.subject] is not slot]
            yield [*taken.values(), *added]
            left, added = later, []

    def learn(self, slots: Mapping[int, list[int]]) -> None:
        """Take in what stands after the batch was added; who is not there was not known before."""
        self._slots.update(slots)

    def answers(self, rulebook: Rulebook) -> list[RiskAnswer]:
        """Decide the orders, each with all orders before it counted, and none after it."""
        self._near = self._find_near(rulebook)
        if not self._near and not rulebook.entries:
            return [_ALLOWED] * len(self._questions)
        return [self._answer(question, rulebook) for question in self._questions]

    def _find_near(self, rulebook: Rulebook) -> dict[Subject, "_Running"]:
        """Find subjects that are above a soft limit, or on a hard one, by the end of the batch."""
        found: dict[Subject, _Running] = {}
        ceiling = rulebook.ceiling(_BUYER)
        for (number, currency), (orders, amount) in self._buyers.items():
            slots = self._slots.get(number)
            after = Total(orders, amount)
            if slots is not None:
                after = rules.total(slots, self.hour, currency)
            if rules.is_near(after, ceiling):
                found[Subject(number, _BUYER)] = _Running(self._orders_before(number))
        ceilings = {kind: rulebook.ceiling(kind) for kind in SubjectKind}
        for subject, orders in self._others.items():
            slots = self._slots.get(subject.number)
            after = Total(orders, 0) if slots is None else rules.total(slots, self.hour, 0)
            if rules.is_near(after, ceilings[subject.kind]):
                found[subject] = _Running(after.orders - orders)
        return found

    def _orders_before(self, number: int) -> int:
        slots = self._slots.get(number)
        if slots is None:
            return 0
        batch = sum(sums[0] for key, sums in self._buyers.items() if key[0] == number)
        return rules.total(slots, self.hour, 0).orders - batch

    def _amount_before(self, number: int, currency: int) -> int:
        slots = self._slots.get(number)
        if slots is None:
            return 0
        after = rules.total(slots, self.hour, currency).amount_minor
        return after - self._buyers[number, currency][1]

    def _answer(self, question: RiskQuestion, rulebook: Rulebook) -> RiskAnswer:
        reasons: list[str] = []
        is_refused = False
        for subject in rules.subjects_of(question):
            running = self._near.get(subject)
            if running is None:
                continue
            so_far = self._add(running, subject, question)
            ceiling = rulebook.ceiling(subject.kind)
            above, is_hard = rules.reasons_above(subject.kind, so_far, ceiling)
            reasons += above
            is_refused = is_refused or is_hard
        lists = rules.listed(question, rulebook.entries)
        return rules.answer(lists, reasons, is_refused=is_refused)

    def _add(self, running: "_Running", subject: Subject, question: RiskQuestion) -> Total:
        """Count one order for one subject; give the subject's total with it."""
        running.orders += 1
        if subject.kind is not _BUYER:
            return Total(running.orders, 0)
        currency = rules.currency_number(question.currency)
        if currency not in running.amounts:
            running.amounts[currency] = self._amount_before(subject.number, currency)
        running.amounts[currency] += question.amount_minor
        return Total(running.orders, running.amounts[currency])

    def excesses(self, rulebook: Rulebook) -> list[Excess]:
        """Name subjects that have reached a hard limit, where that is not known yet."""
        found: list[Excess] = []
        for subject, running in self._near.items():
            ceiling = rulebook.ceiling(subject.kind)
            for currency, amount in (running.amounts or {0: 0}).items():
                if not rules.has_reached(Total(running.orders, amount), ceiling):
                    continue
                slots = self._slots.get(subject.number) or self._own_slots(subject, running)
                until = rules.excess_until(slots, self.hour, currency, ceiling)
                known = rulebook.excesses.get(subject.number)
                if known is None or known[1] < until:
                    found.append(Excess(subject.number, f"limit_per_{subject.kind}", until))
                    break
        return found

    def _own_slots(self, subject: Subject, running: "_Running") -> list[int]:
        """Write what the batch alone has bought, where nothing was there before."""
        if subject.kind is not _BUYER:
            return [self.hour, 0, running.orders, 0]
        return [
            value
            for (number, currency), sums in self._buyers.items()
            if number == subject.number
            for value in (self.hour, currency, *sums)
        ]


class _Running:
    """A subject's orders, and a buyer's amounts by currency, up to the order being decided."""

    __slots__ = ("amounts", "orders")

    def __init__(self, orders: int) -> None:
        self.orders = orders
        self.amounts: dict[int, int] = {}
