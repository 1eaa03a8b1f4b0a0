"""Keys that a provider changes as it likes, and gives out; and signatures beside what they sign."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeVar, cast, runtime_checkable

from vendrail.payments.channels.abilities import is_able
from vendrail.payments.channels.base import Account

Settings = TypeVar("Settings")


@runtime_checkable
class KeyedChannel(Protocol[Settings]):
    """A channel whose provider signs with such keys; its callbacks may name one it lacks."""

    async def fetch_keys(self, account: Account[Settings], now: datetime) -> bool:
        """Fetch the keys that are good now; tell whether that went well."""
        ...


@runtime_checkable
class HeaderSigningChannel(Protocol):
    """A channel whose provider signs in headers: without them a kept callback proves nothing."""

    signed_headers: Sequence[str]  # In small letters.


def signed_headers(channel: object) -> Sequence[str] | None:
    """Give the headers that a channel's provider signs in; None: it signs in what it sends."""
    if not is_able(channel, HeaderSigningChannel):
        return None
    return cast("HeaderSigningChannel", channel).signed_headers
