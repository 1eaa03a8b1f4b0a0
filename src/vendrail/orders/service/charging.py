"""Charging: orders of an amount, whose merchant delivers elsewhere; a batch at a time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.orders import (
    ChargePlacement,
    ChargeStatus,
    OrderId,
    OrderState,
    PlaceCharge,
    PlaceTopUp,
    TopUpPlacement,
    TopUpPlaceStatus,
)
from vendrail.api.payments import Attempt, AttemptId, AttemptStatus, Payments
from vendrail.api.risk import Risk, RiskDecision, RiskQuestion
from vendrail.api.wallets import WALLET_DESK, TopUpQuestion, TopUpStatus, Wallets
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Database, Row, plain_first
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive
from vendrail.orders import decide, store
from vendrail.orders.service.limiting import Limiting, Wanted
from vendrail.orders.service.seals import Seals
from vendrail.orders.service.standing import Standing
from vendrail.orders.settings import OrdersSettings

_OPENED = (AttemptStatus.OPENED, AttemptStatus.EXISTS)
_NO_CONTACT = ""  # Whoever sent the buyer knows who it is; we do not.


class Charging:
    """Places charges: nothing is held, for nothing of the catalog is in them."""

    def __init__(
        self,
        db: Database,
        seals: Seals,
        clock: Clock,
        settings: OrdersSettings,
        payments: Payments,
        risk: Risk,
        wallets: Wallets,
        standing: Standing,
        limiting: Limiting,
    ) -> None:
        self._limiting = limiting
        self._standing = standing
        self._wallets = wallets
        self._db = db
        self._seals = seals
        self._clock = clock
        self._settings = settings
        self._payments = payments
        self._risk = risk

    async def place_charges(self, charges: Sequence[PlaceCharge]) -> list[ChargePlacement]:
        """Place a batch; one placement for each charge, in the same order.

        Of one number in one batch the first is placed, and the others are its repeats.
        """
        return await self._place(charges, {})

    async def place_top_ups(self, top_ups: Sequence[PlaceTopUp]) -> list[TopUpPlacement]:
        """Place a batch of top-ups: charges of the platform's own, each under its id."""
        judged = await self._wallets.judge_top_ups(
            [
                TopUpQuestion(each.buyer, each.currency, each.amount_minor, each.id)
                for each in top_ups
            ]
        )
        async with self._db.reading() as tx:
            known = await store.load_orders(tx, [each.id for each in top_ups])
        good = [
            each
            for each, status in zip(top_ups, judged, strict=True)
            if status is TopUpStatus.ALLOWED or each.id in known
        ]
        buyers: dict[UUID, UUID] = {each.id: each.buyer for each in good}
        placed = iter(await self._place([_as_charge(each) for each in good], buyers))
        return [
            _top_up(next(placed))
            if each.id in buyers
            else TopUpPlacement(TopUpPlaceStatus(status.value))
            for each, status in zip(top_ups, judged, strict=True)
        ]

    async def _place(
        self, charges: Sequence[PlaceCharge], buyers: dict[UUID, UUID]
    ) -> list[ChargePlacement]:
        """Place charges, among them top-ups of `buyers`."""
        now = self._clock.now()
        suspended = await self._standing.suspended()
        keys = [self._seals.charge_key(each.merchant, each.number) for each in charges]
        async with self._db.reading() as tx:
            known = await store.load_by_idempotency(tx, keys)
        fresh: dict[bytes, PlaceCharge] = {}
        for key, charge in zip(keys, charges, strict=True):
            if key not in known:
                fresh.setdefault(key, charge)
        statuses = {
            key: decide.charge(charge, is_stopped=charge.merchant in suspended)
            if decide.is_id_timely(charge.id, now, self._settings.id_age_s_max)
            else ChargeStatus.ID_NOT_OF_NOW
            for key, charge in fresh.items()
        }
        counted = await self._limit(fresh, statuses, buyers)
        await self._screen(fresh, statuses)
        live = {key: each for key, each in fresh.items() if statuses[key] is ChargeStatus.PLACED}
        written = await self._write(live, buyers, now) if live else {}
        standing = {**known, **written}
        payable = {key: row for key, row in standing.items() if row["merchant"] not in suspended}
        away = await self._open_attempts(keys, charges, payable, set(live))
        placed = {row["id"] for row in written.values()} - away
        self._limiting.release([each for each in counted if each.order not in placed])
        placements = []
        for key, charge in zip(keys, charges, strict=True):
            row = standing.get(key)
            if row is None:
                placements.append(ChargePlacement(statuses[key]))
            elif decide.charge_hash(charge) != row["request_hash"]:
                placements.append(ChargePlacement(ChargeStatus.EXISTS_DIFFERENT))
            elif row["id"] in away:
                placements.append(ChargePlacement(ChargeStatus.METHOD_NOT_OFFERED))
            else:
                is_new = row["id"] == charge.id and key in live
                placements.append(self._placement(charge, row, is_new=is_new))
        return placements

    def _placement(self, charge: PlaceCharge, row: Row, *, is_new: bool) -> ChargePlacement:
        id = OrderId(row["id"])
        return ChargePlacement(
            ChargeStatus.PLACED if is_new else ChargeStatus.EXISTS,
            id,
            self._seals.order_secret(id),
            OrderState(row["state"]),
            row["expires_at"],
            derive(id, "attempt:1") if charge.method else None,
        )

    async def _limit(
        self,
        fresh: dict[bytes, PlaceCharge],
        statuses: dict[bytes, ChargeStatus],
        buyers: dict[UUID, UUID],
    ) -> list[Wanted]:
        """Refuse what is more than a merchant may sell; top-ups are nobody's sales.

        Gives what counts from here on.
        """
        live = [
            key
            for key, charge in fresh.items()
            if statuses[key] is ChargeStatus.PLACED and charge.id not in buyers
        ]
        wanted = [
            Wanted(each.id, each.merchant, each.amount_minor, each.currency)
            for each in map(fresh.__getitem__, live)
        ]
        counted = []
        judged = await self._limiting.judge(wanted)
        for key, each, is_within in zip(live, wanted, judged, strict=True):
            if is_within:
                counted.append(each)
            else:
                statuses[key] = ChargeStatus.LIMIT_REACHED
        return counted

    async def _screen(
        self, fresh: dict[bytes, PlaceCharge], statuses: dict[bytes, ChargeStatus]
    ) -> None:
        live = [key for key in fresh if statuses[key] is ChargeStatus.PLACED]
        if not live:
            return
        answers = await self._risk.screen_orders([self._question(fresh[key]) for key in live])
        for key, answer in zip(live, answers, strict=True):
            if answer.decision is RiskDecision.REFUSE:
                statuses[key] = ChargeStatus.RISK_REFUSED

    def _question(self, charge: PlaceCharge) -> RiskQuestion:
        return RiskQuestion(
            order=charge.id,
            merchant=charge.merchant,
            amount_minor=charge.amount_minor,
            currency=charge.currency,
            buyer="",  # Counts for nobody: only the address and the device do.
            address=self._seals.trace_hash("address", charge.address),
            device=self._seals.trace_hash("device", charge.device),
        )

    async def _write(
        self, live: dict[bytes, PlaceCharge], buyers: dict[UUID, UUID], now: datetime
    ) -> dict[bytes, Row]:
        """Write charges; give what stands under their numbers now, whoever was first."""
        seals = self._seals
        expires_at = now + timedelta(seconds=self._settings.pay_window_s)
        data_key = await seals.data_keys.newest()
        rows: list[store.NewOrder] = [
            (
                charge.id,
                charge.merchant,
                None,
                1,
                charge.amount_minor,
                charge.currency,
                now,
                expires_at,
                now.date(),
                b"",
                seals.seal_contact(data_key, charge.id, _NO_CONTACT),
                data_key.id,
                encode(
                    decide.charge_facts(
                        charge,
                        seals.trace_hash("address", charge.address),
                        seals.trace_hash("device", charge.device),
                        buyers.get(charge.id),
                    )
                ),
                decide.charge_hash(charge),
                key,
                charge.trace_id,
                buyers.get(charge.id),
                None,
                None,
            )
            for key, charge in live.items()
        ]

        async def write(*, is_plain: bool) -> set[UUID]:
            async with self._db.reading() as tx:
                return await store.insert_orders(tx, rows, is_plain=is_plain)

        await plain_first(write)
        async with self._db.reading() as tx:
            found = await store.load_by_idempotency(tx, list(live))
        if len(found) < len(live):
            raise Malformed("The id of a charge is that of another order; make it with new_id.")
        return found

    async def _open_attempts(
        self,
        keys: Sequence[bytes],
        charges: Sequence[PlaceCharge],
        standing: dict[bytes, Row],
        written: set[bytes],
    ) -> set[UUID]:
        """Open the first ways to pay, of repeats too; give the charges whose way is not offered.

        A process may have died between writing a charge and opening its way. What was written just
        now, and cannot be paid as it says, is withdrawn.
        """
        attempts = {
            row["id"]: _attempt(charge, row)
            for key, charge in zip(keys, charges, strict=True)
            if charge.method
            and (row := standing.get(key)) is not None
            and row["state"] == OrderState.PLACED
            and decide.charge_hash(charge) == row["request_hash"]
        }
        if not attempts:
            return set()
        statuses = await self._payments.open_attempts(list(attempts.values()))
        refused = {
            id for id, status in zip(attempts, statuses, strict=True) if status not in _OPENED
        }
        fresh = {standing[key]["id"] for key in written} & refused
        if fresh:
            async with self._db.reading() as tx:
                ended = OrderState.CANCELLED.value
                await store.end_unpaid(tx, list(fresh), ended, self._clock.now())
        return fresh


