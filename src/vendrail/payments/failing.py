"""Failures that a provider tells of: written once, and counted where they are the channel's own."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from vendrail.payments.arriving import Letter
from vendrail.payments.channels.base import Blame, blame_of
from vendrail.payments.decide import Asked
from vendrail.payments.store import attempts
from vendrail.payments.store.base import Transaction


async def insert_failures(
    tx: Transaction, failed: Mapping[UUID, tuple[Letter, Asked]], now: datetime
) -> list[Asked]:
    """Write what has failed; give those that are new, and the channel's own fault."""
    told = {id: letter.facts.problem or "failed" for id, (letter, _) in failed.items()}
    fresh = await attempts.insert_failures(tx, sorted(told.items()), now)
    return [
        found
        for id, (letter, found) in failed.items()
        if id in fresh and blame_of(letter.account.channel, told[id]) is Blame.CHANNEL
    ]
