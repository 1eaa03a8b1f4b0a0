"""Merchants' webhooks: endpoints made, changed, tested, told again; and what happened."""

from datetime import timedelta
from uuid import UUID

import msgspec

from vendrail.api.identity import NOT_DONE
from vendrail.api.webhooks import (
    Again,
    AgainStatus,
    DeliveryId,
    DeliveryQuery,
    DeliveryState,
    DeliveryView,
    EndpointChange,
    EndpointId,
    EndpointName,
    EndpointStatus,
    EndpointView,
    EventKind,
    EventQuery,
    NewEndpoint,
    NewSecret,
    Redelivery,
    WebhookEvent,
    Webhooks,
)
from vendrail.gateway.exchange import Answer, Exchange, Refusal, said
from vendrail.gateway.merchant import asked, problems
from vendrail.gateway.merchant.keyring import Keyring, Program, idempotency_key
from vendrail.gateway.merchant.webhookbodies import (
    AskRedeliveryBody,
    DeliveryBody,
    DeliveryListBody,
    EndpointBody,
    EndpointListBody,
    EventBody,
    EventListBody,
    PutEndpointBody,
    ToldBody,
)
from vendrail.gateway.problems import BODY_MALFORMED, QUERY_MALFORMED
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record, decode, encode
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, from_serial, new_id, to_serial

_PUT = msgspec.json.Decoder(PutEndpointBody)
_ASK = msgspec.json.Decoder(AskRedeliveryBody)
_BYTES_MAX = 16_384
_REPLAYED = (b"idempotency-replayed", b"true")


class _Told(Record, frozen=True):
    data: dict[str, str | int]


