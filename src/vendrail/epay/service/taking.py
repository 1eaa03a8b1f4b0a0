"""Taking: what a site asks for, verified, checked, and placed as a charge, a batch at a time."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.epay import EpayPlacement, EpayRequest, EpayStatus
from vendrail.api.orders import (
    ChargePlacement,
    ChargeStatus,
    OrderId,
    Orders,
    OrderState,
    PlaceCharge,
)
from vendrail.api.payments import Payments, fitting
from vendrail.epay import decide, store
from vendrail.epay.decide import Fault, Wish
from vendrail.epay.service.accounts import Accounts, Keyed
from vendrail.epay.settings import EpaySettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Row
from vendrail.kernel.epay import CURRENCY
from vendrail.kernel.http.targets import networks
from vendrail.kernel.ids import new_id, shard_of

_STATUSES = {
    ChargeStatus.EXISTS_DIFFERENT: EpayStatus.ORDER_DIFFERS,
    ChargeStatus.ID_NOT_OF_NOW: EpayStatus.BUSY,
    ChargeStatus.NUMBER_MALFORMED: EpayStatus.NUMBER_MALFORMED,
    ChargeStatus.TITLE_MALFORMED: EpayStatus.TEXT_TOO_LONG,
    ChargeStatus.AMOUNT_OUT_OF_RANGE: EpayStatus.MONEY_OUT_OF_RANGE,
    ChargeStatus.SALES_STOPPED: EpayStatus.SUSPENDED,
    ChargeStatus.LIMIT_REACHED: EpayStatus.MONEY_OUT_OF_RANGE,
    ChargeStatus.PROOF_WANTED: EpayStatus.PROOF_WANTED,
    ChargeStatus.RISK_REFUSED: EpayStatus.REFUSED,
    ChargeStatus.METHOD_NOT_OFFERED: EpayStatus.METHOD_NOT_OFFERED,
}


class _Asked:
    """One request that is signed and sound, on its way to being a charge."""

    __slots__ = ("charge", "keyed", "request", "wish")

    def __init__(self, request: EpayRequest, keyed: Keyed, wish: Wish) -> None:
        self.request = request
        self.keyed = keyed
        self.wish = wish
        self.charge: PlaceCharge | None = None

    @property
    def name(self) -> tuple[int, str]:
        """What it is called by: the site, and the site's number."""
        return self.keyed.pid, self.wish.number


