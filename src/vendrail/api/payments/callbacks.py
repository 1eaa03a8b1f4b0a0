"""Callbacks: what providers send, and what they are answered."""

from vendrail.api.payments.channels import ChannelId
from vendrail.kernel.codec import Record


class Callback(Record, frozen=True):
    """What a provider sent, untouched."""

    channel: ChannelId
    method: str
    headers: dict[str, str]
    query: str
    body: bytes


class CallbackAnswer(Record, frozen=True):
    """What the provider is answered, after commit."""

    status_code: int
    body: bytes
    content_type: str = "text/plain"