class WebhookRoom:
    """Answers about where a merchant's programs are told, and what happened."""

    def __init__(self, webhooks: Webhooks, keyring: Keyring, clock: Clock) -> None:
        self._webhooks = webhooks
        self._keyring = keyring
        self._clock = clock

    async def list_endpoints(self, _: Exchange, program: Program, __: str) -> Answer:
        """List every endpoint, oldest first."""
        [found] = await self._webhooks.list_endpoints([program.merchant])
        return said(200, encode(EndpointListBody([_endpoint(each) for each in found])))

    async def read_endpoint(self, _: Exchange, program: Program, serial: str) -> Answer:
        """Read one endpoint."""
        return said(200, encode(_endpoint(await self._own(program, serial))))

    async def _own(self, program: Program, serial: str) -> EndpointView:
        """Give an endpoint of the merchant's; another's is not found."""
        try:
            id = from_serial(serial)
        except Malformed:
            raise Refusal(problems.ENDPOINT_NOT_FOUND) from None
        [found] = await self._webhooks.list_endpoints([program.merchant])
        view = next((each for each in found if each.id == id), None)
        if view is None:
            raise Refusal(problems.ENDPOINT_NOT_FOUND)
        return view

    async def make_endpoint(self, exchange: Exchange, program: Program, _: str) -> Answer:
        """Make an endpoint; the same key makes it once, and tells its secret once."""
        key = idempotency_key(exchange)
        body = await exchange.json(_PUT, _BYTES_MAX)
        id = EndpointId(derive(program.key.id, f"webhook:{key}"))
        [standing] = await self._webhooks.list_endpoints([program.merchant])
        is_new = all(each.id != id for each in standing)
        if is_new:  # Written for each try: one that was refused may be let in later.
            await self._record(program, "webhook.made", id, _said(body))
        new = NewEndpoint(
            id,
            program.merchant,
            body.url,
            _kinds(body.kinds),
            is_ordered=body.is_ordered,
            note=body.note,
            is_enabled=body.is_enabled,
        )
        [made] = await self._webhooks.make_endpoints([new])
        if is_new and made.status is not EndpointStatus.DONE:
            await self._record(program, "webhook.made", id, {NOT_DONE: made.status.value})
        if made.endpoint is None:
            raise Refusal(problems.ENDPOINT[made.status])
        view = made.endpoint
        if made.status is EndpointStatus.EXISTS and view.url != body.url:
            raise Refusal(problems.ENDPOINT_KEY_REUSED)
        replayed = (_REPLAYED,) if made.status is EndpointStatus.EXISTS else ()
        return said(201, encode(_endpoint(view, made.secret)), replayed)

    async def put_endpoint(self, exchange: Exchange, program: Program, serial: str) -> Answer:
        """Change an endpoint, whole."""
        body = await exchange.json(_PUT, _BYTES_MAX)
        before = await self._own(program, serial)
        await self._record(program, "webhook.changed", before.id, _said(body))
        change = EndpointChange(
            before.id,
            program.merchant,
            # Where it leads is judged as it is given; what stays was judged before.
            url=body.url if body.url != before.url else None,
            kinds=_kinds(body.kinds),
            is_ordered=body.is_ordered,
            note=body.note,
            is_enabled=body.is_enabled,
        )
        [status] = await self._webhooks.change_endpoints([change])
        if status is not EndpointStatus.DONE:
            undone = {NOT_DONE: status.value}
            await self._record(program, "webhook.changed", before.id, undone)
            raise Refusal(problems.ENDPOINT[status])
        return await self.read_endpoint(exchange, program, serial)

    async def delete_endpoint(self, _: Exchange, program: Program, serial: str) -> Answer:
        """Delete an endpoint with its log; give it as it was."""
        before = await self._own(program, serial)
        once = f"{before.id.hex}:{before.made_at.isoformat()}"
        await self._record(program, "webhook.deleted", before.id, {"url": before.url}, once=once)
        name = EndpointName(before.id, program.merchant)
        [status] = await self._webhooks.close_endpoints([name])
        if status is not EndpointStatus.DONE:
            raise Refusal(problems.ENDPOINT[status])
        return said(200, encode(_endpoint(before)))

    async def make_secret(self, exchange: Exchange, program: Program, serial: str) -> Answer:
        """Make another secret; the same key makes it once, and tells it once."""
        key = idempotency_key(exchange)
        before = await self._own(program, serial)
        once = derive(before.id, f"secret:{program.key.id}:{key}")
        await self._record(program, "webhook.keyed", before.id, {}, once=once.hex)
        [made] = await self._webhooks.rotate_secrets([NewSecret(before.id, program.merchant, once)])
        if made.endpoint is None:
            raise Refusal(problems.ENDPOINT[made.status])
        replayed = (_REPLAYED,) if made.status is EndpointStatus.EXISTS else ()
        return said(201, encode(_endpoint(made.endpoint, made.secret)), replayed)

    async def test(self, _: Exchange, program: Program, serial: str) -> Answer:
        """Send a test event."""
        endpoint = await self._own(program, serial)
        name = EndpointName(endpoint.id, program.merchant)
        [told] = await self._webhooks.test_endpoints([name])
        return _told(told)

    async def redeliver(self, exchange: Exchange, program: Program, serial: str) -> Answer:
        """Tell an endpoint again of what happened within a time."""
        body = await exchange.json(_ASK, _BYTES_MAX)
        endpoint = await self._own(program, serial)
        now = self._clock.now()
        until = body.until or now + timedelta(seconds=1)
        if until.tzinfo is None:
            raise Refusal(BODY_MALFORMED, "until is a moment with its zone.")
        after = {"since": body.since.isoformat(), "until": until.isoformat()}
        after["heard"] = "no" if body.is_unheard_only else "yes"
        await self._record(program, "webhook.told_again", endpoint.id, after)
        wanted = Redelivery(
            endpoint.id,
            program.merchant,
            body.since,
            until,
            is_unheard_only=body.is_unheard_only,
        )
        [told] = await self._webhooks.redeliver_events([wanted])
        if told.status is not AgainStatus.BEGUN:
            undone = {NOT_DONE: told.status.value}
            await self._record(program, "webhook.told_again", endpoint.id, undone)
        return _told(told)

    async def list_deliveries(self, exchange: Exchange, program: Program, serial: str) -> Answer:
        """List a page of what an endpoint was told."""
        query = exchange.query()
        state, before, most = query.get("state", ""), asked.before(query), asked.limit(query)
        if state and state not in list(DeliveryState):
            raise Refusal(QUERY_MALFORMED, f"state is one of {', '.join(DeliveryState)}.")
        endpoint = await self._own(program, serial)
        wanted = DeliveryQuery(
            endpoint.id,
            program.merchant,
            DeliveryState(state) if state else None,
            DeliveryId(before) if before else None,
            most,
        )
        [found] = await self._webhooks.list_deliveries([wanted])
        last = to_serial(found[-1].id) if found and len(found) == most else None
        return said(200, encode(DeliveryListBody([_delivery(each) for each in found], last)))

    async def list_events(self, exchange: Exchange, program: Program, _: str) -> Answer:
        """List a page of what happened."""
        query = exchange.query()
        names = [each for each in query.get("kinds", "").split(",") if each]
        if not set(names) <= set(EventKind):
            raise Refusal(QUERY_MALFORMED, f"kinds are some of {', '.join(EventKind)}.")
        most = asked.limit(query)
        wanted = EventQuery(
            program.merchant,
            [EventKind(each) for each in names],
            asked.before(query),
            most,
            asked.moment(query, "since"),
        )
        [found] = await self._webhooks.list_webhook_events([wanted])
        last = to_serial(found[-1].id) if found and len(found) == most else None
        return said(200, encode(EventListBody([_event(each) for each in found], last)))

    async def _record(
        self, program: Program, act: str, id: UUID, after: dict[str, str], *, once: str = ""
    ) -> None:
        """Write an act to the log; without a name it is written each time, within a bound."""
        subject = f"webhook:{to_serial(id)}"
        if not once:
            if NOT_DONE not in after:
                await self._keyring.take_turn(program)
            once = new_id(self._clock.now()).hex
        await self._keyring.record(program, act, subject, once=once, after=after)


