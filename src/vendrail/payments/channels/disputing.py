"""What a channel may do whose provider takes by its API what is said against a dispute."""

from datetime import datetime
from typing import Protocol, TypeVar, runtime_checkable

from vendrail.api.payments.disputes import DisputeEvidence, EvidenceStatus
from vendrail.payments.channels.base import Account

Settings = TypeVar("Settings")


@runtime_checkable
class DisputingChannel(Protocol[Settings]):
    """A channel whose provider takes by its API what is said against a dispute."""

    async def send_evidence(
        self, evidence: DisputeEvidence, account: Account[Settings], now: datetime
    ) -> EvidenceStatus:
        """Send evidence for good; the same id is never sent twice."""
        ...
