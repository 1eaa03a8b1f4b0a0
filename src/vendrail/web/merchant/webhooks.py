"""Webhooks: where a merchant's programs are told what happens, the log of it, and telling again."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.webhooks import (
    Again,
    AgainStatus,
    DeliveryId,
    DeliveryName,
    DeliveryQuery,
    DeliveryState,
    DeliveryView,
    EndpointChange,
    EndpointId,
    EndpointName,
    EndpointState,
    EndpointStatus,
    EndpointView,
    EventKind,
    NewEndpoint,
    NewSecret,
    Redelivery,
)
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import AT_ONCE, LISTED, filters_of, save, saved_at
from vendrail.web.console.lists import one_of
from vendrail.web.console.tables import DELIVERIES
from vendrail.web.languages import message
from vendrail.web.merchant.acting import changes, log, log_export, log_undone, midnight, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

ROOT = "/merchant/webhooks"
_PAGE = 50
_URL_MAX, _NOTE_MAX = 1_001, 201
_DAYS = (1, 3, 7, 30)  # How far back is told again.
_KINDS = [kind for kind in EventKind if kind is not EventKind.TEST]
_REFUSALS = {
    EndpointStatus.URL_MALFORMED: message(
        "Write an address that begins with https://, with a name and nothing secret in it."
    ),
    EndpointStatus.URL_PRIVATE: message(
        "This address lies in a private network: nobody can be told there."
    ),
    EndpointStatus.URL_OWN: message("This address is the platform's own: it tells itself nothing."),
    EndpointStatus.NOTE_TOO_LONG: message("Write at most 200 characters."),
    EndpointStatus.TOO_MANY: message("There are as many as there may be: delete one first."),
}


class Webhooks:
    """The endpoints of a merchant, and what they were told."""

    entries = (Entry(ROOT, message("Webhooks"), "globe", Permission.API_KEYS_WRITE),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._webhooks = desk.apis.webhooks

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, write = self._desk, Permission.API_KEYS_WRITE
        one = f"{ROOT}/{{serial:str}}"
        delivery = f"{one}/deliveries/{{delivery:str}}"
        return [
            desk.get(ROOT, self.table, write),
            desk.post(ROOT, self.make, write, is_grave=True),
            desk.get(one, self.show, write, fields={"state": one_of(DeliveryState)}),
            desk.post(one, self.change, write, is_grave=True),
            desk.post(f"{one}/switch", self.switch, write),
            desk.post(f"{one}/test", self.test, write),
            desk.post(f"{one}/secret", self.rotate, write, is_grave=True),
            desk.post(f"{one}/delete", self.delete, write, is_grave=True),
            desk.post(f"{one}/again", self.again, write),
            desk.get(f"{one}/deliveries.csv", self.export, write),
            desk.get(delivery, self.delivery, write),
            desk.post(delivery, self.tell_again, write),
        ]

    async def table(self, caller: Caller) -> Page:
        """List the endpoints, with the form that makes one."""
        return await self._table(caller)

    async def _table(self, caller: Caller, problem: str = "") -> Page:
        [endpoints] = await self._webhooks.list_endpoints([caller.merchant])
        return self._desk.page(
            caller,
            "merchant/webhooks.html",
            status=422 if problem else 200,
            path=ROOT,
            endpoints=endpoints,
            kinds=_KINDS,
            written=caller.form if problem else {},
            chosen=_chosen(caller) if problem else [],
            nonce=to_serial(new_id(self._desk.clock.now())),
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def make(self, caller: Caller) -> Page:
        """Make an endpoint; its secret is on this one answer, and nowhere else."""
        nonce = read_id(caller.written("nonce"))
        if nonce is None:
            return self._desk.problem(caller.request, 400, caller)
        new = NewEndpoint(
            EndpointId(derive(nonce, f"webhook:{caller.merchant}")),
            caller.merchant,
            caller.written("url", _URL_MAX),
            _chosen(caller),
            is_ordered=caller.written("is_ordered") == "yes",
            note=caller.written("note", _NOTE_MAX),
        )
        after = {"url": new.url, "kinds": _said(new.kinds)}
        await log(self._desk, caller, "webhook.made", _subject(new.id), after=after)
        [made] = await self._webhooks.make_endpoints([new])
        if made.status is not EndpointStatus.DONE:
            await log_undone(self._desk, caller, "webhook.made", _subject(new.id), made.status)
        if made.status is EndpointStatus.DELETED:  # Sent again, long after.
            return onward(ROOT)
        if made.status in _REFUSALS:
            return await self._table(caller, _REFUSALS[made.status])
        if made.endpoint is None or not made.secret:  # Sent twice: it was shown the first time.
            return onward(f"{ROOT}/{to_serial(new.id)}")
        return await self._show(caller, made.endpoint, secret=made.secret)

    async def _read(self, caller: Caller) -> EndpointView | None:
        id = read_id(caller.part("serial"))
        [found] = await self._webhooks.list_endpoints([caller.merchant])
        return next((each for each in found if each.id == id), None)

    async def show(self, caller: Caller) -> Page:
        """Show one endpoint with what it was told."""
        return await self._show(caller, await self._read(caller))

    async def _show(
        self,
        caller: Caller,
        endpoint: EndpointView | None,
        *,
        secret: str = "",
        problem: str = "",
    ) -> Page:
        if endpoint is None:
            return self._desk.problem(caller.request, 404, caller)
        wanted = _state(caller)
        before = read_id(caller.asked("before"))
        query = DeliveryQuery(
            endpoint.id,
            caller.merchant,
            wanted,
            DeliveryId(before) if before else None,
            _PAGE + 1,
        )
        [found] = await self._webhooks.list_deliveries([query])
        return self._desk.page(
            caller,
            "merchant/webhook.html",
            status=422 if problem else 200,
            path=ROOT,
            endpoint=endpoint,
            deliveries=found[:_PAGE],
            wanted=wanted,
            states=list(DeliveryState),
            exported=saved_at(caller, f"{ROOT}/{to_serial(endpoint.id)}/deliveries", ("state",)),
            older=_older(endpoint.id, wanted, found),
            kinds=_KINDS,
            days=_DAYS,
            secret=secret,
            done=caller.asked("done"),
            count=caller.asked("count", 6),
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def export(self, caller: Caller) -> Page:
        """Give what an endpoint was told as CSV, without the bodies; who took it is kept."""
        endpoint = await self._read(caller)
        if endpoint is None:
            return self._desk.problem(caller.request, 404, caller)
        id, wanted = endpoint.id, _state(caller)
        subject = f"list:deliveries:{to_serial(id)}"
        told = filters_of(caller, ("state",))
        turned = await log_export(self._desk, caller, LISTED, subject, told)
        if turned is not None:
            return turned

        async def read(last: DeliveryView | None) -> Sequence[DeliveryView]:
            before = last.id if last else None
            query = DeliveryQuery(id, caller.merchant, wanted, before, AT_ONCE)
            [found] = await self._webhooks.list_deliveries([query])
            return found

        return save("deliveries", DELIVERIES, read)

    async def change(self, caller: Caller) -> Page:
        """Change where an endpoint is and what it is told."""
        endpoint = await self._read(caller)
        if endpoint is None:
            return self._desk.problem(caller.request, 404, caller)
        change = EndpointChange(
            endpoint.id,
            caller.merchant,
            url=caller.written("url", _URL_MAX),
            kinds=_chosen(caller),
            is_ordered=caller.written("is_ordered") == "yes",
            note=caller.written("note", _NOTE_MAX),
        )
        before, after = changes(
            {"url": endpoint.url, "kinds": _said(endpoint.kinds)},
            {"url": change.url or "", "kinds": _said(change.kinds or [])},
        )
        await log(
            self._desk,
            caller,
            "webhook.changed",
            _subject(endpoint.id),
            before=before,
            after=after,
        )
        [status] = await self._webhooks.change_endpoints([change])
        if status in _REFUSALS:
            return await self._show(caller, endpoint, problem=_REFUSALS[status])
        return _back(endpoint, "saved")

    async def switch(self, caller: Caller) -> Page:
        """Let an endpoint be told, or not."""
        endpoint = await self._read(caller)
        if endpoint is None:
            return self._desk.problem(caller.request, 404, caller)
        is_enabled = caller.written("is_enabled") == "yes"
        after = {"enabled": "yes" if is_enabled else "no"}
        await log(self._desk, caller, "webhook.switched", _subject(endpoint.id), after=after)
        change = EndpointChange(endpoint.id, caller.merchant, is_enabled=is_enabled)
        await self._webhooks.change_endpoints([change])
        return _back(endpoint, "saved")

    async def test(self, caller: Caller) -> Page:
        """Send a test event."""
        endpoint = await self._read(caller)
        if endpoint is None:
            return self._desk.problem(caller.request, 404, caller)
        [sent] = await self._webhooks.test_endpoints([_name(endpoint)])
        return _back(endpoint, _ended(sent, "tested"))

    async def rotate(self, caller: Caller) -> Page:
        """Make another secret; it is on this one answer, and nowhere else."""
        endpoint = await self._read(caller)
        if endpoint is None:
            return self._desk.problem(caller.request, 404, caller)
        if caller.written("standing") != endpoint.keyed_at.isoformat():  # The form was sent twice.
            return _back(endpoint)
        await log(self._desk, caller, "webhook.keyed", _subject(endpoint.id))
        once = derive(endpoint.id, f"secret:{endpoint.keyed_at.isoformat()}")
        new = NewSecret(endpoint.id, caller.merchant, once)
        [made] = await self._webhooks.rotate_secrets([new])
        if not made.secret:  # The form was sent twice, both at once.
            return _back(endpoint)
        return await self._show(caller, made.endpoint, secret=made.secret)

    async def delete(self, caller: Caller) -> Page:
        """Delete an endpoint with its log."""
        endpoint = await self._read(caller)
        if endpoint is None:
            return self._desk.problem(caller.request, 404, caller)
        before = {"url": endpoint.url}
        await log(self._desk, caller, "webhook.deleted", _subject(endpoint.id), before=before)
        await self._webhooks.close_endpoints([_name(endpoint)])
        return onward(ROOT)

    async def again(self, caller: Caller) -> Page:
        """Tell an endpoint again of what happened in the last days."""
        endpoint = await self._read(caller)
        if endpoint is None:
            return self._desk.problem(caller.request, 404, caller)
        days = caller.written("days")
        if days not in {str(each) for each in _DAYS}:
            return self._desk.problem(caller.request, 400, caller)
        if endpoint.state is EndpointState.DISABLED:
            return _back(endpoint, "off")
        is_unheard_only = caller.written("is_all") != "yes"
        after = {"days": days, "heard": "no" if is_unheard_only else "yes"}
        await log(self._desk, caller, "webhook.told_again", _subject(endpoint.id), after=after)
        since, until = self._span(int(days))
        asked = Redelivery(
            endpoint.id, caller.merchant, since, until, is_unheard_only=is_unheard_only
        )
        [told] = await self._webhooks.redeliver_events([asked])
        return _back(endpoint, _ended(told, "again"), told.count)

    def _span(self, days: int) -> tuple[datetime, datetime]:
        now = self._desk.clock.now()
        zone = self._desk.front.settings.time_zone
        return midnight(now, zone, 1 - days), now + timedelta(seconds=1)

    async def _delivery(self, caller: Caller) -> DeliveryView | None:
        id, endpoint = read_id(caller.part("delivery")), read_id(caller.part("serial"))
        name = DeliveryName(DeliveryId(id or UUID(int=0)), caller.merchant)
        [found] = await self._webhooks.read_deliveries([name])
        return found if found is not None and found.endpoint == endpoint else None

    async def delivery(self, caller: Caller) -> Page:
        """Show what was sent and every try."""
        delivery = await self._delivery(caller)
        if delivery is None:
            return self._desk.problem(caller.request, 404, caller)
        return self._desk.page(
            caller,
            "merchant/webhook_delivery.html",
            path=ROOT,
            delivery=delivery,
            done=caller.asked("done"),
        )

    async def tell_again(self, caller: Caller) -> Page:
        """Tell an endpoint of one event again, under the same id."""
        delivery = await self._delivery(caller)
        if delivery is None:
            return self._desk.problem(caller.request, 404, caller)
        await log(self._desk, caller, "webhook.told_again", _subject(delivery.endpoint))
        name = DeliveryName(delivery.id, caller.merchant)
        [told] = await self._webhooks.retry_deliveries([name])
        end = _ended(told, "again")
        there = f"{ROOT}/{to_serial(delivery.endpoint)}/deliveries/{to_serial(delivery.id)}"
        return onward(f"{there}?done={end}")


def _ended(told: Again, begun: str) -> str:
    """Name the message that says how telling by a person's word ended."""
    ends = {AgainStatus.BEGUN: begun, AgainStatus.TOO_OFTEN: "often", AgainStatus.UNDER_WAY: "busy"}
    return ends.get(told.status, "off")


