"""What may happen to a dossier, and why not. Pure."""

from collections.abc import Collection
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from vendrail.api.compliance import (
    CHECKS,
    DOCUMENTS,
    FIELDS,
    PERSON,
    REASONS,
    TIERS,
    DecideStatus,
    DossierDecision,
    DossierState,
    DossierVerdict,
    SaveDossier,
    SaveStatus,
    TermsChange,
)
from vendrail.kernel.machine import IMPOSSIBLE, Machine
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS

FIELD_LENGTH_MAX = 300
NOTE_LENGTH_MAX = 500
DOCUMENTS_MAX = 12
DOCUMENT_BYTES_MAX = 5_000_000
DOSSIER_BYTES_MAX = 25_000_000
DOSSIERS_PER_MONTH_MAX = 10
VALID_MAX = timedelta(days=3_660)

_STATE = DossierState
OPEN = (_STATE.DRAFT, _STATE.SUBMITTED, _STATE.MORE_ASKED)
THEIRS = (_STATE.DRAFT, _STATE.MORE_ASKED)  # The merchant's turn.


class Event(StrEnum):
    """What happens to a dossier."""

    SUBMITTED = "submitted"
    MORE_ASKED = "more_asked"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    FOLLOWED = "followed"  # A later one was accepted.
    REVOKED = "revoked"
    RAN_OUT = "ran_out"


DOSSIER = Machine(
    "dossier",
    DossierState,
    Event,
    _STATE.DRAFT,
    {
        _STATE.DRAFT: {Event.SUBMITTED: _STATE.SUBMITTED},
        _STATE.SUBMITTED: {
            Event.MORE_ASKED: _STATE.MORE_ASKED,
            Event.ACCEPTED: _STATE.ACCEPTED,
            Event.REFUSED: _STATE.REFUSED,
        },
        _STATE.MORE_ASKED: {Event.SUBMITTED: _STATE.SUBMITTED, Event.REFUSED: _STATE.REFUSED},
        _STATE.ACCEPTED: {
            Event.FOLLOWED: _STATE.REPLACED,
            Event.REVOKED: _STATE.REVOKED,
            Event.RAN_OUT: _STATE.EXPIRED,
        },
    },
    otherwise=IMPOSSIBLE,
)
EVENTS = {
    DossierDecision.ACCEPT: Event.ACCEPTED,
    DossierDecision.ASK_MORE: Event.MORE_ASKED,
    DossierDecision.REFUSE: Event.REFUSED,
    DossierDecision.REVOKE: Event.REVOKED,
}


class Known(NamedTuple):
    """What of a dossier a decision depends on."""

    tier: int
    state: DossierState
    version: int


def names(listed: Collection[str]) -> dict[str, bool]:
    """Give names of fields or documents, and whether each is needed."""
    return {each.removeprefix("?"): not each.startswith("?") for each in listed}


def save(new: SaveDossier, countries: Collection[str]) -> SaveStatus:
    """Say whether what is written into a dossier can be kept at all."""
    if new.tier not in TIERS or new.tier < PERSON:
        return SaveStatus.TIER_MALFORMED
    if new.country not in countries:
        return SaveStatus.COUNTRY_MALFORMED
    known = names(FIELDS[new.tier])
    are_sound = all(
        name in known and len(text) <= FIELD_LENGTH_MAX and text.isprintable()
        for name, text in new.fields.items()
    )
    return SaveStatus.SAVED if are_sound else SaveStatus.FIELD_MALFORMED


def missing(tier: int, kinds: Collection[str]) -> list[str]:
    """Name the documents that a dossier must have and has not."""
    return [kind for kind, needed in names(DOCUMENTS[tier]).items() if needed and kind not in kinds]


def judge(verdict: DossierVerdict, known: Known | None, today: date) -> DecideStatus:
    """Say whether a dossier can be decided so."""
    if known is None:
        return DecideStatus.DOSSIER_NOT_FOUND
    if known.version != verdict.version:
        return DecideStatus.CHANGED_SINCE
    if not DOSSIER.is_possible(known.state, EVENTS[verdict.decision]):
        return DecideStatus.NOT_POSSIBLE
    if verdict.decision is not DossierDecision.ACCEPT:
        is_told = verdict.note.strip() and len(verdict.note) <= NOTE_LENGTH_MAX
        is_known = verdict.reasons and set(verdict.reasons) <= set(REASONS)
        return DecideStatus.DECIDED if is_told and is_known else DecideStatus.REASON_MISSING
    if set(verdict.checks) != set(CHECKS[known.tier]):
        return DecideStatus.CHECKS_MISSING
    ends = verdict.expires_on
    if ends is not None and not today < ends <= today + VALID_MAX:
        return DecideStatus.DAY_MALFORMED
    return DecideStatus.DECIDED


def are_sound(terms: TermsChange) -> bool:
    """Tell whether terms can be kept: a known currency, and a bound above nothing for each tier."""
    amounts = [
        each
        for bound in terms.bounds
        for each in (bound.order_minor_max, bound.month_minor_max)
        if each is not None
    ]
    is_whole = terms.currency in EXPONENTS and len(terms.bounds) == len(TIERS)
    return is_whole and all(0 < each <= AMOUNT_MINOR_MAX for each in amounts)
