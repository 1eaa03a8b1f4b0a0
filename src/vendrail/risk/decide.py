"""What may happen to reviews, lists and limits. Pure."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import msgspec

from vendrail.api.risk import RiskDecision, RiskLimits, Verdict, VerdictStatus
from vendrail.kernel.errors import Malformed
from vendrail.risk.rules import KeptReview

_SUBJECT_KINDS = ("contact", "address", "device")


def settle(
    verdicts: Sequence[Verdict], reviews: Mapping[UUID, KeptReview]
) -> tuple[list[VerdictStatus], list[Verdict]]:
    """Say how settling each review ends, item k seeing k−1; give the verdicts that count."""
    standing = dict(reviews)
    statuses: list[VerdictStatus] = []
    settled: list[Verdict] = []
    for verdict in verdicts:
        review = standing.get(verdict.order)
        if verdict.decision is RiskDecision.REVIEW or not verdict.person.strip():
            statuses.append(VerdictStatus.DECISION_MALFORMED)
        elif review is None:
            statuses.append(VerdictStatus.REVIEW_NOT_FOUND)
        elif review.decision is None:
            standing[verdict.order] = KeptReview(verdict.decision)
            settled.append(verdict)
            statuses.append(VerdictStatus.SETTLED)
        elif review.decision is verdict.decision:
            statuses.append(VerdictStatus.EXISTS)
        else:
            statuses.append(VerdictStatus.EXISTS_DIFFERENT)
    return statuses, settled


def part_subject(subject: str) -> tuple[str, str] | None:
    """Part `contact:…` into kind and cleaned value, as orders cleans it; None: it names nobody."""
    kind, _, value = subject.partition(":")
    value = value.strip()
    if kind not in _SUBJECT_KINDS or not value:
        return None
    if kind == "contact":
        value = value.lower() if "@" in value else value.replace(" ", "").replace("-", "")
    return kind, value


def first_of_each(subjects: Sequence[str], changed: Collection[str]) -> list[bool]:
    """Answer for each subject whether it changed; a repeat in one batch has changed nothing."""
    left = set(changed)
    answers = []
    for subject in subjects:
        answers.append(subject in left)
        left.discard(subject)
    return answers


def check_limits(limits: RiskLimits) -> None:
    """Refuse limits below zero, and soft limits above the hard ones they warn of."""
    values = msgspec.structs.asdict(limits)
    for name, value in values.items():
        if value < 0:
            raise Malformed(f"{name} must be 0 (no limit) or more.")
        hard = values["refuse_" + name.removeprefix("review_")] if "review_" in name else 0
        if hard and value > hard:
            raise Malformed(f"{name} is above the limit at which orders are refused.")
