"""What every room of support works with: who may speak about an order, and sealed words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.disputes import Disputes
from vendrail.api.orders import OrderId, OrderQuery, Orders, OrderView
from vendrail.api.settlement import Settlement
from vendrail.api.support import Party, Remedy, Side
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record, encode
from vendrail.kernel.datakeys import DataKeys
from vendrail.kernel.db import Database, Transaction
from vendrail.kernel.errors import Broken
from vendrail.kernel.ids import derive, new_id, shard_in
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault
from vendrail.support.decide import Limits
from vendrail.support.settings import SupportSettings
from vendrail.support.store import complaints, talks
from vendrail.support.store.talks import NewMessage

WORDS, FILES = "support.message", "support.attachment"


class LetterFacts(Record, frozen=True, omit_defaults=True):
    """What a letter tells beside the order itself."""

    step: str
    amount_minor: int = 0
    currency: str = ""
    count: int = 0
    hours: int = 0


class Told(Record, frozen=True):
    """What happened to a complaint, as the conversation keeps it."""

    step: str
    side: Side
    person: str = ""
    remedy: Remedy | None = None
    amount_minor: int = 0
    text: str = ""


@dataclass(frozen=True)
class Ground:
    """Handed from the service to its rooms, as it is."""

    db: Database
    clock: Clock
    wakeups: Wakeups
    metrics: Metrics
    vault: Vault
    data_keys: DataKeys
    settings: SupportSettings
    orders: Orders
    settlement: Settlement
    disputes: Disputes

    @property
    def limits(self) -> Limits:
        """How long each step may take."""
        each = self.settings
        return Limits(
            timedelta(days=each.warranty_days),
            timedelta(days=each.complaint_days),
            timedelta(hours=each.answer_hours),
            timedelta(hours=each.accept_hours),
            timedelta(hours=each.ruling_hours),
        )

    async def find_orders(self, asked: Sequence[tuple[UUID, Party]]) -> list[OrderView | None]:
        """Read orders for whoever may speak about them; None: not there, or not theirs."""
        queries = [
            OrderQuery(OrderId(order), by.secret if by.side is Side.BUYER else None)
            for order, by in asked
        ]
        found = await self.orders.read_orders(queries) if queries else []
        return [
            view if view is not None and _is_theirs(view, by) else None
            for view, (_, by) in zip(found, asked, strict=True)
        ]

    async def seal(self, purpose: str, id: UUID, content: bytes) -> tuple[bytes, UUID]:
        """Seal words or a file, bound to their row."""
        key = await self.data_keys.newest()
        return self.vault.seal(key, purpose, id, content), key.id

    async def unseal(self, purpose: str, rows: Sequence[tuple[UUID, UUID, bytes]]) -> list[bytes]:
        """Open what is sealed: (row, data key, sealed)."""
        keys = await self.data_keys.load(row[1] for row in rows)
        opened = []
        for id, key, sealed in rows:
            if key not in keys:
                raise Broken(f"The data key {key} of {purpose} {id} is missing.")
            opened.append(self.vault.unseal(keys[key], purpose, id, sealed))
        return opened

    async def sealed_note(self, order: UUID, told: Told, at: datetime) -> NewMessage:
        """Make what happened into a line of the conversation."""
        id = new_id(at, shard_in(order))
        sealed = key = None
        if told.text.strip():
            sealed, key = await self.seal(WORDS, id, told.text.strip().encode())
        return NewMessage(
            id, order, told.side, told.person, told.step, told.remedy, told.amount_minor,
            sealed, key, at,
        )  # fmt: skip

    async def note(self, tx: Transaction, merchant: UUID, new: NewMessage) -> None:
        """Write such a line into its conversation."""
        count = await talks.lock(tx, new.order, merchant, new.at)
        await talks.add(tx, new, count + 1)

    async def tell(
        self, tx: Transaction, subject: UUID, order: UUID, side: Side, facts: LetterFacts
    ) -> None:
        """Keep a letter about what happened, in the commit in which it does."""
        id = derive(subject, f"letter:{side}:{facts.step}")
        template = "complaint_buyer" if side is Side.BUYER else "complaint_staff"
        letter = (id, template, order, side)
        await complaints.add_letter(tx, letter, encode(facts), self.clock.now())

    def wake(self, order: UUID) -> None:
        """Wake the pages that show an order's conversation, and the loops."""
        self.wakeups.wake(f"talk:{order}")
        self.wakeups.wake("support")


def _is_theirs(view: OrderView, by: Party) -> bool:
    if by.side is Side.MERCHANT:
        return view.merchant == by.merchant
    return by.side in (Side.BUYER, Side.OPERATOR)