class Taking:
    """Takes what comes to submit.php and mapi.php."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        settings: EpaySettings,
        accounts: Accounts,
        orders: Orders,
        payments: Payments,
    ) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._allowed = networks(settings.networks_allowed, "VENDRAIL_EPAY_NETWORKS_ALLOWED")
        self._accounts = accounts
        self._orders = orders
        self._payments = payments

    async def take(self, requests: Sequence[EpayRequest]) -> list[EpayPlacement]:
        """Take a batch; one placement for each request, in the same order."""
        admitted = await self._accounts.admit_signed([each.fields for each in requests])
        read = [self._read(*each) for each in zip(requests, admitted, strict=True)]
        asked = [each for each in read if isinstance(each, _Asked)]
        placed = iter(await self._place(asked) if asked else ())
        return [
            next(placed) if isinstance(each, _Asked) else EpayPlacement(each.status, each.field)
            for each in read
        ]

    def _read(self, request: EpayRequest, keyed: Keyed | EpayStatus) -> _Asked | Fault:
        if isinstance(keyed, EpayStatus):
            return Fault(keyed)
        settings = self._settings
        wish = decide.wish(
            request.fields,
            self._allowed,
            settings.amount_minor_min,
            settings.amount_minor_max,
            is_server=request.is_server,
        )
        return wish if isinstance(wish, Fault) else _Asked(request, keyed, wish)

    async def _place(self, asked: Sequence[_Asked]) -> list[EpayPlacement]:
        known = await self._find(asked)
        offered = await self._payments.list_methods(CURRENCY)
        faults: dict[int, EpayStatus] = {}
        for at, each in enumerate(asked):
            row = known.get(each.name)
            if row is not None and not _is_same(each.wish, row):
                faults[at] = EpayStatus.ORDER_DIFFERS
                continue
            minor = each.wish.amount_minor
            ways = fitting(offered, minor, minor)
            method = decide.method(row["type"] if row else each.wish.type, ways)
            if method is None and row is None:
                faults[at] = EpayStatus.METHOD_NOT_OFFERED
                continue
            each.charge = self._charge(each, method or "")
        live = [each for each in asked if each.charge is not None]
        charges = [each.charge for each in live if each.charge is not None]
        placements = await self._orders.place_charges(charges) if charges else []
        kept = await self._keep(list(zip(live, placements, strict=True)), known)
        ends = iter(
            [_end(each, placement, kept) for each, placement in zip(live, placements, strict=True)]
        )
        return [
            EpayPlacement(faults[at]) if at in faults else next(ends) for at in range(len(asked))
        ]

    async def _find(self, asked: Sequence[_Asked]) -> dict[tuple[int, str], Row]:
        async with self._db.reading() as tx:
            return await store.find_charges(
                tx, [each.keyed.pid for each in asked], [each.wish.number for each in asked]
            )

    def _charge(self, asked: _Asked, method: str) -> PlaceCharge:
        request, wish = asked.request, asked.wish
        merchant = asked.keyed.account.merchant
        address = request.fields.get("clientip", "") if request.is_server else request.address
        return PlaceCharge(
            OrderId(new_id(self._clock.now(), shard_of(merchant))),
            merchant,
            wish.number,
            wish.title,
            wish.amount_minor,
            CURRENCY,
            method=method,
            address=address[:64],
            device=request.device,
            locale=request.locale,
            trace_id=request.trace_id,
            is_proof_wanted=request.is_proof_wanted,
            is_proven=request.is_proven,
            browser=decide.browser(request.fields) if request.is_server else request.browser,
            country=request.country,
        )

    async def _keep(
        self,
        placed: Sequence[tuple[_Asked, ChargePlacement]],
        known: dict[tuple[int, str], Row],
    ) -> dict[tuple[int, str], Row]:
        """Write whom to tell of each charge, before anybody can pay it; give what stands."""
        fresh: list[tuple[UUID, int, Wish]] = [
            (placement.order, asked.keyed.pid, asked.wish)
            for asked, placement in placed
            if placement.order is not None and asked.name not in known
        ]
        if not fresh:
            return known
        async with self._db.transaction() as tx:
            await store.add_charges(tx, fresh, self._clock.now())
        return {**known, **await self._find([asked for asked, _ in placed])}


def _is_same(wish: Wish, row: Row) -> bool:
    """Tell a repeat from another charge. The way to pay is not of it: the buyer may choose anew."""
    names = ("number", "title", "amount_minor", "notify_url", "return_url", "param")
    return all(getattr(wish, name) == row[name] for name in names)


def _end(
    asked: _Asked, placement: ChargePlacement, kept: dict[tuple[int, str], Row]
) -> EpayPlacement:
    status = _STATUSES.get(placement.status)
    if status is not None or placement.order is None:
        return EpayPlacement(status or EpayStatus.REFUSED)
    if not _is_same(asked.wish, kept[asked.name]):  # Another one was a moment earlier.
        return EpayPlacement(EpayStatus.ORDER_DIFFERS)
    if placement.state in (OrderState.EXPIRED, OrderState.CANCELLED):
        return EpayPlacement(EpayStatus.ORDER_OVER)
    if placement.state is not OrderState.PLACED and asked.request.is_server:
        return EpayPlacement(EpayStatus.ORDER_PAID)
    # A browser is led to its order's page, which says that it is paid and leads back.
    return EpayPlacement(EpayStatus.TAKEN, "", placement.order, placement.secret)
