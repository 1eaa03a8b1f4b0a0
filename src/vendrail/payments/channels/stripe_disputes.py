"""Stripe's disputes: what is said against them is sent once, and for good."""

from datetime import datetime
from typing import Any

import stripe

from vendrail.api.payments.disputes import DisputeEvidence, EvidenceStatus
from vendrail.payments.channels.base import Account
from vendrail.payments.channels.line import ProviderAway
from vendrail.payments.channels.stripe_line import client_of
from vendrail.payments.channels.stripe_messages import StripeSettings, idempotency_key

TEXT_LENGTH_MAX = 20_000  # Of what Stripe takes in one field.


class StripeDisputes:
    """What a channel of Stripe's does about disputes."""

    async def send_evidence(
        self, evidence: DisputeEvidence, account: Account[StripeSettings], now: datetime
    ) -> EvidenceStatus:
        """Send evidence for good; Stripe takes it until the day it named, and once."""
        asked = {
            "evidence": {"uncategorized_text": evidence.text[:TEXT_LENGTH_MAX]},
            "metadata": {"evidence": str(evidence.id)},
            "submit": True,
        }
        try:
            account.line.expect()
            api: Any = client_of(account.settings, account.line).v1
            key = {"idempotency_key": idempotency_key(f"evidence-{evidence.id}", asked)}
            await api.disputes.update_async(evidence.case_number, asked, key)
        except stripe.InvalidRequestError:
            return EvidenceStatus.REFUSED
        except (ProviderAway, stripe.StripeError):
            return EvidenceStatus.UNKNOWN
        return EvidenceStatus.SENT
