"""Sagas that have not ended: what they wait for, what went wrong, and looking again."""

from collections.abc import Mapping, Sequence

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.orders import GiveUpStatus, OrderId, SagaQuery, SagaView
from vendrail.kernel.ids import to_serial
from vendrail.kernel.saga import SagaState
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, filters_of, save, saved_at
from vendrail.web.console.lists import one_of
from vendrail.web.console.tables import SAGAS
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import Files, read_id
from vendrail.web.storefront.front import Page

_PATH = "/operator/sagas"
_SHOWN_MAX, _COUNTED_MAX = 50, 1_000
_COUNTED = (SagaState.STUCK, SagaState.WAITING, SagaState.UNDOING)  # Those that run come and go.
_SHOWN = ("all", *SagaState)
_RETRIED, _GIVEN_UP = "saga.retried", "saga.given_up"
_SAID = {
    GiveUpStatus.GIVEN_UP: Said.GIVEN_BACK,
    GiveUpStatus.EXISTS: Said.TURNED,
    GiveUpStatus.ORDER_NOT_FOUND: Said.ORDER_UNKNOWN,
    GiveUpStatus.NOT_STUCK: Said.NOT_STUCK,
    GiveUpStatus.REFUND_STUCK: Said.NO_PURCHASE,
    GiveUpStatus.DELIVERED: Said.DELIVERED,
    GiveUpStatus.NOT_PAID: Said.NOTHING_WAITS,
    GiveUpStatus.ENDED: Said.NOTHING_WAITS,
}


class Sagas:
    """The desk of what has not ended."""

    entries = (Entry(_PATH, message("Stuck orders"), "alert", Permission.SAGAS_WRITE),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._orders = desk.apis.orders
        deeds.add(Deed(_RETRIED, Permission.SAGAS_WRITE, self._retry))
        deeds.add(Deed(_GIVEN_UP, Permission.REFUNDS_WRITE, self._give_up))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, permission = self._desk, Permission.SAGAS_WRITE
        return [
            desk.get(_PATH, self.table, permission, fields={"state": one_of(_SHOWN)}),
            desk.get(f"{_PATH}.csv", self.export, permission),
            desk.get(f"{_PATH}/{{saga:str}}", self.show, permission),
            desk.post(f"{_PATH}/{{saga:str}}", self.act, permission),
            desk.post(f"{_PATH}/{{saga:str}}/give-up", self.give_up, permission, is_grave=True),
        ]

    async def table(self, caller: Caller) -> Page:
        """List what is stuck, or what else has not ended, oldest first."""
        state = _state(caller)
        query = SagaQuery(state, read_id(caller.asked("after")), _SHOWN_MAX + 1)
        [found] = await self._orders.list_sagas([query])
        counts = await self._orders.count_sagas(_COUNTED)
        shown, next_page = "all" if state is None else state.value, ""
        if len(found) > _SHOWN_MAX:
            found = found[:_SHOWN_MAX]
            next_page = f"{_PATH}?state={shown}&after={to_serial(found[-1].id)}"
        return self._desk.page(
            caller,
            "operator/sagas.html",
            sagas=found,
            next_page=next_page,
            counts={each.value: count for each, count in zip(_COUNTED, counts, strict=True)},
            counted_max=_COUNTED_MAX,
            exported=saved_at(caller, _PATH, ("state",)),
            state=shown,
            done=self._deeds.said(caller),
        )

    async def export(self, caller: Caller) -> Page:
        """Give what the page lists as CSV; who took it is kept."""
        told = filters_of(caller, ("state",))
        turned = await self._deeds.log_export(caller, LISTED, "list:sagas", told)
        if turned is not None:
            return turned
        state = _state(caller)

        async def read(last: SagaView | None) -> Sequence[SagaView]:
            query = SagaQuery(state, last.id if last else None, AT_ONCE)
            [found] = await self._orders.list_sagas([query])
            return found

        return save("sagas", SAGAS, read)

    async def _find(self, caller: Caller) -> SagaView | None:
        wanted = read_id(caller.part("saga"))
        [found] = await self._orders.read_sagas([wanted]) if wanted else [None]
        return found

    async def show(self, caller: Caller) -> Page:
        """Show one of them with its order, and what can be done."""
        return await self._show(caller)

    async def _show(self, caller: Caller, said: Said | None = None) -> Page:
        saga = await self._find(caller)
        if saga is None:
            return back_to(_PATH, Said.NOT_FOUND)
        file = await self._files.read(saga.order)
        is_open = saga.kind == "purchase" and saga.state == "stuck" and not saga.is_turned
        return self._desk.page(
            caller,
            "operator/saga.html",
            status=200 if said is None else 422,
            saga=saga,
            file=file,
            names=await self._files.merchant_names(),
            can_give_up=is_open and file is not None and caller.may(Permission.REFUNDS_WRITE),
            reason=caller.written("reason"),
            problem=self._deeds.problem(caller, said),
        )

    async def act(self, caller: Caller) -> Page:
        """Let it look again."""
        saga = await self._find(caller)
        if saga is None:
            return back_to(_PATH, Said.NOT_FOUND)
        serial = to_serial(saga.id)
        said = await self._deeds.do(
            caller,
            _RETRIED,
            f"saga:{serial}",
            {"saga": serial, "kind": saga.kind},
            before={"state": saga.state, "problem": saga.problem},
            after={"state": _woken(saga)},
        )
        return back_to(_PATH, said) if said in GOOD else await self._show(caller, said)

    async def give_up(self, caller: Caller) -> Page:
        """End a stuck purchase without delivery: all of its money goes back."""
        if not caller.may(Permission.REFUNDS_WRITE):
            return self._desk.problem(caller.request, 403, caller)
        saga = await self._find(caller)
        if saga is None:
            return back_to(_PATH, Said.NOT_FOUND)
        file = await self._files.read(saga.order)
        if saga.kind != "purchase" or file is None:
            return await self._show(caller, Said.NO_PURCHASE)
        view = file.view
        said = await self._deeds.do(
            caller,
            _GIVEN_UP,
            f"order:{view.serial}",
            {
                "order": view.serial,
                "amount_minor": str(view.due_minor),
                "currency": view.due_currency,
            },
            amount=(view.due_minor, view.due_currency),
            merchant=view.merchant,
            before={"state": view.state.value, "saga": saga.state, "problem": saga.problem},
            after={"state": "refunding", "saga": "given up"},
        )
        return back_to(_PATH, said) if said in GOOD else await self._show(caller, said)

    async def _give_up(self, told: Mapping[str, str], _person: str) -> Said:
        order = read_id(told["order"])
        if order is None:
            return Said.ORDER_UNKNOWN
        [status] = await self._orders.give_up_orders([OrderId(order)])
        return _SAID[status]

    async def _retry(self, told: Mapping[str, str], _person: str) -> Said:
        saga = read_id(told["saga"])
        [is_woken] = await self._orders.wake_sagas([saga]) if saga else [False]
        return Said.WOKEN if is_woken else Said.NOTHING_WAITS


def _woken(saga: SagaView) -> str:
    """Say how a saga stands once it is woken: what was stuck goes on in its direction."""
    if saga.state != SagaState.STUCK:
        return saga.state
    return SagaState.UNDOING.value if saga.is_turned else SagaState.RUNNING.value


def _state(caller: Caller) -> SagaState | None:
    """Read which sagas are asked for: those that are stuck, where nothing else is said."""
    asked = caller.asked("state") or "stuck"
    return SagaState(asked) if asked in {each.value for each in SagaState} else None
