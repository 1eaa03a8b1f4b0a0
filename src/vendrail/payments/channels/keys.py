"""Keys that a provider changes as it likes, and gives out: fetched when something names them."""

from datetime import datetime
from typing import Protocol, TypeVar, runtime_checkable

from vendrail.payments.channels.base import Account

Settings = TypeVar("Settings")


@runtime_checkable
class KeyedChannel(Protocol[Settings]):
    """A channel whose provider signs with such keys; its callbacks may name one it lacks."""

    async def fetch_keys(self, account: Account[Settings], now: datetime) -> bool:
        """Fetch the keys that are good now; tell whether that went well."""
        ...