def _kinds(kinds: list[EventKind]) -> list[EventKind]:
    """Give each kind once; a test is told whoever presses for it, so it is none to choose."""
    return [each for each in dict.fromkeys(kinds) if each is not EventKind.TEST]


def _said(body: PutEndpointBody) -> dict[str, str]:
    state = "yes" if body.is_enabled else "no"
    return {"url": body.url, "kinds": ", ".join(body.kinds) or "all", "enabled": state}


def _told(told: Again) -> Answer:
    if told.status is not AgainStatus.BEGUN:
        wait = [("retry-after", str(told.wait_s))] if told.wait_s else []
        raise Refusal(problems.AGAIN[told.status], headers=wait)
    delivery = to_serial(told.delivery) if told.delivery else None
    return said(200, encode(ToldBody(told.count, told.is_more, delivery)))


def _endpoint(view: EndpointView, secret: str = "") -> EndpointBody:
    return EndpointBody(
        to_serial(view.id),
        view.url,
        view.kinds,
        view.is_ordered,
        view.note,
        view.state,
        view.reason,
        view.made_at,
        view.keyed_at,
        view.old_key_until,
        view.failing_since,
        view.heard_at,
        view.waiting,
        secret,
    )


def _delivery(view: DeliveryView) -> DeliveryBody:
    return DeliveryBody(
        to_serial(view.id),
        to_serial(view.event),
        view.kind,
        view.state,
        view.attempts,
        view.happened_at,
        view.due_at,
        view.problem,
        view.heard_at,
    )


def _event(event: WebhookEvent) -> EventBody:
    data = decode(event.body.encode(), _Told).data
    return EventBody(to_serial(event.id), event.kind, event.at, data)
