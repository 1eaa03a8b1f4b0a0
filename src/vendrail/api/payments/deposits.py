"""Deposits: addresses of attempts' own, what came there, and what is signed offline."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.kernel.codec import Record


class Arrival(Record, frozen=True):
    """A transfer that came to an attempt's address."""

    number: str  # Its transaction, and the place in it.
    amount: str  # In what was asked for, with its point.
    confirmations: int
    is_final: bool


class DepositView(Record, frozen=True):
    """What is asked for at an attempt's address, and what has come so far."""

    address: str
    asset: str  # What it is called: USDT.
    network: str
    asked: str
    arrived: str  # All that stands in the chain now, final or not.
    rest: str  # What is still to come; 0.00: nothing.
    confirmations_needed: int  # 0: the chain itself says what is final.
    is_paid: bool  # What was asked for has come, and is final.
    arrivals: list[Arrival]

    @property
    def is_short(self) -> bool:
        """Tell whether something came, but too little."""
        return bool(self.arrivals) and self.rest.strip("0.") != ""


class UnpricedQuery(Record, frozen=True):
    """Ask for money at orders' addresses whose worth the account does not know, oldest first."""

    channel: UUID | None = None  # Of this channel alone.
    number: str = ""  # Of this transfer alone.
    arrivals_max: int = 100


class UnpricedArrival(Record, frozen=True):
    """A transfer that is counted for nobody: no rate is known, until a person says one."""

    channel: UUID
    channel_name: str
    number: str  # Its transaction, and the place in it.
    at: datetime
    order: UUID | None  # Whose address it came to.
    asset: str  # Its contract, or the chain's own coin.
    symbol: str  # What it is called; empty: nobody knows any more.
    amount: str  # With its point; empty where nobody knows how many places it has.
    units: str  # In its smallest units.
    source: str
    target: str
    asked_minor: int  # What the order asked for.
    currency: str
    is_final: bool


class UnpricedVerdict(Record, frozen=True):
    """What a person says that such money is worth, and where it would go back to."""

    channel: UUID
    number: str
    amount_minor: int  # In the currency that was asked for.
    refund_to: str  # An address; empty: who sent it.
    person: str
    reason: str
    is_trial: bool = False  # Only say how it would end.


class UnpricedStatus(StrEnum):
    """How one such verdict ended. Where several would fit, the first listed is given."""

    COUNTED = "counted"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    NOT_FOUND = "not_found"
    RATE_KNOWN = "rate_known"  # It is worth something again, and counts by itself.
    NOT_FINAL = "not_final"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    ADDRESS_MALFORMED = "address_malformed"  # Or it is the treasury's own.


class HoldingsQuery(Record, frozen=True):
    """Ask what addresses of one account hold; each page begins behind a place."""

    channel: UUID
    after: int = -1  # The last place of the page before; -1: from the treasury on.
    places_max: int = 100


class Holding(Record, frozen=True):
    """What an address of ours holds now, by the names of its assets."""

    place: int  # -1: the treasury.
    address: str
    amounts: dict[str, str]


class HoldingsPage(Record, frozen=True):
    """What some addresses hold; a page without holdings ends, or says what is the matter."""

    holdings: list[Holding] = []
    problem: str = ""  # The node's words, or `channel_not_found`, `not_watched`.


class PlanKind(StrEnum):
    """What transactions are to be made."""

    REFUNDS = "refunds"  # Money that goes back, from the treasury.
    SWEEP = "sweep"  # Money that came, to the treasury.


class PlanRequest(Record, frozen=True):
    """Ask for transactions to be signed offline, of one account."""

    channel: UUID
    kind: PlanKind
    transactions_max: int = 200


class PlannedTransaction(Record, frozen=True):
    """A transaction to be signed offline: every field that its signature covers."""

    purpose: str  # `fund`, `sweep`, `refund`.
    subject: str  # What it is about: a refund's number, or the address that is emptied.
    path: str  # Where the key of `source` is found; empty: the treasury's own.
    source: str
    to: str
    nonce: int
    value: str
    data: str
    gas: int
    fee_max: str  # `maxFeePerGas`.
    tip_max: str  # `maxPriorityFeePerGas`.
    chain_id: int
    note: str  # In words, for who signs.


class PlanStatus(StrEnum):
    """How making a plan ended. Where several would fit, the first listed is given."""

    PLANNED = "planned"
    CHANNEL_NOT_FOUND = "channel_not_found"
    NOT_WATCHED = "not_watched"  # Its provider moves the money itself.
    BEHIND = "behind"  # The chain was not read to its end: a refund might have left already.
    AWAY = "away"  # The node does not answer, or refuses; see `problem`.


class TransactionPlan(Record, frozen=True):
    """What is to be signed; making it again gives the same, until it was carried out."""

    status: PlanStatus
    transactions: list[PlannedTransaction] = []
    problem: str = ""


class SignedTransaction(Record, frozen=True):
    """A transaction that was signed, as it goes to the chain."""

    channel: UUID
    raw: str


class PublishStatus(StrEnum):
    """What the chain said to a signed transaction."""

    TAKEN = "taken"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # No whole answer came: it may have been taken.
    CHANNEL_NOT_FOUND = "channel_not_found"


class Published(Record, frozen=True):
    """What became of one signed transaction."""

    status: PublishStatus
    said: str = ""  # Its hash, or why it was refused.


class OnChain(Protocol):
    """The part of the interface about money that is seen on a chain."""

    async def read_holdings(self, queries: Sequence[HoldingsQuery]) -> list[HoldingsPage]:
        """Ask what the treasury holds, and the addresses that something came to."""
        ...

    async def plan_transactions(self, requests: Sequence[PlanRequest]) -> list[TransactionPlan]:
        """Make what is to be signed offline: refunds, or money swept to the treasury."""
        ...

    async def publish_transactions(self, signed: Sequence[SignedTransaction]) -> list[Published]:
        """Hand signed transactions to their chains, in order."""
        ...

    async def list_unpriced(self, queries: Sequence[UnpricedQuery]) -> list[list[UnpricedArrival]]:
        """List money at orders' addresses whose worth nobody knows, oldest first."""
        ...

    async def price_arrivals(self, verdicts: Sequence[UnpricedVerdict]) -> list[UnpricedStatus]:
        """Count such money as what a person says: it is unmatched money from then on."""
        ...
