"""Hearing: what providers tell of agreements is no proof, and a reason to ask them at once."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from vendrail.payments.arriving import Letter
from vendrail.payments.channels.base import CallbackKind
from vendrail.payments.store import saved as ways
from vendrail.payments.store.base import Transaction

LOOK_TOPIC = "payments.look_saved"  # Woken when a provider has news of what it remembers.
LOOK_UNTIL = timedelta(minutes=30)  # So long it is asked after a page was opened, or news came.
ENDED = "ended"  # The problem of a letter that tells of an agreement's end.


async def hear_agreements(
    tx: Transaction, letters: Sequence[Letter], outcomes: Sequence[str], now: datetime
) -> bool:
    """Have providers asked about the agreements that letters tell of; true where there are any."""
    told = [
        (
            letter.account.row.id,
            letter.facts.case_number,
            letter.facts.provider_number,
            letter.facts.problem != ENDED,
        )
        for letter, outcome in zip(letters, outcomes, strict=True)
        if letter.facts.kind is CallbackKind.AGREED and not outcome
    ]
    if told:
        await ways.expect_agreements(tx, told, now, now + LOOK_UNTIL)
    return bool(told)
