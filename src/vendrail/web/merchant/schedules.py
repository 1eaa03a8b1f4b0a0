"""When money goes out by itself: what a merchant chooses, within what the platform offers."""

from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.payouts import (
    Payee,
    PayeeId,
    PayeeState,
    PayoutSchedule,
    ScheduleKind,
    SchedulePutStatus,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk
from vendrail.web.languages import message
from vendrail.web.letters import zones
from vendrail.web.merchant.acting import changes, chosen_currency, log, log_undone, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_PAYOUTS = "/merchant/payouts"
_PATH = f"{_PAYOUTS}/schedule"
_CHANGED = "payout_schedule.changed"
_WRONG = message("Choose an hour and a day, and for an amount one above zero.")
_REFUSED = {
    SchedulePutStatus.FIELD_MALFORMED: _WRONG,
    SchedulePutStatus.NOT_OFFERED: message("The platform does not offer that in this currency."),
    SchedulePutStatus.PAYEE_NOT_FOUND: message("Choose an account of yours."),
    SchedulePutStatus.CURRENCY_NOT_OFFERED: message("That account does not take this currency."),
    SchedulePutStatus.PAYEE_UNVERIFIED: message(
        "Prove the account first: send a test payout to it."
    ),
}


class PayoutSchedules:
    """The merchant's page of schedules."""

    entries = ()

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._payouts = desk.apis.payouts

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        write = Permission.PAYOUTS_WRITE
        return [
            self._desk.get(_PATH, self.show, write),
            self._desk.post(_PATH, self.choose, write, is_grave=True),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show what is chosen, and what may be."""
        return await self._show(caller)

    async def _show(self, caller: Caller, problem: str = "") -> Page:
        [payees] = await self._payouts.list_payees([caller.merchant])
        currencies = currencies_of(payees, self._desk.front.settings.default_currency)
        currency = chosen_currency(caller, currencies)
        [terms] = await self._payouts.read_terms([currency])
        [view] = await self._payouts.read_schedules([(caller.merchant, currency)])
        chosen = view.schedule
        own = self._desk.front.settings.time_zone
        zone = chosen.zone if chosen.kind is not ScheduleKind.MANUAL else own
        written = {
            "kind": chosen.kind.value,
            "payee": to_serial(chosen.payee) if chosen.payee else "",
            "zone": zone,
            "hour": str(chosen.hour),
            "weekday": str(chosen.day if chosen.kind is ScheduleKind.WEEKLY else 1),
            "monthday": str(chosen.day if chosen.kind is ScheduleKind.MONTHLY else 1),
            "threshold": to_text(chosen.threshold_minor, currency)
            if chosen.threshold_minor
            else "",
        }
        return self._desk.page(
            caller,
            "merchant/schedule.html",
            path=_PAYOUTS,
            status=422 if problem else 200,
            view=view,
            terms=terms,
            currency=currency,
            currencies=currencies,
            payees=[
                each
                for each in payees
                if each.state is PayeeState.VERIFIED and currency in each.currencies
            ],
            zones=zones(own, zone),
            written=written | (dict(caller.form) if problem else {}),
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def choose(self, caller: Caller) -> Page:
        """Write what was chosen; it counts from now on."""
        new = _read(caller)
        if new is None:
            return await self._show(caller, _WRONG)
        [view] = await self._payouts.read_schedules([(caller.merchant, new.currency)])
        before, after = changes(told(view.schedule), told(new))
        subject = f"merchant:{to_serial(caller.merchant)}"
        await log(self._desk, caller, _CHANGED, subject, before=before, after=after)
        [status] = await self._payouts.put_schedules([new])
        if status not in (SchedulePutStatus.CHANGED, SchedulePutStatus.UNCHANGED):
            await log_undone(self._desk, caller, _CHANGED, subject, status)
            return await self._show(caller, _REFUSED[status])
        return onward(f"{_PAYOUTS}?done=scheduled&currency={new.currency}")


def currencies_of(payees: list[Payee], own: str) -> list[str]:
    """Name the currencies that a merchant's accounts take, the platform's own first."""
    found = {currency for each in payees for currency in each.currencies}
    return [own, *sorted(found - {own})]


def told(schedule: PayoutSchedule) -> dict[str, str]:
    """Give a schedule as the log has it."""
    return {
        "currency": schedule.currency,
        "kind": schedule.kind.value,
        "payee": to_serial(schedule.payee) if schedule.payee else "",
        "zone": schedule.zone,
        "hour": str(schedule.hour),
        "day": str(schedule.day),
        "threshold": to_text(schedule.threshold_minor, schedule.currency),
    }


def _read(caller: Caller) -> PayoutSchedule | None:
    """Read the form, of which only the fields of the chosen kind count; None: it makes no sense."""
    written, currency = caller.written("kind", 20), caller.written("currency", 3)
    if written not in {each.value for each in ScheduleKind}:
        return None
    kind = ScheduleKind(written)
    by = caller.person.email
    if kind is ScheduleKind.MANUAL:
        return PayoutSchedule(caller.merchant, currency, by=by)
    payee: UUID | None = read_id(caller.written("payee", 40))
    is_planned = kind in (ScheduleKind.DAILY, ScheduleKind.WEEKLY, ScheduleKind.MONTHLY)
    fields = {ScheduleKind.WEEKLY: "weekday", ScheduleKind.MONTHLY: "monthday"}
    try:
        day = int(caller.written(fields[kind], 2)) if kind in fields else 1
        hour = int(caller.written("hour", 2)) if is_planned else 0
        is_amount = kind is ScheduleKind.THRESHOLD
        threshold = from_text(caller.written("threshold", 30), currency) if is_amount else 0
    except (Malformed, ValueError):
        return None
    return PayoutSchedule(
        caller.merchant,
        currency,
        kind,
        PayeeId(payee) if payee else None,
        caller.written("zone", 60) if is_planned else "UTC",
        hour,
        day,
        threshold,
        by,
    )
