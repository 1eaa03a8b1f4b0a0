"""Complaining: complaints are opened and moved step by step, each step written once."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.disputes import DisputeState
from vendrail.api.orders import OrderId, OrderView, RefundView
from vendrail.api.support import (
    ComplaintQuery,
    ComplaintState,
    ComplaintStep,
    ComplaintView,
    OpenComplaint,
    OpenStatus,
    Party,
    Remedy,
    Side,
    StepStatus,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.ids import to_serial
from vendrail.kernel.numbers import Found, FoundKind, by_number, check, ids_in
from vendrail.support import decide
from vendrail.support.decide import COMPLAINT, Claim, Event, Move, Standing
from vendrail.support.service.carrying import Carrying
from vendrail.support.service.ground import Ground, LetterFacts, Told
from vendrail.support.store import claims, complaints
from vendrail.support.store.talks import NewMessage

_PAGE_MAX = 200
_LAPSED_MAX = 50
_STEPS = {
    decide.Event.GRANTED: "granted",
    decide.Event.OFFERED: "offered",
    decide.Event.ACCEPTED: "accepted",
    decide.Event.CONCEDED: "conceded",
    decide.Event.ESCALATED: "escalated",
    decide.Event.WITHDRAWN: "withdrawn",
    decide.Event.RULED: "ruled",
    decide.Event.DENIED: "denied",
}
_AT_ONCE = Move(Event.GRANTED, Remedy.REPLACE, 0, Side.WARRANTY)
_BUYER = "support.claim"


class Complaining:
    """Takes what people do about complaints; few at once, so one by one."""

    def __init__(self, ground: Ground, carrying: Carrying) -> None:
        self._ground = ground
        self._db = ground.db
        self._carrying = carrying

    async def open_complaints(self, asked: Sequence[OpenComplaint]) -> list[OpenStatus]:
        """Open complaints, and freeze their orders' money."""
        views = await self._ground.find_orders(
            [(each.order, Party(Side.BUYER, each.secret)) for each in asked]
        )
        refunds = await self._ground.orders.read_refunds([OrderId(each.order) for each in asked])
        statuses = []
        for each, view, gone in zip(asked, views, refunds, strict=True):
            if view is None:
                statuses.append(OpenStatus.ORDER_NOT_FOUND)
            else:
                statuses.append(await self._open(each, view, gone))
        await self._carrying.try_work([each.id for each in asked])
        return statuses

    async def _open(
        self, asked: OpenComplaint, order: OrderView, refunds: Sequence[RefundView]
    ) -> OpenStatus:
        ground = self._ground
        now = ground.clock.now()
        async with self._db.reading() as tx:
            known = (await complaints.load(tx, [asked.id])).get(asked.id)
        if known is not None:
            return _is_same(known, asked)
        status = decide.complain(asked, order, refunds, ground.limits, now)
        if status is not OpenStatus.OPENED:
            return status
        view = ComplaintView(
            asked.id,
            order.id,
            order.merchant,
            asked.kind,
            decide.positions_of(asked, order) or [],
            ComplaintState.OPEN,
            decide.left_minor(order, refunds),
            order.currency,
            now,
            ground.limits.due_at(ComplaintState.OPEN, now),
            title=order.title,
        )
        told = Told("opened", Side.BUYER, text=asked.text)
        line = await ground.sealed_note(order.id, told, now)
        at_once = await ground.sealed_note(order.id, Told("", Side.WARRANTY), now)
        claim, buyer = await self._claim(asked, order, refunds)
        facts = LetterFacts("opened", hours=ground.settings.answer_hours)
        is_claimed = False
        async with self._db.transaction() as tx:
            can_replace = order.delivery == "unique_key"
            rows = (await complaints.load_of_orders(tx, [order.id])).get(order.id, [])
            if all(row["id"] != asked.id for row in rows):
                status = decide.again(
                    asked, view.positions, [complaints.view_of(row) for row in rows], now
                )
                if status is not OpenStatus.OPENED:
                    return status
            if not await complaints.add(tx, asked, view, can_replace=can_replace):
                known = (await complaints.load(tx, [asked.id])).get(asked.id)
                return _is_same(known, asked) if known is not None else OpenStatus.ONE_IS_OPEN
            await ground.note(tx, order.merchant, line)
            if claim is not None and await self._take_claim(tx, view, claim, buyer):
                row = await complaints.lock(tx, asked.id)
                assert row is not None  # It was written above.
                await self._move(tx, row, _AT_ONCE, at_once, "")
                is_claimed = True
            else:
                await ground.tell(tx, asked.id, order.id, Side.MERCHANT, facts)
        if claim is not None:
            outcome = "taken" if is_claimed else "over_limit"
            ground.metrics.count("vendrail_warranty_claims_total", outcome)
        ground.metrics.count("vendrail_complaint_steps_total", "opened")
        ground.wake(order.id)
        return OpenStatus.OPENED

    async def _claim(
        self, asked: OpenComplaint, order: OrderView, refunds: Sequence[RefundView]
    ) -> tuple[Claim | None, bytes]:
        """Say what the order's warranty replaces without asking, and whose it is.

        Whoever has the payer's bank take the money back, or had it, is answered by the merchant.
        """
        ground = self._ground
        claim = decide.claim(asked, order, refunds, ground.clock.now())
        if claim is None:
            return None, b""
        [disputed] = await ground.disputes.read_order_disputes([order.id])
        [addressee] = await ground.orders.read_addressees([order.id])
        if addressee is None or any(each.state is not DisputeState.WON for each in disputed):
            return None, b""
        return claim, ground.vault.keyed_hash(_BUYER, addressee.contact.encode())[:16]

    async def _take_claim(
        self, tx: Transaction, view: ComplaintView, claim: Claim, buyer: bytes
    ) -> bool:
        """Write a claim down, if it keeps to its limits."""
        now = view.opened_at
        await claims.lock_buyer(tx, view.merchant, buyer)
        before = await claims.sum_before(tx, view.order, view.merchant, buyer, now)
        if not decide.is_within(claim, before):
            return False
        await claims.add(tx, view.id, claim, (view.order, view.merchant, buyer), now)
        return True

    async def take_steps(self, steps: Sequence[ComplaintStep]) -> list[StepStatus]:
        """Take what people do; what is decided is carried out by itself."""
        ids = [step.complaint for step in steps]
        async with self._db.reading() as tx:
            known = await complaints.load(tx, ids)
        found = [step for step in steps if step.complaint in known]
        views = await self._ground.find_orders(
            [(known[step.complaint]["order"], step.by) for step in found]
        )
        theirs = {step.id for step, view in zip(found, views, strict=True) if view is not None}
        statuses = [
            await self._take(step) if step.id in theirs else StepStatus.COMPLAINT_NOT_FOUND
            for step in steps
        ]
        await self._carrying.try_work(ids)
        return statuses

    async def _take(self, step: ComplaintStep) -> StepStatus:
        ground = self._ground
        now = ground.clock.now()
        async with self._db.reading() as tx:
            order = (await complaints.load(tx, [step.complaint]))[step.complaint]["order"]
        # Sealed before, for nobody is called in a transaction; what kind of step it is comes later.
        told = Told("", step.by.side, step.by.person, text=step.text)
        line = await ground.sealed_note(order, told, now)
        async with self._db.transaction() as tx:
            row = await complaints.lock(tx, step.complaint)
            assert row is not None  # It was there before, and none is ever deleted.
            if await complaints.has_step(tx, step.id):
                return StepStatus.EXISTS
            move = decide.take(step, _standing(row))
            if isinstance(move, StepStatus):
                return move
            if not await complaints.add_step(tx, step, move.offer_minor, now):
                return StepStatus.EXISTS
            await self._move(tx, row, move, line, step.by.person)
        ground.metrics.count("vendrail_complaint_steps_total", _STEPS[move.event])
        ground.wake(row["order"])
        return StepStatus.TAKEN

    async def _move(
        self, tx: Transaction, row: Row, move: Move, line: NewMessage, person: str
    ) -> None:
        """Write where a complaint stands after a move, and tell whom it concerns."""
        ground, now = self._ground, line.at
        state = COMPLAINT.next(ComplaintState(row["state"]), move.event)
        ended = decide.outcome(move, state)
        is_work = state in (ComplaintState.CARRYING, ComplaintState.CLOSED)
        view = replace(
            complaints.view_of(row),
            state=state,
            due_at=ground.limits.due_at(state, now),
            remedy=move.remedy,
            offer_minor=move.offer_minor,
            decided_by=move.by,
            outcome=ended,
            ended_at=now if ended else None,
            problem="",
        )
        await complaints.move(
            tx,
            view,
            person=person,
            turn=row["turn"] + (state is ComplaintState.CARRYING),
            work_at=now if is_work else None,
            at=now,
        )
        step = _STEPS[move.event]
        told = line._replace(step=step, remedy=move.remedy, amount_minor=move.offer_minor)
        await ground.note(tx, view.merchant, told)
        subject = line.id
        facts = LetterFacts(step, move.offer_minor, view.currency)
        for side in _concerned(move, state):
            await ground.tell(tx, subject, view.order, side, facts)

    async def lapse(self) -> bool:
        """Move on what waited too long for somebody; true: there may be more."""
        ground = self._ground
        now = ground.clock.now()
        async with self._db.transaction() as tx:
            rows = await complaints.lock_lapsed(tx, now, _LAPSED_MAX)
            for row in rows:
                move = decide.lapse(_standing(row))
                line = await ground.sealed_note(row["order"], Told("", Side.LIMIT), now)
                await self._move(tx, row, move, line, "")
        steps = [(f"limit_{row['state']}",) for row in rows]
        ground.metrics.count_each("vendrail_complaint_steps_total", steps)
        for row in rows:
            ground.wake(row["order"])
        return len(rows) == _LAPSED_MAX

    async def read_complaints(self, ids: Sequence[UUID]) -> list[ComplaintView | None]:
        """Read complaints as they stand."""
        async with self._db.reading() as tx:
            rows = await complaints.load(tx, ids)
        return [complaints.view_of(rows[id]) if id in rows else None for id in ids]

    async def find_numbers(self, numbers: Sequence[str]) -> list[list[Found]]:
        """Find complaints by their ids."""
        check(numbers)
        ids = ids_in(numbers)
        async with self._db.reading() as tx:
            rows = await complaints.load(tx, list(ids.values()))
        found = [
            Found(
                FoundKind.COMPLAINT,
                id,
                to_serial(id),
                row["opened_at"],
                row["order"],
                (row["merchant"],),
            )
            for id, row in rows.items()
        ]
        return by_number(numbers, [(each.id, each) for each in found])

    async def list_complaints(self, queries: Sequence[ComplaintQuery]) -> list[list[ComplaintView]]:
        """List complaints, newest first."""
        async with self._db.reading() as tx:
            return [
                await complaints.load_page(
                    tx, replace(each, complaints_max=min(each.complaints_max, _PAGE_MAX))
                )
                for each in queries
            ]


def _standing(row: Row) -> Standing:
    view = complaints.view_of(row)
    return Standing(
        view.state, view.amount_minor, row["can_replace"], view.remedy, view.offer_minor
    )


def _is_same(known: Row, asked: OpenComplaint) -> OpenStatus:
    is_same = known["order"] == asked.order and known["kind"] == str(asked.kind)
    return OpenStatus.EXISTS if is_same else OpenStatus.EXISTS_DIFFERENT


def _concerned(move: Move, state: ComplaintState) -> list[Side]:
    """Say who is told of a move by letter: those whose turn it is, or whom it decides for."""
    if state is ComplaintState.ESCALATED:
        return [Side.MERCHANT, Side.OPERATOR]
    if state is ComplaintState.ANSWERED:
        return [Side.BUYER]
    if state is ComplaintState.CLOSED and move.by is Side.BUYER:
        return [Side.MERCHANT]
    if state is ComplaintState.CLOSED or move.by in (Side.OPERATOR, Side.LIMIT):
        return [Side.BUYER, Side.MERCHANT]
    return []
