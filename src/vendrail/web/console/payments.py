"""What was paid for orders: read beside them, page by page, and what of it a merchant sees."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from vendrail.api.orders import SoldOrder
from vendrail.api.payments import Capture, Payments
from vendrail.web.console.exports import ReadPage, rows_of
from vendrail.web.console.tables import CAPTURES
from vendrail.web.papers.sheets import Rows

ReadOrders = Callable[[UUID | None], Awaitable[tuple[Sequence[SoldOrder], UUID | None]]]


def read_payments(
    payments: Payments, orders: ReadOrders, merchant: UUID | None = None
) -> ReadPage[UUID]:
    """Read what was paid for a page of orders after the other; `merchant`: only what is theirs."""

    async def read(before: UUID | None) -> tuple[Rows, UUID | None]:
        found, last = await orders(before)
        paid = await payments.read_captures([each.view.id for each in found]) if found else []
        captures = [each for of_order in paid for each in of_order]
        shown = own_captures(captures, merchant) if merchant is not None else captures
        return rows_of(CAPTURES, shown), last

    return read


def own_captures(captures: Sequence[Capture], merchant: UUID) -> list[Capture]:
    """Leave out what was paid to somebody else."""
    return [each for each in captures if each.merchant == merchant]
