"""Disputes: what payers' banks take back is told with the capture it is of, and answered."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.payments import (
    DisputeTold,
)
from vendrail.api.payments.disputes import (
    DisputedCapture,
    DisputeEvidence,
    DisputeOutcome,
    EvidenceStatus,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode
from vendrail.payments.accounts import Accounts
from vendrail.payments.arriving import Letter
from vendrail.payments.channels.base import CallbackKind
from vendrail.payments.channels.disputing import DisputingChannel
from vendrail.payments.store import base, captures
from vendrail.payments.store.base import Row, Transaction

DISPUTE_TOPIC = "payments.disputes"  # Woken when a dispute was told.

_OUTCOMES = {
    CallbackKind.DISPUTED: DisputeOutcome.OPEN,
    CallbackKind.DISPUTE_WON: DisputeOutcome.WON,
    CallbackKind.DISPUTE_LOST: DisputeOutcome.LOST,
    CallbackKind.DISPUTE_DROPPED: DisputeOutcome.WON,
}
Place = tuple[UUID, str]


def is_dispute(letter: Letter) -> bool:
    """Tell whether a letter is of a dispute."""
    return letter.facts.kind in _OUTCOMES


def place_of(letter: Letter) -> Place:
    """Say by what a dispute names its capture: the channel and the provider's number."""
    return letter.account.row.id, letter.facts.provider_number


async def find_disputed(tx: Transaction, letters: Sequence[Letter]) -> Mapping[Place, Row]:
    """Find the captures that disputes are of, and whom people matched them to; mostly none."""
    places = {
        place_of(letter) for letter in letters if is_dispute(letter) and not letter.facts.mismatch
    }
    if not places:
        return {}
    channels = sorted({channel for channel, _ in places})
    numbers = sorted({number for _, number in places})
    rows = await captures.find_captures_anywhere(tx, channels, numbers)
    return {(row["channel"], row["provider_number"]): row for row in rows}


async def tell_disputes(
    tx: Transaction,
    letters: Sequence[Letter],
    outcomes: Sequence[str],
    found: Mapping[Place, Row],
    now: datetime,
) -> None:
    """Write the events of disputes that are believed."""
    told = [
        DisputeTold(
            _disputed(found[place_of(letter)], letter.account.row.name),
            letter.facts.case_number,
            _OUTCOMES[letter.facts.kind],
            letter.facts.amount_minor,
            letter.facts.currency,
            letter.facts.paid_at or now,
            letter.facts.fee_minor,
            letter.facts.problem,
            letter.facts.answer_by,
            has_taken=letter.facts.kind is not CallbackKind.DISPUTE_DROPPED,
        )
        for letter, outcome in zip(letters, outcomes, strict=True)
        if is_dispute(letter) and not outcome
    ]
    if told:
        await base.append_events(tx, now, encode(told), len(told))


async def send_evidence(
    accounts: Accounts, clock: Clock, evidence: Sequence[DisputeEvidence]
) -> list[EvidenceStatus]:
    """Send evidence to the providers whose channels take it."""
    known = await accounts.all()
    statuses = []
    for each in evidence:
        account = known.get(each.channel)
        if account is None or not isinstance(account.channel, DisputingChannel):
            statuses.append(EvidenceStatus.UNSUPPORTED)
            continue
        statuses.append(await account.channel.send_evidence(each, account.account, clock.now()))
    return statuses


def _disputed(row: Row, channel_name: str) -> DisputedCapture:
    return DisputedCapture(
        row["id"],
        row["channel"],
        channel_name,
        row["provider_number"],
        row["matched_order"] or row["order_id"],
        row["matched_merchant"] or row["merchant"],
        row["amount_minor"],
        row["currency"],
    )
