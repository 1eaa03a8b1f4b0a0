"""What may happen to attempts, captures and refunds, and why not. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.payments import (
    Attempt,
    AttemptState,
    AttemptStatus,
    CaptureFit,
    CloseStatus,
    Method,
    RefundStatus,
)
from vendrail.kernel.codec import Record, replace
from vendrail.kernel.errors import Malformed
from vendrail.payments.attempts import NUMBER_MAX
from vendrail.payments.channels.base import (
    CallbackFacts,
    CallbackKind,
    CloseOutcome,
    QueryAnswer,
    QueryOutcome,
    RefundAnswer,
    RefundOutcome,
)

# How long to wait before a provider that did not say is asked again; then hourly, for ever.
_PATIENCE_S = (5, 30, 120, 600, 3_600)
# A trade the provider does not know may still be opened until it expires; clocks differ a little.
EXPIRY_MARGIN = timedelta(minutes=2)
# An unpaid order that cannot be closed, or whose provider does not tell that it is, stays watched.
_LET_GO = frozenset({CloseOutcome.UNSUPPORTED, CloseOutcome.CLOSED})
# A provider may lag behind its own callback: so many clear denials make a dispute.
DENIALS_MAX = 3


class Asked(NamedTuple):
    """What an attempt asked for: enough to judge money that arrives."""

    id: UUID
    order: UUID
    number: int
    merchant: UUID
    channel: UUID
    method: str
    amount_minor: int
    currency: str
    trace_id: str
    country: str


class Standing(Record, frozen=True):
    """An attempt and all that tells its state."""

    attempt: Attempt
    opened_at: datetime
    channel: UUID
    is_presented: bool
    action: bytes | None
    reference: str
    is_closed: bool
    is_final: bool  # Said by the provider, never shown, or spent on money that does not fit.
    is_captured: bool  # By money that fits.
    is_waiting: bool  # Money is claimed, and the provider is being asked.
    failure: str = ""  # Why the provider says it failed.
    is_unseen: bool = False  # Presented, but no way to pay was made: nobody can have paid it.
    is_named: bool = False  # Whoever opened it named its channel.

    @property
    def state(self) -> AttemptState:
        """Say where the attempt stands; nothing of it is stored twice."""
        if self.is_captured:
            return AttemptState.CAPTURED
        if self.failure:
            return AttemptState.FAILED
        return AttemptState.CLOSED if self.is_closed else AttemptState.OPEN


def ask_again_in(tries: int) -> timedelta:
    """Say how long to wait after so many askings."""
    return timedelta(seconds=_PATIENCE_S[min(max(tries, 1), len(_PATIENCE_S)) - 1])


# Opening.


def attempt(new: Attempt, offered: Sequence[Method]) -> AttemptStatus:
    """Say whether an attempt may be opened over any of the accounts that offer its method."""
    if not 1 <= new.number <= NUMBER_MAX:
        raise Malformed(f"Attempts of one order are numbered 1 to {NUMBER_MAX}.")
    if not offered:
        return AttemptStatus.METHOD_NOT_OFFERED
    offered = [offer for offer in offered if new.currency in offer.currencies]
    if not offered:
        return AttemptStatus.CURRENCY_NOT_OFFERED
    if new.amount_minor <= 0:
        return AttemptStatus.AMOUNT_NOT_POSITIVE
    if not [offer for offer in offered if offer.takes(new.amount_minor)]:
        return AttemptStatus.AMOUNT_NOT_OFFERED
    return AttemptStatus.OPENED


def is_same_attempt(new: Attempt, known: Attempt) -> bool:
    """Tell whether an attempt sent again is the one there.

    The channel chosen first stays, as what was agreed; and whoever asks again may do so from
    elsewhere.
    """
    new = replace(new, country=known.country, device=known.device, buyer=known.buyer)
    if new.channel is None:
        new = replace(new, channel=known.channel)
    return new == known


# Showing.


def problem(standing: Standing, siblings: Sequence[Standing], now: datetime) -> str:
    """Say why an attempt cannot be paid now, or nothing."""
    if any(other.is_captured or other.is_waiting for other in siblings):
        return "captured"
    if standing.is_closed or now >= standing.attempt.expires_at:
        return "closed"
    return ""


# Money that arrives.


def refusal(facts: CallbackFacts, asked: Asked | None, channel: UUID) -> str:
    """Say why a validly signed callback is not taken, or nothing."""
    if facts.mismatch:
        return facts.mismatch
    if asked is not None and asked.channel != channel:
        return "channel_differs"
    if facts.kind is CallbackKind.CAPTURED and facts.amount_minor <= 0:
        return "amount_not_positive"
    return ""


def fit(asked: Asked | None, amount_minor: int, currency: str) -> CaptureFit:
    """Say whether money is what was asked for. Where several would fit, the first listed."""
    if asked is None:
        return CaptureFit.ORDER_UNKNOWN
    if currency != asked.currency:
        return CaptureFit.CURRENCY_DIFFERS
    return CaptureFit.FITS if amount_minor == asked.amount_minor else CaptureFit.AMOUNT_DIFFERS


def must_confirm(amount_minor: int, currency: str, limits: Sequence[tuple[int, str]]) -> bool:
    """Tell whether money is too much to believe a signature alone; a limit of 0 is none.

    A limit says nothing of other currencies, so there none is little enough.
    """
    return any(
        limit_minor > 0 and (currency != of or amount_minor > limit_minor)
        for limit_minor, of in limits
    )


def confirmation(
    answer: QueryAnswer, provider_number: str, amount_minor: int, currency: str, tries: int
) -> tuple[str, str]:
    """Turn the provider's answer about a claimed capture into its state and problem."""
    if answer.outcome is QueryOutcome.UNKNOWN:
        return "waiting", answer.problem
    said = (answer.provider_number, answer.amount_minor, answer.currency)
    if answer.outcome is QueryOutcome.PAID and said == (provider_number, amount_minor, currency):
        return "confirmed", ""
    denial = f"the provider says {answer.outcome}"
    if answer.outcome is QueryOutcome.PAID:
        denial += f" {answer.amount_minor} {answer.currency} as {answer.provider_number}"
    return "disputed" if tries >= DENIALS_MAX else "waiting", denial


