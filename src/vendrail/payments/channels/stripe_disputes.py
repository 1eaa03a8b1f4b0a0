"""Stripe's disputes: what is said against them is sent once, and for good."""

import hashlib
import io
from datetime import datetime
from typing import Any

import stripe

from vendrail.api.payments.disputes import DisputeEvidence, EvidencePaper, EvidenceStatus
from vendrail.payments.channels.base import Account
from vendrail.payments.channels.line import ProviderAway
from vendrail.payments.channels.stripe_line import client_of
from vendrail.payments.channels.stripe_messages import StripeSettings, idempotency_key

TEXT_LENGTH_MAX = 20_000  # Of what Stripe takes in one field.


_FIELDS = {
    "receipt": "receipt",
    "delivery": "service_documentation",
    "talk": "customer_communication",
    "other": "uncategorized_file",
}


class _Named(io.BytesIO):
    """A file with its name, as the library sends it."""

    def __init__(self, paper: EvidencePaper) -> None:
        super().__init__(paper.content)
        self.name = paper.name


async def _upload(api: Any, evidence: DisputeEvidence, paper: EvidencePaper) -> str:
    """Upload a file, the same one once; give Stripe's id of it."""
    asked = {"purpose": "dispute_evidence", "file": hashlib.sha256(paper.content).hexdigest()}
    name = f"evidence-{evidence.id}-{paper.kind}"
    key = {"idempotency_key": idempotency_key(name, asked | {"name": paper.name})}
    made = await api.files.create_async(asked | {"file": _Named(paper)}, key)
    return str(made.id)


class StripeDisputes:
    """What a channel of Stripe's does about disputes."""

    async def send_evidence(
        self, evidence: DisputeEvidence, account: Account[StripeSettings], now: datetime
    ) -> EvidenceStatus:
        """Send evidence for good; Stripe takes it until the day it named, and once."""
        try:
            account.line.expect()
            api: Any = client_of(account.settings, account.line).v1
            files = {
                _FIELDS[paper.kind]: await _upload(api, evidence, paper)
                for paper in evidence.papers
                if paper.kind in _FIELDS
            }
            asked = {
                "evidence": {"uncategorized_text": evidence.text[:TEXT_LENGTH_MAX], **files},
                "metadata": {"evidence": str(evidence.id)},
                "submit": True,
            }
            key = {"idempotency_key": idempotency_key(f"evidence-{evidence.id}", asked)}
            await api.disputes.update_async(evidence.case_number, asked, key)
        except stripe.InvalidRequestError:
            return EvidenceStatus.REFUSED
        except (ProviderAway, stripe.StripeError):
            return EvidenceStatus.UNKNOWN
        return EvidenceStatus.SENT
