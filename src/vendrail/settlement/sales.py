"""Sales to be split: whether they can be, what of them is suppliers', how it ended. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from vendrail.api.ledger import AccountId, Transfer, TransferCode, TransferId, TransferResult
from vendrail.api.settlement import (
    CaptureBooking,
    ChannelCost,
    KeptSupply,
    Sale,
    SaleResult,
    SaleStatus,
    Supply,
    supply_of,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive
from vendrail.kernel.money import EXPONENTS
from vendrail.settlement.fees import FeeVersion, fee_memo
from vendrail.settlement.split import (
    SHARE_STEPS,
    SUPPLY_MEMO,
    SUPPLY_STEP,
    MerchantAccounts,
    is_barred,
    is_changeable,
    is_fresh,
    is_wellformed,
    price,
)


def supplied_sale(sale: Sale) -> Sale | None:
    """Give what of a sale is its supplier's, as a sale of its own; None: nothing is."""
    if sale.supply is None:
        return None
    return Sale(
        supply_of(sale.order),
        sale.supply.supplier,
        sale.supply.amount_minor,
        sale.currency,
        sale.placed_at,
        paid_at=sale.paid_at,
    )


def supply_transfers(
    sale: Sale,
    supplied: Sale,
    result: SaleResult,
    accounts: MerchantAccounts,
    supplier: MerchantAccounts,
    parts: Sequence[tuple[AccountId, int]] = (),
) -> list[Transfer]:
    """End a split's chain with what is the supplier's: held over there, and shared out from it."""
    amount_minor = supplied.amount_minor
    legs = list(parts) or [(supplier.available, amount_minor)]
    last = len(legs) - 1
    return [
        Transfer(
            TransferId(derive(sale.order, SUPPLY_STEP)),
            accounts.held,
            supplier.held,
            amount_minor,
            TransferCode.SUPPLY,
            sale.order,
            is_linked=True,
            memo=fee_memo(result.fee_version, result.fee_rule),
        ),
        *(
            Transfer(
                TransferId(derive(supplied.order, step)),
                supplier.held,
                account,
                part_minor,
                TransferCode.SALE,
                supplied.order,
                is_linked=number < last,
                memo=SUPPLY_MEMO,
            )
            for number, (step, (account, part_minor)) in enumerate(
                zip(SHARE_STEPS, legs, strict=False)
            )
        ),
    ]


def foresee(sale: Sale, version: FeeVersion, cost: ChannelCost | None = None) -> SaleResult:
    """Say what `price` would, and of a markup that does not bear fee and cost that it is so."""
    result = price(sale, version, cost)
    if not result.supplied_minor:
        return result
    whole = price(replace(sale, supply=None), version, cost)
    taken = (whole.fee_minor, whole.cost_minor)
    if taken != (result.fee_minor, result.cost_minor):
        return replace(result, status=SaleStatus.MARKUP_TOO_LOW)
    return result


def booked_count(sale: Sale) -> int:
    """Count the transfers that book its money in the same chain."""
    booking = sale.booking
    return 0 if booking is None else (booking.amount_minor > 0) + (booking.wallet is not None)


def is_bookable(booking: CaptureBooking) -> bool:
    """Tell whether money that arrived can be booked at all."""
    part = booking.wallet
    if part is not None and not (booking.merchant and is_wellformed(part.amount_minor)):
        return False
    is_alone = part is not None and not booking.amount_minor
    return (is_alone or is_wellformed(booking.amount_minor)) and (booking.currency in EXPONENTS)


def supplied(sales: Sequence[Sale]) -> dict[UUID, Sale]:
    """Give by order what of sales is suppliers'; most batches have none."""
    return {
        sale.order: theirs
        for sale in sales
        if sale.supply is not None and (theirs := supplied_sale(sale)) is not None
    }


def is_sound(sale: Sale) -> bool:
    """Tell whether a sale can be split at all."""
    return (
        (sale.supply is None or is_supply_sound(sale, sale.supply))
        and is_wellformed(sale.amount_minor)
        and sale.currency in EXPONENTS
        and (sale.booking is None or is_bookable(sale.booking))
        and (sale.paid is None or is_changeable(sale.paid, sale.currency))
    )


def is_supply_sound(sale: Sale, supply: Supply) -> bool:
    """Tell whether the supplier is somebody else, and wants no more than what is paid."""
    return (
        0 < supply.amount_minor <= sale.amount_minor
        and supply.supplier != sale.merchant
        and sale.wallet is None
    )


def kept_supplies(sales: Sequence[Sale], supplied: Mapping[UUID, Sale]) -> list[KeptSupply]:
    """Give what is kept of supplied sales: refunds will ask whose part is booked under what."""
    return [
        KeptSupply(
            theirs.order,
            sale.order,
            sale.merchant,
            theirs.merchant,
            theirs.amount_minor,
            theirs.currency,
            sale.amount_minor,
        )
        for sale in sales
        if (theirs := supplied.get(sale.order)) is not None
    ]


class Doubt(NamedTuple):
    """A sale whose chain was not plainly new, and whether another transfer stood in its way."""

    position: int
    sale: Sale
    is_barred: bool


def read_outcomes(
    priced: Sequence[tuple[Sale, SaleResult, int]], outcomes: Sequence[TransferResult]
) -> tuple[list[SaleResult], list[Doubt]]:
    """Read each chain's outcome; what is not plainly new must be looked at again."""
    results: list[SaleResult] = []
    doubtful: list[Doubt] = []
    start = 0
    for position, (sale, result, count) in enumerate(priced):
        chain = outcomes[start : start + count]
        start += count
        results.append(result)
        if count and not is_fresh(chain):
            legs = chain[booked_count(sale) :]
            doubtful.append(Doubt(position, sale, is_barred(legs)))
    return results, doubtful