def claim(answer: QueryAnswer, tries: int) -> tuple[str, str]:
    """Turn the provider's answer about claimed money into the claim's state and problem.

    What was claimed counts for nothing: what is paid is recorded as the provider, asked, says.
    """
    if answer.outcome is QueryOutcome.UNKNOWN:
        return "waiting", answer.problem
    if answer.outcome is QueryOutcome.PAID:
        return "recorded", ""
    state = "denied" if tries >= DENIALS_MAX else "waiting"
    return state, f"the provider says {answer.outcome}"


# Closing.


def closing(
    told: CloseOutcome, answer: QueryAnswer, *, is_past_expiry: bool
) -> tuple[CloseStatus, bool]:
    """Say what became of an attempt that was closed and asked about, and whether it is final."""
    if answer.outcome is QueryOutcome.PAID:
        return CloseStatus.CAPTURED, True
    if answer.outcome is QueryOutcome.CLOSED:
        return CloseStatus.CLOSED, True
    if answer.outcome is QueryOutcome.NOT_FOUND:
        # Nobody has opened it. Until it expires somebody still might: it stays watched.
        return CloseStatus.CLOSED, is_past_expiry
    if answer.outcome is QueryOutcome.UNPAID and told in _LET_GO:
        return CloseStatus.CLOSED, False
    return CloseStatus.UNKNOWN, False


def close_status(statuses: Sequence[CloseStatus]) -> CloseStatus:
    """Sum an order's attempts up: money first, then doubt."""
    if CloseStatus.CAPTURED in statuses:
        return CloseStatus.CAPTURED
    return CloseStatus.UNKNOWN if CloseStatus.UNKNOWN in statuses else CloseStatus.CLOSED


# Refunds.


def refund(amount_minor: int, captured_minor: int | None, refunded_minor: int) -> RefundStatus:
    """Say whether a refund may be asked: PENDING when it may, counting all that is under way."""
    if captured_minor is None:
        return RefundStatus.CAPTURE_NOT_FOUND
    if amount_minor <= 0:
        return RefundStatus.AMOUNT_NOT_POSITIVE
    if refunded_minor + amount_minor > captured_minor:
        return RefundStatus.MORE_THAN_CAPTURED
    return RefundStatus.PENDING


def refund_state(told: RefundAnswer, asked: RefundAnswer | None) -> tuple[str, str]:
    """Turn the provider's answers to a refund, and to the question after it, into its state.

    A refusal counts only when the provider, asked, also knows of no such refund: an earlier call
    may have succeeded and its answer been lost. A final one is of a channel that knows better.
    """
    if told.outcome is RefundOutcome.SUCCEEDED:
        return "succeeded", ""
    if asked is not None and asked.outcome is RefundOutcome.SUCCEEDED:
        return "succeeded", ""
    if told.outcome is RefundOutcome.FAILED and told.is_final:
        return "failed", told.problem
    if (
        told.outcome is RefundOutcome.FAILED
        and asked is not None
        and asked.outcome in {RefundOutcome.NOT_FOUND, RefundOutcome.FAILED}
    ):
        return "failed", told.problem
    return "pending", told.problem or (asked.problem if asked is not None else "")