def _as_charge(top_up: PlaceTopUp) -> PlaceCharge:
    return PlaceCharge(
        id=top_up.id,
        merchant=WALLET_DESK,
        number=f"{top_up.id.hex}.{top_up.buyer.hex[:8]}",
        title=top_up.title,
        amount_minor=top_up.amount_minor,
        currency=top_up.currency,
        method=top_up.method,
        address=top_up.address,
        device=top_up.device,
        locale=top_up.locale,
        return_url=top_up.return_url,
        trace_id=top_up.trace_id,
    )


def _top_up(placed: ChargePlacement) -> TopUpPlacement:
    same = {status.value: status for status in TopUpPlaceStatus}
    return TopUpPlacement(
        same.get(placed.status.value, TopUpPlaceStatus.AMOUNT_TOO_LARGE),
        placed.order,
        placed.secret,
        placed.state,
        placed.expires_at,
        placed.attempt,
    )


def _attempt(charge: PlaceCharge, row: Row) -> Attempt:
    return Attempt(
        id=AttemptId(derive(row["id"], "attempt:1")),
        order=row["id"],
        number=1,
        merchant=row["merchant"],
        method=charge.method,
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        title=decode(row["facts"], decide.OrderFacts).title,
        expires_at=row["expires_at"],
        return_url=charge.return_url,
        trace_id=row["trace_id"],
        country=charge.country,
        device=decide.device(charge.browser),
    )
