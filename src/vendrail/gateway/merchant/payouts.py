"""Merchants' payouts: listed, asked for, read; when they go out; where shares went."""

from datetime import timedelta
from uuid import UUID

import msgspec

from vendrail.api.identity import NOT_DONE
from vendrail.api.orders import Orders, OrderSearch
from vendrail.api.payouts import (
    NewPayout,
    PaidOut,
    PaidOutQuery,
    Payee,
    PayeeId,
    PayoutId,
    PayoutQuery,
    Payouts,
    PayoutSchedule,
    PayoutState,
    PayoutStatus,
    PayoutView,
    ScheduleKind,
    SchedulePutStatus,
    ScheduleView,
)
from vendrail.api.settlement import DueShare, Settlement
from vendrail.gateway.exchange import Answer, Exchange, Refusal, said
from vendrail.gateway.merchant import asked, problems
from vendrail.gateway.merchant.keyring import Keyring, Program, idempotency_key
from vendrail.gateway.merchant.payoutbodies import (
    AskPayoutBody,
    PaidOutBody,
    PaidOutListBody,
    PayeeBody,
    PayeeListBody,
    PayoutBody,
    PayoutListBody,
    PutScheduleBody,
    ReleaseBody,
    ReleaseListBody,
    ScheduleBody,
    TakenBody,
    TakenListBody,
)
from vendrail.gateway.problems import BODY_MALFORMED, QUERY_MALFORMED
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, first_id_at, from_serial, to_serial
from vendrail.kernel.money import EXPONENTS

_ASK = msgspec.json.Decoder(AskPayoutBody)
_PUT = msgspec.json.Decoder(PutScheduleBody)
_BYTES_MAX = 16_384
_HOUR, _HOURS = timedelta(hours=1), 25  # An idempotency key is known for a day.
_REPLAYED = (b"idempotency-replayed", b"true")


