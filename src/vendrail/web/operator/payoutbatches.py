"""Payouts that wait for a person, decided together: looked at, decided by two, followed."""

from collections.abc import Mapping

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.payouts import (
    Batch,
    BatchVerdict,
    BatchVerdictStatus,
    NewBatch,
    PayoutId,
    PayoutQuery,
)
from vendrail.kernel.ids import derive, from_serial, to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, PAYOUT_COLUMNS, export, payout_row, saved_at
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import known_names, read_id
from vendrail.web.pages import onward
from vendrail.web.papers.sheets import Rows
from vendrail.web.storefront.front import Page

_PATH, _PAYOUTS = "/operator/payout-batches", "/operator/payouts"
_PAGE = 100
_ALLOWED, _STOPPED = "payout_batch.allowed", "payout_batch.stopped"
_SAID = {
    BatchVerdictStatus.KNOWN: Said.OTHERWISE,
    BatchVerdictStatus.BATCH_NOT_FOUND: Said.NOT_FOUND,
}


class PayoutBatchesDesk:
    """The operator's pages of payouts that are decided together."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._desk, self._deeds = desk, deeds
        self._payouts = desk.apis.payouts
        deeds.add(Deed(_ALLOWED, Permission.PAYOUTS_WRITE, self._allow))
        deeds.add(Deed(_STOPPED, Permission.PAYOUTS_WRITE, self._stop))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, write = self._desk, Permission.PAYOUTS_WRITE
        return [
            desk.post(_PATH, self.make, write),
            desk.get(f"{_PATH}/{{serial:str}}", self.show, write),
            desk.get(f"{_PATH}/{{serial:str}}/payouts.csv", self.export, write),
            desk.post(f"{_PATH}/{{serial:str}}", self.decide, write, is_grave=True),
        ]

    async def make(self, caller: Caller) -> Page:
        """Put together what waits now, to look at; nothing is decided by it."""
        nonce, currency = read_id(caller.written("nonce", 40)), caller.written("currency", 3)
        merchant = read_id(caller.written("merchant", 40))
        if nonce is None:
            return back_to(_PAYOUTS, Said.NOT_FOUND)
        id = derive(nonce, f"payout-batch:{currency}:{merchant}")
        new = NewBatch(id, currency, merchant, caller.person.email)
        [batch] = await self._payouts.make_batches([new])
        if batch is None:
            return onward(f"{_PAYOUTS}?view=review")
        return onward(f"{_PATH}/{to_serial(batch.id)}")

    async def _find(self, caller: Caller) -> Batch | None:
        id = read_id(caller.part("serial"))
        [batch] = await self._payouts.read_batches([id]) if id is not None else [None]
        return batch

    async def show(self, caller: Caller) -> Page:
        """Show a batch with its payouts, and how far its decision has come."""
        batch = await self._find(caller)
        if batch is None:
            return self._desk.problem(caller.request, 404, caller)
        return await self._show(caller, batch)

    async def _show(self, caller: Caller, batch: Batch, said: Said | None = None) -> Page:
        before = read_id(caller.asked("before"))
        cursor = PayoutId(before) if before else None
        query = PayoutQuery(before=cursor, payouts_max=_PAGE + 1, batch=batch.id)
        [found] = await self._payouts.list_payouts([query])
        next_page = ""
        if len(found) > _PAGE:
            found = found[:_PAGE]
            next_page = f"{_PATH}/{to_serial(batch.id)}?before={to_serial(found[-1].id)}"
        names = await known_names(self._desk.apis.identity)
        return self._desk.page(
            caller,
            "operator/payout_batch.html",
            path=_PAYOUTS,
            status=200 if said is None else 422,
            batch=batch,
            merchant=(names.get(batch.merchant) or "…") if batch.merchant else "",
            payouts=found,
            exported=saved_at(caller, f"{_PATH}/{to_serial(batch.id)}/payouts", ()),
            names=names,
            next_page=next_page,
            reason=caller.written("reason"),
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def export(self, caller: Caller) -> Page:
        """Give the payouts of a batch as CSV; who took them is kept."""
        batch = await self._find(caller)
        if batch is None:
            return self._desk.problem(caller.request, 404, caller)
        id, subject = batch.id, f"payout_batch:{to_serial(batch.id)}"
        turned = await self._deeds.log_export(caller, "payout.exported", subject)
        if turned is not None:
            return turned

        async def read(before: PayoutId | None) -> tuple[Rows, PayoutId | None]:
            query = PayoutQuery(before=before, payouts_max=AT_ONCE, batch=id)
            [found] = await self._payouts.list_payouts([query])
            return map(payout_row, found), found[-1].id if found else None

        return export("payouts", PAYOUT_COLUMNS, read)

    async def decide(self, caller: Caller) -> Page:
        """Let all go out, with a second person, or stop all."""
        batch = await self._find(caller)
        decision = caller.written("decision", 10)
        if batch is None or decision not in ("allow", "stop"):
            return self._desk.problem(caller.request, 404, caller)
        is_allowed = decision == "allow"
        payload = {
            "batch": to_serial(batch.id),
            "payouts": str(batch.payouts),
            "currency": batch.currency,
            "amount_minor": str(batch.sum_minor),
        }
        said = await self._deeds.do(
            caller,
            _ALLOWED if is_allowed else _STOPPED,
            f"payout_batch:{to_serial(batch.id)}",
            payload,
            is_joint=is_allowed,
            merchant=batch.merchant,
        )
        if said in GOOD:
            return back_to(f"{_PATH}/{to_serial(batch.id)}", said)
        return await self._show(caller, batch, said)

    async def _allow(self, payload: Mapping[str, str], by: str) -> Said:
        return await self._decide(payload, by, is_approved=True)

    async def _stop(self, payload: Mapping[str, str], by: str) -> Said:
        return await self._decide(payload, by, is_approved=False)

    async def _decide(self, payload: Mapping[str, str], by: str, *, is_approved: bool) -> Said:
        verdict = BatchVerdict(from_serial(payload["batch"]), is_approved, by, payload["reason"])
        [status] = await self._payouts.decide_batches([verdict])
        if status is not BatchVerdictStatus.DONE:
            return _SAID[status]
        return Said.PAYOUT_AGREED if is_approved else Said.PAYOUT_STOPPED
