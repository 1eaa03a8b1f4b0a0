"""What goes wrong with what was sold: complaints, dead keys, and money that banks take back."""

import asyncio
from collections.abc import Sequence

from simkit.actors import Violation

from monthkit.asking import Asking
from monthkit.banks import Banks
from monthkit.buyers import Agenda, Buyers, Life
from monthkit.plans import After
from vendrail.api.disputes import DisputeAnswer, Disputes, DisputeState
from vendrail.api.orders import Orders, ReplaceItems
from vendrail.api.support import (
    ComplaintQuery,
    ComplaintState,
    ComplaintStep,
    OpenComplaint,
    Party,
    Remedy,
    Side,
    StepKind,
    Support,
)
from vendrail.kernel.ids import derive, new_id, shard_in

_OPERATOR = Party(Side.OPERATOR, person="op@example.com")
_PAGE = 100


class Quarrels:
    """Buyers who complain, merchants who answer, banks who take back, and who decides."""

    def __init__(self, asking: Asking, banks: Banks, buyers: Buyers, agenda: Agenda) -> None:
        self._asking = asking
        self._banks = banks
        self._buyers = buyers
        self._agenda = agenda
        buyers.after |= {
            After.REPLACE: self._replace,
            After.COMPLAIN: self._complain,
            After.CHARGEBACK: self._take_back,
            After.CHARGEBACK_AND_REFUND: self._take_back_and_refund,
            After.CHARGEBACK_AND_COMPLAINT: self._take_back_and_complain,
        }

    async def _replace(self, life: Life) -> None:
        """The merchant gives another key without being asked."""
        wanted = ReplaceItems(
            derive(life.order, "replacement"), life.order, [1], "simulated", "shop@example.com"
        )
        [status] = await self._asking.ask(Orders, "replace_items", [wanted])
        self._asking.check("replace", status, {"replaced", "exists"}, life.plan)

    # Complaints.

    async def _complain(self, life: Life) -> None:
        plan = life.plan.complaint
        id = new_id(self._asking.now(), shard_in(life.order))
        asked = OpenComplaint(id, life.order, life.secret, plan.kind, "It does not work.")
        [status] = await self._asking.ask(Support, "open_complaints", [asked])
        may = {"opened", "exists"} | ({"nothing_left"} if life.case else set())
        self._asking.check("complain", status, may, life.plan)
        if status == "nothing_left":
            return
        life.complaint = id
        if plan.answer is not None:
            self._agenda.later(plan.answer_in, lambda: self._answer(life))

    async def _answer(self, life: Life) -> None:
        """The merchant offers, grants or rejects."""
        plan = life.plan.complaint
        staff = Party(Side.MERCHANT, merchant=life.merchant.id, person="shop@example.com")
        status = await self._step(life, staff, StepKind.ANSWER, plan.answer)
        if plan.reply is not None and status in ("taken", "exists"):
            self._agenda.later(plan.reply_in, lambda: self._reply(life))

    async def _reply(self, life: Life) -> None:
        """The buyer takes it, or does not."""
        assert life.plan.complaint.reply is not None
        buyer = Party(Side.BUYER, life.secret)
        await self._step(life, buyer, life.plan.complaint.reply, None)

    async def rule(self) -> None:
        """Let the operator decide what has come before them; a while later for some."""
        query = ComplaintQuery(None, [ComplaintState.ESCALATED], complaints_max=_PAGE)
        [views] = await self._asking.ask(Support, "list_complaints", [query])
        for view in views:
            life = self._buyers.lives[view.order]
            waited = self._asking.now() - view.opened_at
            if waited.total_seconds() > 3_600 * life.plan.complaint.ruling_in:
                await self._step(life, _OPERATOR, StepKind.RULE, _ruling(life, view.problem))

    async def _step(self, life: Life, by: Party, kind: StepKind, remedy: Remedy | None) -> str:
        [view] = await self._asking.ask(Support, "read_complaints", [life.complaint])
        if view is None:
            raise Violation(f"A complaint is gone: {life}")
        if remedy is Remedy.PART and view.amount_minor < 2:
            remedy = Remedy.REJECT
        amount = max(1, int(view.amount_minor * life.plan.share)) if remedy is Remedy.PART else 0
        id = new_id(self._asking.now())
        step = ComplaintStep(id, view.id, by, kind, remedy, amount, "So it is.")
        [status] = await self._asking.ask(Support, "take_steps", [step])
        may = {"taken", "exists", "not_their_turn"}  # A limit may have come before them.
        self._asking.check(f"{by.side} {kind} {remedy or ''}", status, may, life.plan)
        return status

    # What banks take back.

    async def _take_back(self, life: Life) -> None:
        life.case = await asyncio.to_thread(self._banks.dispute, life.number)
        self._asking.tally["act: bank takes back"] += 1
        plan = life.plan.chargeback
        if plan.is_answered:
            self._agenda.later(2, lambda: self._contest(life))
        self._agenda.later(plan.closes_in, lambda: self._close(life))

    async def _take_back_and_refund(self, life: Life) -> None:
        """Both at once: whoever is first, the money goes back once."""
        part = max(1, int(life.amount_minor * life.plan.share / 2))
        if life.plan.is_good:
            await self._take_back(life)
            await self._buyers.refund(life, "beside a bank", part)
        else:
            await self._buyers.refund(life, "beside a bank", part)
            await self._take_back(life)

    async def _take_back_and_complain(self, life: Life) -> None:
        if life.plan.is_good:
            await self._take_back(life)
            await self._complain(life)
        else:
            await self._complain(life)
            await self._take_back(life)

    async def _contest(self, life: Life) -> None:
        """The merchant says something against it."""
        [views] = await self._asking.ask(Disputes, "read_order_disputes", [life.order])
        for view in views:
            if view.state is not DisputeState.OPEN:
                continue
            answer = DisputeAnswer(view.id, life.merchant.id, "It was used.", "shop@example.com")
            [status] = await self._asking.ask(Disputes, "answer_disputes", [answer])
            may = {"sent", "exists", "provider_away", "too_late", "dispute_ended"}
            self._asking.check("contest", status, may, life.plan)

    async def _close(self, life: Life) -> None:
        """The bank decides."""
        plan = life.plan.chargeback
        await asyncio.to_thread(self._banks.close_dispute, life.case, is_won=plan.is_won)
        self._asking.tally[f"act: bank decides, won {plan.is_won}"] += 1
        if not plan.is_won:
            life.lost_minor = await asyncio.to_thread(self._banks.disputed_minor, life.case)

    async def bring_webhooks(self) -> Sequence[object]:
        """Bring what Stripe tells of disputes and refunds."""
        letters = await self._banks.quiet()
        await self._buyers.bring(letters)
        return letters


def _ruling(life: Life, problem: str) -> Remedy:
    """Say what the operator decides: where no key is left money, where no money can go no more."""
    if problem.startswith("refund"):
        return Remedy.REJECT
    return Remedy.REFUND if problem else life.plan.complaint.ruling
