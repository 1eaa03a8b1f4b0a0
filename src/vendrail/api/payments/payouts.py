"""Money that goes out: who can be paid over a channel, the telling, and what became of it."""

from enum import StrEnum

from vendrail.api.payments.channels import ChannelId
from vendrail.kernel.codec import Record


class PayoutWay(Record, frozen=True):
    """A channel account that can pay out now, and how payees are named there."""

    channel: ChannelId
    channel_name: str
    kind: str
    title: str
    payee_kinds: list[str]
    currencies: list[str]


class PayoutOrder(Record, frozen=True):
    """One payout as its provider is told of it; `number` is its idempotency key for ever."""

    channel: ChannelId
    number: str
    payee_kind: str
    payee_account: str
    payee_name: str
    amount_minor: int
    currency: str
    title: str
    tries: int = 0  # How often it was told before: 0 is the first time.


class PayoutFate(StrEnum):
    """What a provider says of one payout."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    FAILED = "failed"  # Refused, and nothing moved.
    RETURNED = "returned"  # It was paid, and the money came back since.
    NOT_FOUND = "not_found"  # Answer of a question only: it has moved nothing so far.
    UNKNOWN = "unknown"  # Neither happened nor failed: asked again under the same number.


class PayoutReport(Record, frozen=True):
    """A provider's answer about one payout; some payees must confirm by a link or a package."""

    fate: PayoutFate
    provider_number: str = ""
    problem: str = ""
    confirm_url: str = ""
    confirm_package: str = ""
