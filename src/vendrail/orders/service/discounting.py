"""Discounting: coupons are held with orders before those are written; most orders have none."""

from collections.abc import Sequence

import structlog

from vendrail.api.orders import Discount, PlaceStatus
from vendrail.api.promotions import CouponHold, CouponQuestion, CouponStatus, Promotions
from vendrail.kernel.errors import Error
from vendrail.orders.service.choices import Choice
from vendrail.orders.service.seals import Seals

_log = structlog.get_logger(__name__)

_HELD = (CouponStatus.HELD, CouponStatus.EXISTS)


class Discounting:
    """Takes what coupons take off, and gives back those of orders that never came to be."""

    def __init__(self, seals: Seals, promotions: Promotions) -> None:
        self._seals = seals
        self._promotions = promotions

    async def hold(self, choices: Sequence[Choice]) -> None:
        """Hold coupons and take off what they are worth; a repeat takes the same again."""
        wanted = [
            (choice, self._hold(choice))
            for choice in choices
            if choice.order.coupon and choice.status is PlaceStatus.PLACED
        ]
        if not wanted:
            return
        results = await self._promotions.hold_coupons([each for _, each in wanted])
        for (choice, _), result in zip(wanted, results, strict=True):
            if result.status not in _HELD or result.coupon is None:
                self._refuse(choice, result.status)
                continue
            if result.discount_minor >= choice.amount_minor:  # It was held at a higher price.
                self._refuse(choice, CouponStatus.AMOUNT_TOO_LOW)
                continue
            choice.discount = Discount(result.coupon, result.title, result.discount_minor)
            choice.amount_minor -= result.discount_minor

    def _refuse(self, choice: Choice, status: CouponStatus) -> None:
        choice.status = PlaceStatus.COUPON_REFUSED
        choice.coupon_problem = status.value

    def _hold(self, choice: Choice) -> CouponHold:
        order, offer, seals = choice.order, choice.offer, self._seals
        assert offer is not None
        asked = CouponQuestion(
            order.coupon,
            offer.merchant,
            offer.product,
            offer.category,
            choice.amount_minor,
            order.currency,
            order.address,
        )
        return CouponHold(order.id, asked, seals.contact_hash(choice.contact).hex(), order.buyer)

    async def release(self, choices: Sequence[Choice]) -> None:
        """Give back the coupons of orders that were refused after all, or were somebody else's."""
        unwanted = [
            choice.order.id
            for choice in choices
            if choice.discount is not None and choice.status is not PlaceStatus.PLACED
        ]
        if not unwanted:
            return
        try:
            await self._promotions.release_coupons(unwanted)
        except Error as error:  # Promotions find by themselves that there is no such order.
            _log.warning("orders.coupon_not_released", count=len(unwanted), error=str(error))
