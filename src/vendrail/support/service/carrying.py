"""Carrying: money is frozen while a complaint stands; what was decided is done, then it is closed.

Each thing that is done has an id of its own and may be asked again: whoever finds the work due does
it, and should two do it, it is done once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from vendrail.api.orders import (
    OrderId,
    OrderState,
    RefundOrder,
    RefundOrderStatus,
    ReplaceItems,
    ReplacementView,
    ReplaceStatus,
)
from vendrail.api.settlement import Freeze
from vendrail.api.support import ComplaintState, Outcome, Party, Remedy, Side
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Row
from vendrail.kernel.errors import Error
from vendrail.kernel.ids import derive, first_id_at, to_serial
from vendrail.support.decide import COMPLAINT, Event, instead
from vendrail.support.service.ground import Ground, LetterFacts, Told
from vendrail.support.store import claims, complaints

_log = structlog.get_logger(__name__)

WARRANTY = "the warranty"  # Who replaced a key that nobody was asked for.
_OPERATOR = Party(Side.OPERATOR)
_LOST = timedelta(seconds=60)
_AGAIN = timedelta(seconds=2)
_DISPUTED_AGAIN = timedelta(minutes=10)  # Banks take weeks.
_WORKS_MAX = 50
_OUTCOMES = {
    Remedy.REPLACE: Outcome.REPLACED,
    Remedy.REFUND: Outcome.REFUNDED,
    Remedy.PART: Outcome.PART_REFUNDED,
}
_UNDER_WAY = (RefundOrderStatus.ACCEPTED, RefundOrderStatus.EXISTS)
_REPLACED = (ReplaceStatus.REPLACED, ReplaceStatus.EXISTS)
# What is replaced has changed, maybe while an earlier try is under way: it is looked at again.
_MOVED = (ReplaceStatus.CHANGED_SINCE, ReplaceStatus.EXISTS_DIFFERENT)


class Carrying:
    """Looks after the money and the keys of complaints."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._db = ground.db

    async def try_work(self, ids: Sequence[UUID]) -> None:
        """Do at once what can be done; what cannot is done by the loop."""
        try:
            while await self._work(ids):
                pass
        except Error as error:
            _log.warning("support.work_waits", error=str(error))

    async def work(self) -> bool:
        """Do what is due; true: there may be more."""
        return await self._work(None)

    async def _work(self, ids: Sequence[UUID] | None) -> bool:
        now = self._ground.clock.now()
        async with self._db.transaction() as tx:
            rows = await complaints.claim_work(tx, now, now + _LOST, ids, _WORKS_MAX)
        for row in rows:
            await self._look_after(row, now)
        return bool(rows)

    async def _look_after(self, row: Row, now: datetime) -> None:
        state = ComplaintState(row["state"])
        if state is ComplaintState.CLOSED:
            await self._ground.settlement.unfreeze_money([_freeze(row)])
            await self._settle(row, None, None)
            return
        [frozen] = await self._ground.settlement.freeze_money([_freeze(row)])
        if state is not ComplaintState.CARRYING:
            await self._settle(row, frozen.frozen_minor, None)
            return
        is_replacing = row["remedy"] == Remedy.REPLACE
        problem = await (self._replace(row) if is_replacing else self._refund(row))
        if problem is None:
            [is_disputed] = await self._ground.settlement.find_disputed([row["order"]])
            again = _DISPUTED_AGAIN if is_disputed else _AGAIN
            await self._settle(row, frozen.frozen_minor, now + again)
        else:
            await self._end(row, problem)

    async def _settle(self, row: Row, frozen_minor: int | None, work_at: datetime | None) -> None:
        async with self._db.reading() as tx:
            await complaints.settle_work(tx, row["id"], row["state"], frozen_minor, work_at)

    async def _refund(self, row: Row) -> str | None:
        """Give the money back; None: it is under way, empty: it has arrived, else what is wrong."""
        order, orders = OrderId(row["order"]), self._ground.orders
        id = derive(row["id"], f"refund:{row['turn']}")
        amount_minor = row["offer_minor"] if row["remedy"] == Remedy.PART else 0
        reason = f"complaint {to_serial(row['id'])}"
        asked = RefundOrder(id, order, amount_minor, reason, _by(row))
        [status] = await orders.refund_orders([asked])
        [refunds] = await orders.read_refunds([order])
        mine = next((each for each in refunds if each.id == id), None)
        if status in _UNDER_WAY and mine is not None:
            return {"paid": "", "failed": "refund_failed"}.get(mine.state)
        [view] = await self._ground.find_orders([(order, _OPERATOR)])
        if status is RefundOrderStatus.DISPUTED:
            return None  # First the payer's bank decides.
        if view is not None and view.state is OrderState.REFUNDING:
            return None
        if view is not None and view.refunded_minor >= view.amount_minor:
            return ""  # Somebody has given all of it back meanwhile.
        return f"refund_{status}"

    async def _replace(self, row: Row) -> str | None:
        order, orders = OrderId(row["order"]), self._ground.orders
        [before] = await orders.read_replacements([order])
        id = derive(row["id"], f"replace:{row['turn']}")
        if any(each.id == id for each in before):
            return ""
        by = _by(row)
        reason = f"complaint {to_serial(row['id'])}"
        positions = _dead(row, before)
        if not positions:
            return ""  # Somebody has replaced all of them since the buyer wrote.
        [status] = await orders.replace_items(
            [ReplaceItems(id, order, positions, reason, by, len(before))]
        )
        if status in _MOVED:
            return None
        return "" if status in _REPLACED else f"replace_{status}"

    async def _end(self, row: Row, problem: str) -> None:
        """Close what was done; what cannot be done is the operator's turn."""
        ground = self._ground
        if problem and (row["decided_by"], row["remedy"]) == (Side.WARRANTY, Remedy.REPLACE):
            await self._miss(row)
            return
        now, event = ground.clock.now(), Event.FAILED if problem else Event.DONE
        step = "failed" if problem else "done"
        remedy = Remedy(row["remedy"])
        told = Told(step, Side.LIMIT, remedy=remedy, amount_minor=row["offer_minor"])
        line = await ground.sealed_note(row["order"], told, now)
        async with self._db.transaction() as tx:
            held = await complaints.lock(tx, row["id"])
            if held is None or (held["state"], held["turn"]) != (row["state"], row["turn"]):
                return  # Another process has ended it.
            state = COMPLAINT.next(ComplaintState.CARRYING, event)
            view = replace(
                complaints.view_of(held),
                state=state,
                due_at=ground.limits.due_at(state, now),
                outcome=None if problem else _OUTCOMES[remedy],
                ended_at=None if problem else now,
                problem=problem,
            )
            await complaints.move(
                tx, view, person=held["person"], turn=held["turn"], work_at=now, at=now
            )
            await ground.note(tx, view.merchant, line)
            facts = LetterFacts(
                "failed" if problem else str(view.outcome), view.offer_minor, view.currency
            )
            sides = (Side.OPERATOR,) if problem else (Side.BUYER, Side.MERCHANT)
            for side in sides:
                await ground.tell(tx, line.id, view.order, side, facts)
        ground.metrics.count("vendrail_complaint_steps_total", step)
        ground.wake(row["order"])

    async def _miss(self, row: Row) -> None:
        """Give the price of a warranty's key that is not there back, or ask the merchant."""
        ground = self._ground
        now = ground.clock.now()
        [before] = await ground.orders.read_replacements([OrderId(row["order"])])
        is_whole = _dead(row, before) == _claimed(row)
        line = await ground.sealed_note(row["order"], Told("", Side.WARRANTY), now)
        async with self._db.transaction() as tx:
            held = await complaints.lock(tx, row["id"])
            if held is None or (held["state"], held["turn"]) != (row["state"], row["turn"]):
                return  # Another process has moved it on.
            claim = await claims.miss(tx, row["id"], now)
            move = instead(claim["refund_minor"] if is_whole else None, held["amount_minor"])
            state = COMPLAINT.next(ComplaintState.CARRYING, move.event)
            is_asked = state is ComplaintState.OPEN
            view = replace(
                complaints.view_of(held),
                state=state,
                due_at=ground.limits.due_at(state, now),
                remedy=move.remedy,
                offer_minor=move.offer_minor,
                decided_by=None if is_asked else move.by,
            )
            turn = held["turn"] + (not is_asked)
            await complaints.move(tx, view, person="", turn=turn, work_at=now, at=now)
            step = "unstocked" if is_asked else "repaid"
            told = line._replace(step=step, remedy=move.remedy, amount_minor=move.offer_minor)
            await ground.note(tx, view.merchant, told)
            if is_asked:
                facts = LetterFacts("opened", hours=ground.settings.answer_hours)
                await ground.tell(tx, line.id, view.order, Side.MERCHANT, facts)
        ground.metrics.count("vendrail_warranty_claims_total", step)
        ground.wake(row["order"])


def _claimed(row: Row) -> list[int]:
    return list(row["positions"]) or [1]


def _dead(row: Row, before: Sequence[ReplacementView]) -> list[int]:
    """Give the positions to replace; a warranty leaves those that got a key since the claim.

    Its buyer has not tried those. A claim's id is of the moment its form was shown.
    """
    if row["decided_by"] != Side.WARRANTY:
        return _claimed(row)
    newer = [each.positions for each in before if first_id_at(each.at) > row["id"]]
    return [each for each in _claimed(row) if not any(each in known for known in newer)]


def _by(row: Row) -> str:
    is_promised = row["decided_by"] == Side.WARRANTY
    return WARRANTY if is_promised else row["person"] or "a limit of time"


def _freeze(row: Row) -> Freeze:
    return Freeze(row["id"], row["order"], row["merchant"], row["amount_minor"], row["currency"])