def _chosen(caller: Caller) -> list[EventKind]:
    """Read the kinds whose boxes are ticked; all of them is none: also those to come."""
    chosen: list[EventKind] = [kind for kind in _KINDS if f"kind_{kind}" in caller.form]
    return [] if len(chosen) == len(_KINDS) else chosen


def _said(kinds: Sequence[EventKind]) -> str:
    return ", ".join(kinds) or "all"


def _subject(id: UUID) -> str:
    return f"webhook:{to_serial(id)}"


def _name(endpoint: EndpointView) -> EndpointName:
    return EndpointName(endpoint.id, endpoint.merchant)


def _back(endpoint: EndpointView, done: str = "", count: int | None = None) -> Page:
    asked = {"done": done} if done else {}
    if count is not None:
        asked["count"] = str(count)
    query = f"?{urlencode(asked)}" if asked else ""
    return onward(f"{ROOT}/{to_serial(endpoint.id)}{query}")


def _older(
    endpoint: EndpointId, wanted: DeliveryState | None, found: Sequence[DeliveryView]
) -> str:
    """Give the address of the page after this one, or nothing."""
    if len(found) <= _PAGE:
        return ""
    kept = {"state": wanted.value} if wanted else {}
    before = {"before": to_serial(found[_PAGE - 1].id)}
    return f"{ROOT}/{to_serial(endpoint)}?{urlencode(kept | before)}"


def _state(caller: Caller) -> DeliveryState | None:
    """Read in which state deliveries are asked for; None: in any."""
    asked = caller.asked("state", 20)
    return DeliveryState(asked) if asked in list(DeliveryState) else None
