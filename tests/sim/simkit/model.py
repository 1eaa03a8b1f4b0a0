"""What the auditor knows: of each order what surely happened, and what may have."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from vendrail.api.catalog import QuantityPrice
from vendrail.api.orders import OrderState
from vendrail.api.risk import RiskDecision


@dataclass
class Money:
    """Money that a buyer gave the provider."""

    number: str
    amount_minor: int
    buyer: int
    fits: bool
    trade: str = ""  # What the provider calls it.
    is_told: bool = False  # A callback of it surely heard success.
    verdicts: set[str] = field(default_factory=set)  # That people may have spoken: match, back.


@dataclass
class Known:
    """One order: what is certain of it, and what may be."""

    buyer: int
    id: UUID
    product: str
    quantity: int
    is_reviewed: bool
    is_placed: bool = False  # Surely; before, it may be.
    secret: str = ""
    amount_minor: int = 0
    expires_at: datetime | None = None
    attempts: int = 1
    state: OrderState | None = None  # As it was seen last.
    was_delivered: bool = False
    keys: tuple[str, ...] = ()
    money: list[Money] = field(default_factory=list)
    is_told_in_time: bool = False  # Paid, heard, and neither expired nor cancelled by then.
    may_be_cancelled: bool = False
    verdicts: list[RiskDecision] = field(default_factory=list)  # That may have been spoken.
    refunds: dict[UUID, int] = field(default_factory=dict)  # That may be asked; 0: the rest.
    sure_refunds: set[UUID] = field(default_factory=set)
    is_presented: bool = False
    may_have_been_short: bool = False  # At some time when its money may have been there.

    @property
    def may_be_paid(self) -> bool:
        """Whether money for it may have arrived."""
        return any(money.fits or "match" in money.verdicts for money in self.money)

    def copy(self) -> "Known":
        """Keep what is known now: an answer must respect it."""
        return replace(
            self,
            money=list(self.money),
            verdicts=list(self.verdicts),
            refunds=dict(self.refunds),
            sure_refunds=set(self.sure_refunds),
        )

    def sure_refund_minor(self, but: UUID) -> int:
        """Sum what surely went back or is on its way."""
        if any(not self.refunds[id] for id in self.sure_refunds - {but}):
            return self.amount_minor
        return sum(self.refunds[id] for id in self.sure_refunds - {but})

    def possible_refund_minor(self, but: UUID) -> int:
        """Sum what may have gone back or be on its way, at most."""
        others = [minor for id, minor in self.refunds.items() if id != but]
        return min(self.amount_minor, sum(minor or self.amount_minor for minor in others))


@dataclass
class Stock:
    """The keys of one product."""

    keys: set[str] = field(default_factory=set)  # That may be there.
    sure: int = 0  # So many are, at least.
    prices_minor: set[int] = field(default_factory=set)  # That may be asked now.


def cheaper_by_two(price_minor: int) -> QuantityPrice:
    """Give the quantity price that goes with a price: everything is cheaper from two on."""
    return QuantityPrice(2, {"CNY": price_minor * 9 // 10})


@dataclass
class Model:
    """Everything that is known."""

    orders: dict[int, Known] = field(default_factory=dict)
    stock: dict[str, Stock] = field(default_factory=dict)
    money: dict[str, Money] = field(default_factory=dict)  # By number at the provider.
    owners: dict[str, UUID] = field(default_factory=dict)  # Of keys that were read.

    def surely_sold(self, product: str) -> int:
        """Count keys that surely left."""
        return sum(len(each.keys) for each in self.orders.values() if each.product == product)

    def may_be_taken(self, product: str, but: UUID) -> int:
        """Count keys that may be held, picked or sold by others."""
        ended = (OrderState.EXPIRED, OrderState.CANCELLED)
        return sum(
            each.quantity
            for each in self.orders.values()
            if each.product == product
            and each.id != but
            and (each.state not in ended or each.money)
        )

    def may_be_short(self, order: Known) -> bool:
        """Whether there may be, or may have been, no key for an order."""
        if order.may_have_been_short:
            return True
        taken = self.may_be_taken(order.product, order.id)
        return self.stock[order.product].sure - taken < order.quantity

    def short(self) -> list[Known]:
        """List orders without keys for which there may be none now."""
        return [
            order
            for order in self.orders.values()
            if not order.was_delivered and self.may_be_short(order)
        ]

    def note_short(self, before: list[Known]) -> None:
        """Keep for which paid orders there may have been no key: holds end, and keys come later."""
        for order in [*before, *self.short()]:
            order.may_have_been_short |= order.may_be_paid
