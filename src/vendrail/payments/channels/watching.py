"""Channels that are watched: nobody calls us, and money is seen where everybody can see it.

Such a channel reads a chain of blocks and says what stands in it. It decides nothing: which
transfers count, when they are final and what becomes of them is the business of payments.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from vendrail.api.payments.deposits import PlannedTransaction, Published
from vendrail.kernel.codec import Record
from vendrail.payments.channels.abilities import is_able
from vendrail.payments.channels.base import Account, Ask, Channel
from vendrail.payments.channels.deposit import Deposit

Settings = TypeVar("Settings")


class Moved(Exception):
    """The chain changed under us while it was read: what was read counts for nothing."""


class Block(Record, frozen=True):
    """A block of the chain, and the one before it."""

    number: int
    hash: str
    parent: str
    at: datetime


class Horizon(Record, frozen=True):
    """How far the chain reaches, and up to where nothing changes any more."""

    latest: int
    final: int  # -1: nothing yet.
    confirmations: int  # How many blocks make a transfer final; 0: the chain says so itself.


class Sighting(Record, frozen=True):
    """A transfer, as it stands in a block."""

    number: str  # The transaction and the place in it: `0x…:3`.
    block: int
    block_hash: str
    at: datetime
    asset: str
    source: str
    target: str
    units: int
    refund: str = ""  # The number of the refund that it carries out.


class Unit(Record, frozen=True):
    """What an asset is called, and how many places its units have."""

    symbol: str
    decimals: int
    network: str


class Repayment(Record, frozen=True):
    """Money to be sent back."""

    refund: str  # Its number travels with the transaction.
    to: str
    asset: str
    units: int
    nonce: int | None  # The one that was planned for it before.


class Place(Record, frozen=True):
    """An address of ours, and where its key is found."""

    place: int
    address: str


class Held(Record, frozen=True):
    """What an address holds, by asset."""

    address: str
    units: dict[str, int]


@runtime_checkable
class WatchingChannel(Channel[Settings], Protocol[Settings]):
    """A channel whose money is seen on a chain, at an address of each attempt's own."""

    def book(self, settings: Settings) -> str:
        """Name the row of addresses; accounts with one key share it, so none is used twice."""
        ...

    def deposit(self, ask: Ask, place: int, settings: Settings) -> Deposit | None:
        """Give the address at a place, and what is asked for there; None: it is not taken."""
        ...

    def unit(self, asset: str, settings: Settings) -> Unit:
        """Say how an asset is written."""
        ...

    def convert(self, units: int, source: str, target: str, settings: Settings) -> int | None:
        """Give the worth of one asset in another; None where the account knows of no rate."""
        ...

    def is_steady(self, source: str, target: str) -> bool:
        """Say whether the worth of one in the other is the same at any time."""
        ...

    def path(self, place: int) -> str:
        """Say where the key of a place is found."""
        ...

    def treasury(self, settings: Settings) -> str:
        """Give the address that money is swept to, and that refunds leave from."""
        ...

    def address(self, text: str) -> str | None:
        """Give an address as it stands in the chain; None: it is none, or has a slip in it."""
        ...

    def pace_s(self, settings: Settings) -> float:
        """Say how long to wait before the chain is looked at again."""
        ...

    async def verify(self, account: Account[Settings]) -> str:
        """Say why what the settings tell of the chain is not so, or nothing."""
        ...

    async def horizon(self, account: Account[Settings]) -> Horizon:
        """Say how far the chain reaches; raise `ProviderAway` where it cannot be known."""
        ...

    async def read_blocks(
        self, numbers: Sequence[int], account: Account[Settings]
    ) -> list[Block | None]:
        """Read blocks; None for those that are not there."""
        ...

    async def look(
        self, first: int, last: int, addresses: Sequence[str], account: Account[Settings]
    ) -> list[Sighting]:
        """Find what came to the addresses, and what left for refunds, from block to block.

        Raise `Moved` where blocks were replaced meanwhile.
        """
        ...

    async def holdings(self, addresses: Sequence[str], account: Account[Settings]) -> list[Held]:
        """Say what addresses hold now."""
        ...

    async def plan_refunds(
        self, refunds: Sequence[Repayment], final: int, account: Account[Settings]
    ) -> list[PlannedTransaction]:
        """Make the transactions that send money back, but for those that are under way.

        The books know all that left up to the final block.
        """
        ...

    async def plan_sweep(
        self, places: Sequence[Place], nonce_min: int, account: Account[Settings]
    ) -> list[PlannedTransaction]:
        """Make the transactions that empty addresses into the treasury, fees first."""
        ...

    async def publish(self, signed: Sequence[str], account: Account[Settings]) -> list[Published]:
        """Hand signed transactions to the chain; give what came of each."""
        ...


def watching(channel: Channel[Any]) -> WatchingChannel[Any] | None:
    """Give a channel that is watched as such; None: its provider calls us, or is asked."""
    return cast("WatchingChannel[Any]", channel) if is_able(channel, WatchingChannel) else None


def amount_text(units: int, decimals: int) -> str:
    """Write units with their point, without needless zeros, but with two places at least."""
    whole, part = divmod(units, 10**decimals)
    return f"{whole}.{str(part).rjust(decimals, '0').rstrip('0').ljust(2, '0')}"