class PayoutRoom:
    """Answers about a merchant's money on its way out."""

    def __init__(
        self,
        payouts: Payouts,
        orders: Orders,
        settlement: Settlement,
        keyring: Keyring,
        clock: Clock,
        default_currency: str,
    ) -> None:
        self._payouts = payouts
        self._orders = orders
        self._settlement = settlement
        self._keyring = keyring
        self._clock = clock
        self._default_currency = default_currency

    async def list_payees(self, _: Exchange, program: Program, __: str) -> Answer:
        """List the accounts that money may go to."""
        [found] = await self._payouts.list_payees([program.merchant])
        return said(200, encode(PayeeListBody([_payee(each) for each in found])))

    async def list_payouts(self, exchange: Exchange, program: Program, _: str) -> Answer:
        """List a page of payouts."""
        query = exchange.query()
        state, before = query.get("state", ""), asked.before(query)
        if state and state not in list(PayoutState):
            raise Refusal(QUERY_MALFORMED, f"state is one of {', '.join(PayoutState)}.")
        most = asked.limit(query)
        wanted = PayoutQuery(
            program.merchant,
            [PayoutState(state)] if state else [],
            PayoutId(before) if before else None,
            most,
        )
        [found] = await self._payouts.list_payouts([wanted])
        last = to_serial(found[-1].id) if found and len(found) == most else None
        return said(200, encode(PayoutListBody([_payout(each) for each in found], last)))

    async def read_payout(self, _: Exchange, program: Program, serial: str) -> Answer:
        """Read one payout."""
        return said(200, encode(_payout(await self._own(program, serial))))

    async def list_shares(self, _: Exchange, program: Program, serial: str) -> Answer:
        """List what one payout was made of."""
        view = await self._own(program, serial)
        [found] = await self._payouts.find_taken([view.id])
        items = [TakenBody(e.code, to_serial(e.subject), e.amount_minor, e.at) for e in found]
        return said(200, encode(TakenListBody(items)))

    async def _own(self, program: Program, serial: str) -> PayoutView:
        """Give a payout of the merchant's; another's is not found."""
        try:
            id = PayoutId(from_serial(serial))
        except Malformed:
            raise Refusal(problems.PAYOUT_NOT_FOUND) from None
        [view] = await self._payouts.read_payouts([id])
        if view is None or view.merchant != program.merchant:
            raise Refusal(problems.PAYOUT_NOT_FOUND)
        return view

    async def ask_payout(self, exchange: Exchange, program: Program, _: str) -> Answer:
        """Ask for a payout; the same key gives the same payout again."""
        key = idempotency_key(exchange)
        body = await exchange.json(_ASK, _BYTES_MAX)
        try:
            payee = PayeeId(from_serial(body.payee))
        except Malformed:
            raise Refusal(problems.PAYOUT[PayoutStatus.PAYEE_NOT_FOUND]) from None
        if body.currency not in EXPONENTS:
            raise Refusal(problems.PAYOUT[PayoutStatus.CURRENCY_NOT_OFFERED])
        id = await self._id(program, key)
        subject = f"payout:{to_serial(id)}"
        after = {"amount_minor": str(body.amount_minor), "currency": body.currency}
        await self._keyring.record(
            program, "payout.requested", subject, once=id.hex, after=after | {"payee": body.payee}
        )
        new = NewPayout(
            id, program.merchant, payee, body.amount_minor, body.currency, by=program.key.prefix
        )
        [status] = await self._payouts.request_payouts([new])
        if status not in (PayoutStatus.TAKEN, PayoutStatus.EXISTS):
            await self._keyring.record(
                program,
                "payout.requested",
                subject,
                once=f"{id.hex}:{status}",
                after={NOT_DONE: status},
            )
            raise Refusal(problems.PAYOUT[status])
        [made] = await self._payouts.read_payouts([id])
        assert made is not None
        replayed = (_REPLAYED,) if status is PayoutStatus.EXISTS else ()
        return said(201, encode(_payout(made)), replayed)

    async def _id(self, program: Program, key: str) -> PayoutId:
        """Give the one payout of an idempotency key: this hour's, unless an earlier one is there.

        Payouts are listed in the order of their ids, so that an id begins with its hour.
        """
        hour = self._clock.now().replace(minute=0, second=0, microsecond=0)
        heads = (first_id_at(hour - number * _HOUR).int for number in range(_HOURS))
        # Version 7 is told by four bits; `derive` keeps them.
        ids = [
            PayoutId(derive(UUID(int=head | 7 << 76), f"payout:{program.key.id}:{key}"))
            for head in heads
        ]
        found = await self._payouts.read_payouts(ids)
        return next((each.id for each in found if each is not None), ids[0])

    async def read_schedule(self, _: Exchange, program: Program, currency: str) -> Answer:
        """Read when money in one currency goes out by itself."""
        if currency not in EXPONENTS:
            raise Refusal(problems.SCHEDULE_NOT_FOUND)
        [view] = await self._payouts.read_schedules([(program.merchant, currency)])
        return said(200, encode(_schedule(view)))

    async def put_schedule(self, exchange: Exchange, program: Program, currency: str) -> Answer:
        """Choose when it does."""
        if currency not in EXPONENTS:
            raise Refusal(problems.SCHEDULE_NOT_FOUND)
        body = await exchange.json(_PUT, _BYTES_MAX)
        try:
            payee = PayeeId(from_serial(body.payee)) if body.payee else None
        except Malformed:
            raise Refusal(problems.SCHEDULE[SchedulePutStatus.PAYEE_NOT_FOUND]) from None
        if body.kind not in list(ScheduleKind):
            raise Refusal(BODY_MALFORMED, f"kind is one of {', '.join(ScheduleKind)}.")
        new = PayoutSchedule(
            program.merchant,
            currency,
            ScheduleKind(body.kind),
            payee,
            body.zone,
            body.hour,
            body.day,
            body.threshold_minor,
            program.key.prefix,
        )
        after = {
            "currency": currency,
            "kind": body.kind,
            "payee": body.payee,
            "zone": body.zone,
            "hour": str(body.hour),
            "day": str(body.day),
            "threshold_minor": str(body.threshold_minor),
        }
        [before] = await self._payouts.read_schedules([(program.merchant, currency)])
        subject = f"merchant:{to_serial(program.merchant)}"
        once = f"{self._clock.now().isoformat()}"
        await self._keyring.record(
            program,
            "payout_schedule.changed",
            subject,
            once=once,
            before={"kind": before.schedule.kind.value},
            after=after,
        )
        [status] = await self._payouts.put_schedules([new])
        if status not in (SchedulePutStatus.CHANGED, SchedulePutStatus.UNCHANGED):
            await self._keyring.record(
                program,
                "payout_schedule.changed",
                subject,
                once=f"{once}:{status}",
                after={NOT_DONE: status},
            )
            raise Refusal(problems.SCHEDULE[status])
        [view] = await self._payouts.read_schedules([(program.merchant, currency)])
        return said(200, encode(_schedule(view)))

    async def list_releases(self, exchange: Exchange, program: Program, _: str) -> Answer:
        """List what becomes available when, what is due soonest first."""
        currency = exchange.query().get("currency") or self._default_currency
        if currency not in EXPONENTS:
            raise Refusal(QUERY_MALFORMED, f"currency is one of {', '.join(sorted(EXPONENTS))}.")
        [found] = await self._settlement.read_due_shares([(program.merchant, currency)])
        body = ReleaseListBody([_release(each, currency) for each in found])
        return said(200, encode(body))

    async def list_paid_out(self, _: Exchange, program: Program, serial: str) -> Answer:
        """List the payouts that took an order's share."""
        try:
            id = from_serial(serial)
        except Malformed:
            raise Refusal(problems.ORDER_NOT_FOUND) from None
        [found] = await self._orders.find_orders([OrderSearch(program.merchant, to_serial(id))])
        order = next((each.view for each in found if each.view.id == id), None)
        if order is None:
            raise Refusal(problems.ORDER_NOT_FOUND)
        query = PaidOutQuery(order.id, program.merchant, order.currency)
        [paid] = await self._payouts.find_paid_out([query])
        return said(
            200, encode(PaidOutListBody([_paid_out(each, order.currency) for each in paid]))
        )


def _payee(payee: Payee) -> PayeeBody:
    return PayeeBody(
        to_serial(payee.id),
        payee.kind,
        payee.shown,
        payee.state,
        payee.currencies,
        payee.usable_at,
    )


def _payout(view: PayoutView) -> PayoutBody:
    return PayoutBody(
        to_serial(view.id),
        to_serial(view.payee),
        view.shown,
        view.amount_minor,
        view.fee_minor,
        view.currency,
        view.origin,
        view.state,
        view.problem,
        view.provider_number,
        view.asked_at,
        view.sent_at,
        view.ended_at,
    )


def _schedule(view: ScheduleView) -> ScheduleBody:
    schedule = view.schedule
    return ScheduleBody(
        schedule.currency,
        schedule.kind,
        to_serial(schedule.payee) if schedule.payee else None,
        schedule.zone,
        schedule.hour,
        schedule.day,
        schedule.threshold_minor,
        view.due_at,
        view.outcome or "",
        view.outcome_at,
        to_serial(view.payout) if view.payout else None,
    )


def _release(share: DueShare, currency: str) -> ReleaseBody:
    return ReleaseBody(share.part, share.due_at, share.amount_minor, currency)


def _paid_out(paid: PaidOut, currency: str) -> PaidOutBody:
    return PaidOutBody(to_serial(paid.payout), paid.amount_minor, currency, paid.at)
