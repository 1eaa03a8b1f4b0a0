"""A purchase on its way, and what its steps ask of the other services."""

from datetime import datetime
from uuid import UUID

from vendrail.api.catalog import AllocationId, VariantId
from vendrail.api.payments import CaptureId, Refund, RefundId
from vendrail.api.settlement import CaptureBooking, RefundPosting, Sale
from vendrail.api.wallets import WALLET
from vendrail.kernel.codec import Record, decode, encode
from vendrail.kernel.db import Row
from vendrail.kernel.ids import derive
from vendrail.kernel.money import Money
from vendrail.kernel.saga import Saga, SagaState
from vendrail.kernel.telemetry import is_sampled
from vendrail.orders.decide import CaptureFacts, SupplyFacts
from vendrail.orders.purchase import Step
from vendrail.orders.service.returning import GiveBack


class Traits(Record, frozen=True):
    """Of an order's facts: what risk asks for, what fees go by, whose wallet a top-up fills."""

    address_hash: str = ""
    device_hash: str = ""
    category: str = ""
    wallet: UUID | None = None
    supply: SupplyFacts | None = None


class Purchase:
    """One purchase on its way: its saga, its order as it was loaded, its money, its next step."""

    __slots__ = (
        "_allocation",
        "_traits",
        "capture",
        "order",
        "problem",
        "reason",
        "saga",
        "step",
        "trace_id",
    )

    def __init__(self, saga: Saga, order: Row, capture: CaptureFacts | None = None) -> None:
        self.saga = saga
        self.order = order
        self.capture = capture or decode(saga.data, CaptureFacts)
        self.step = Step.UNDO if saga.state is SagaState.UNDOING else Step.ASSESS
        self.reason = saga.reason
        self.problem = ""
        self._allocation: tuple[int, AllocationId] | None = None
        self._traits: Traits | None = None
        self.trace_id = saga.trace_id if is_sampled(saga.trace_id) else ""  # Where it is kept.

    @property
    def traits(self) -> Traits:
        """What of its order's facts the steps ask for, read once."""
        if self._traits is None:
            self._traits = decode(self.order["facts"], Traits)
        return self._traits

    @property
    def is_charge(self) -> bool:
        """Whether the merchant delivers elsewhere: nothing is picked."""
        return self.order["variant"] is None

    @property
    def filled_by(self) -> AllocationId | None:
        """The keys that fill it; a charge has none."""
        return None if self.is_charge else self.allocation

    @property
    def stock(self) -> VariantId:
        """The variant whose keys are picked: an agent's order is filled by its supplier's."""
        supply = self.traits.supply
        return VariantId(self.order["variant"]) if supply is None else supply.variant

    @property
    def allocation(self) -> AllocationId:
        """The id under which keys are picked; after a restock, the next one."""
        tries = self.capture.restock_tries
        if self._allocation is None or self._allocation[0] != tries:
            id = AllocationId(derive(self.order["id"], f"allocate:{tries}"))
            self._allocation = (tries, id)
        return self._allocation[1]

    def booking(self) -> CaptureBooking:
        """The money that arrived, as settlement books it."""
        capture = self.capture
        return CaptureBooking(
            capture.capture,
            self.order["id"],
            capture.channel_name,
            self.order["merchant"],
            capture.amount_minor,
            capture.currency,
            capture.is_from_suspense,
            capture.wallet,
        )

    def sale(self) -> Sale:
        """The sale, as settlement splits it, its booking in the same chain."""
        order, capture = self.order, self.capture
        traits, paid = self.traits, None
        if capture.currency != order["currency"]:
            paid = Money(capture.amount_minor, capture.currency)
        return Sale(
            order["id"],
            order["merchant"],
            order["amount_minor"],
            order["currency"],
            order["placed_at"],
            self.booking(),
            paid,
            wallet=traits.wallet,
            paid_at=capture.paid_at,
            method=capture.method,
            category=traits.category,
            supply=traits.supply.of(order["quantity"]) if traits.supply is not None else None,
        )

    def give_back(self) -> list[GiveBack]:
        """All that came, out of held, to where it came from: the channel, then the wallet."""
        capture, order = self.capture, self.order
        items = [self._give_back()] if capture.amount_minor else []
        if capture.wallet is not None:
            items.append(
                into_wallet(
                    capture,
                    derive(capture.capture, "refund:purchase:wallet"),
                    order["id"],
                    order["merchant"],
                    order["placed_at"],
                )
            )
        return items

    def _give_back(self) -> GiveBack:
        capture, order = self.capture, self.order
        refund = RefundId(derive(capture.capture, "refund:purchase"))
        return GiveBack(
            RefundPosting(
                refund=refund,
                order=order["id"],
                merchant=order["merchant"],
                channel=capture.channel_name,
                amount_minor=capture.amount_minor,
                currency=capture.currency,
                placed_at=order["placed_at"],
                is_split=False,
                captured_minor=capture.total_minor,
            ),
            Refund(
                refund,
                CaptureId(capture.capture),
                capture.amount_minor,
                self.reason,
                is_asked_anew=True,
            ),
        )


def into_wallet(
    capture: CaptureFacts, refund: UUID, order: UUID, merchant: UUID | None, placed_at: datetime
) -> GiveBack:
    """What a wallet paid of an order that is not filled, out of held, back into the wallet."""
    part = capture.wallet
    assert part is not None
    return GiveBack(
        RefundPosting(
            refund=refund,
            order=order,
            merchant=merchant,
            channel=WALLET,
            amount_minor=part.amount_minor,
            currency=capture.currency,
            placed_at=placed_at,
            is_split=False,
            captured_minor=capture.total_minor,
            to_wallet=part.buyer,
        ),
        None,
    )


def surplus_saga(purchase: Purchase) -> Saga:
    """The saga that gives a second capture of a filled order back."""
    return Saga(
        id=derive(purchase.capture.capture, "surplus"),
        kind="surplus",
        subject=purchase.order["id"],
        data=encode(purchase.capture),
        trace_id=purchase.saga.trace_id,
        is_slow=True,
    )
