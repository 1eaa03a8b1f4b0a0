"""A batch's orders counted subject by subject: item k sees k−1, and what was there before. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from vendrail.api.risk import RiskAnswer, RiskQuestion
from vendrail.risk import rules
from vendrail.risk.rules import Excess, Rulebook, Slot, Subject, SubjectKind, Total


class Tally:
    """Counts a batch, then answers for each of its orders in turn."""

    def __init__(self, questions: Sequence[RiskQuestion], hour: int) -> None:
        self.hour = hour
        self._subjects = {question.order: rules.subjects_of(question) for question in questions}
        self._added: dict[tuple[int, int], list[int]] = {}  # subject, currency -> orders, amount
        self._counts: dict[int, int] = {}  # By subject, whatever the currency.
        self._kinds: dict[int, SubjectKind] = {}
        for question in questions:
            for subject in self._subjects[question.order]:
                number = subject.number
                self._kinds[number] = subject.kind
                self._counts[number] = self._counts.get(number, 0) + 1
                amount = question.amount_minor if subject.kind is SubjectKind.BUYER else 0
                sums = self._added.setdefault(
                    (subject.number, _currency(subject, question)), [0, 0]
                )
                sums[0] += 1
                sums[1] += amount
        self._slots: Mapping[int, list[int]] = {}
        self._orders: dict[int, int] = {}
        self._amounts: dict[tuple[int, int], int] = {}

    def rounds(self) -> Iterator[list[Slot]]:
        """Give what is to be added, each subject once a round; nearly always there is one."""
        left = [Slot(*key, *sums) for key, sums in self._added.items()]
        while left:
            taken: dict[int, Slot] = {}
            for slot in left:
                taken.setdefault(slot.subject, slot)
            yield list(taken.values())
            left = [slot for slot in left if taken[slot.subject] is not slot]

    def learn(self, slots: Mapping[int, list[int]]) -> None:
        """Take in what stands after the batch was added."""
        self._slots = {**self._slots, **slots}

    def answer(self, question: RiskQuestion, rulebook: Rulebook) -> RiskAnswer:
        """Decide one order, with all orders before it counted, and none after it."""
        reasons: list[str] = []
        is_refused = False
        for subject in self._subjects[question.order]:
            so_far = self._add(subject, question)
            above, is_hard = rules.reasons_above(
                subject.kind, so_far, rulebook.ceiling(subject.kind)
            )
            reasons += above
            is_refused = is_refused or is_hard
        lists = rules.listed(question, rulebook.entries)
        return rules.answer(lists, reasons, is_refused=is_refused)

    def _add(self, subject: Subject, question: RiskQuestion) -> Total:
        """Count one order for one subject; give the subject's total with it."""
        number = subject.number
        currency = _currency(subject, question)
        if number not in self._orders:
            before = rules.total(self._slots[number], self.hour, currency)
            self._orders[number] = before.orders - self._counts[number]
        if (number, currency) not in self._amounts:
            amount = rules.total(self._slots[number], self.hour, currency).amount_minor
            self._amounts[number, currency] = amount - self._added[number, currency][1]
        self._orders[number] += 1
        if subject.kind is SubjectKind.BUYER:
            self._amounts[number, currency] += question.amount_minor
        return Total(self._orders[number], self._amounts[number, currency])

    def excesses(self, rulebook: Rulebook) -> list[Excess]:
        """Name subjects that have reached a hard limit, where that is not known yet."""
        found: dict[int, Excess] = {}
        for number, currency in self._added:
            kind = self._kinds[number]
            ceiling = rulebook.ceiling(kind)
            so_far = Total(self._orders[number], self._amounts[number, currency])
            if not rules.has_reached(so_far, ceiling):
                continue
            until = rules.excess_until(self._slots[number], self.hour, currency, ceiling)
            known = rulebook.excesses.get(number)
            if known is None or known[1] < until:
                found[number] = Excess(number, f"limit_per_{kind}", until)
        return list(found.values())


def _currency(subject: Subject, question: RiskQuestion) -> int:
    """Only buyers' amounts are added up, each currency for itself."""
    if subject.kind is SubjectKind.BUYER:
        return rules.currency_number(question.currency)
    return 0
