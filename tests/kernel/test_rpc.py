"""Calls between services: one Protocol, here or over the network; signed and repeated."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import httpx
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from vendrail.kernel import rpc, telemetry
from vendrail.kernel.codec import Record
from vendrail.kernel.db import Database
from vendrail.kernel.errors import Broken, Error, Malformed, Overloaded, Unavailable
from vendrail.kernel.vault import Vault

SECRET = b"s" * 32
NOW_S = int(datetime(2026, 11, 23, 8, 0, tzinfo=UTC).timestamp())  # The tests' clock.


class Parcel(Record, frozen=True):
    id: UUID
    amount_minor: int
    at: datetime | None
    sealed: bytes = b""


class Post(Protocol):
    """An invented api."""

    async def send_parcels(self, parcels: Sequence[Parcel]) -> list[Parcel | None]: ...

    async def fail(self, kind: str, times: int) -> bool: ...

    async def read_trace(self) -> str: ...

    async def forget(self, ids: Sequence[UUID], name: str) -> None: ...


class PostService:
    """Gives parcels back, fails as asked, and notes what it was called with."""

    def __init__(self):
        self.calls = []

    async def send_parcels(self, parcels):
        self.calls.append(list(parcels))
        return [parcel if parcel.amount_minor else None for parcel in parcels]

    async def fail(self, kind, times):
        self.calls.append(kind)
        if len(self.calls) <= times:
            raise {
                "malformed": Malformed("Not like this."),
                "unavailable": Unavailable("Not now.", 0.25),
                "overloaded": Overloaded("Too much.", 7.5),
                "broken": Broken("Our fault."),
                "bug": ZeroDivisionError("hunter2"),
            }[kind]
        return True

    async def read_trace(self):
        return telemetry.current_trace_id()

    async def forget(self, ids, name):
        self.calls.append((ids, name))


class Network(httpx.AsyncBaseTransport):
    """A network between client and server on which anything can happen."""

    def __init__(self, app):
        self._inner = httpx.ASGITransport(app)
        self.requests = []
        self.drops = 0
        self.answers = []
        self.change_request = None
        self.change_reply = None

    async def handle_async_request(self, request):
        self.requests.append(request)
        if self.change_request:
            request = self.change_request(request)
        if self.answers:
            return httpx.Response(self.answers.pop(0), content=b"busy")
        response = await self._inner.handle_async_request(request)
        if self.drops:
            self.drops -= 1
            raise httpx.ReadTimeout("The answer was lost.")
        if self.change_reply:
            return self.change_reply(await response.aread(), response)
        return response


class Place:
    """A service with a network before it and a client behind that."""

    def __init__(self, clock, secret=SECRET, client_clock=None):
        self.service = PostService()
        self.app = Litestar(
            [rpc.serve(Post, self.service, SECRET, clock=clock)], openapi_config=None
        )
        self.network = Network(self.app)
        self.http = httpx.AsyncClient(transport=self.network, base_url="http://post")
        self.api = rpc.connect(
            Post, "http://post/", secret, client=self.http, clock=client_clock or clock
        )


@pytest.fixture
async def place(clock):
    made = Place(clock)
    yield made
    await made.http.aclose()


parcels = st.lists(
    st.builds(
        Parcel,
        st.uuids(),
        st.integers(-(2**63), 2**63 - 1),
        st.none() | st.datetimes().map(lambda moment: moment.replace(tzinfo=UTC)),
        st.binary(max_size=20),
    ),
    max_size=5,
)


@given(parcels)
async def test_a_call_means_the_same_here_and_there(parcels):
    """Guarded, looped back or over HTTP, a call gives the same result, in the same order."""
    service = PostService()
    expected = await service.send_parcels(parcels)

    assert expected == await rpc.guard(Post, service).send_parcels(parcels)
    assert expected == await rpc.loopback(Post, service).send_parcels(parcels)


async def test_a_call_travels_over_http(place):
    """Over HTTP with several arguments, by place or by name, and with no result."""
    ids = [UUID(int=1), UUID(int=2)]
    parcel = Parcel(ids[0], 5, datetime(2026, 11, 23, tzinfo=UTC), b"\x00\xff")

    assert [parcel] == await place.api.send_parcels([parcel])
    assert await place.api.forget(ids, "x") is None
    assert await place.api.forget(name="y", ids=ids) is None
    assert [[parcel], (ids, "x"), (ids, "y")] == place.service.calls
    assert "/rpc/post/forget" == place.network.requests[-1].url.path


async def test_a_wrong_call_is_a_mistake_at_once(place):
    """Too few, too many or unknown arguments never leave the caller."""
    for values, named in (((), {}), (([], "a", 1), {}), (([],), {"other": 1})):
        with pytest.raises(TypeError, match="forget takes"):
            await place.api.forget(*values, **named)
    assert [] == place.network.requests


@pytest.mark.parametrize(
    "kind, error", [("malformed", Malformed), ("overloaded", Overloaded), ("broken", Broken)]
)
async def test_errors_come_back_as_the_same_class(place, kind, error):
    """An error of the service arrives as the same class with its message, after one call."""
    with pytest.raises(error) as caught:
        await place.api.fail(kind, 9)
    local = await _error(PostService().fail(kind, 9))

    assert type(local) is type(caught.value)
    assert local.message == caught.value.message
    assert getattr(local, "retry_after_s", None) == getattr(caught.value, "retry_after_s", None)
    assert 1 == len(place.network.requests)


async def _error(waiting):
    try:
        await waiting
    except Error as error:
        return error
    raise AssertionError


async def test_a_bug_there_is_broken_here_and_tells_nothing(place):
    """An unexpected error there is `Broken` here, without its text."""
    with pytest.raises(Broken) as caught:
        await place.api.fail("bug", 9)

    assert "hunter2" not in caught.value.message
    assert "post.fail" in caught.value.message


async def test_what_was_not_answered_is_called_again(place, clock):
    """Lost answers, gateways' 502 to 504 and `Unavailable` are tried again, with waits between."""
    begun = clock.now()
    place.network.drops, place.network.answers = 1, [503]
    parcel = Parcel(UUID(int=1), 5, None)

    assert [parcel] == await place.api.send_parcels([parcel])
    assert 3 == len(place.network.requests)
    assert 2 == len(place.service.calls)
    assert clock.now() > begun
    place.service.calls.clear()
    assert await place.api.fail("unavailable", 2)
    assert 3 == len(place.service.calls)


async def test_attempts_are_bounded(place):
    """A peer that never answers is given up after four attempts, as `Unavailable`."""
    place.network.drops = 99
    with pytest.raises(Unavailable, match="post at http://post does not answer"):
        await place.api.read_trace()
    lost = len(place.network.requests)
    place.network.drops = 0
    with pytest.raises(Unavailable) as caught:
        await place.api.fail("unavailable", 99)

    assert 4 == lost == len(place.service.calls)
    assert 0.25 == caught.value.retry_after_s


@pytest.mark.parametrize("name", ["path", "body", "time", "none", "short", "words"])
async def test_an_unsigned_call_is_refused(place, name):
    """A call whose path, body, time or signature was changed is refused and calls nothing (X13)."""

    def change(request):
        headers, content, path = dict(request.headers), request.content, request.url.path
        signature = headers["x-vendrail-signature"]
        timestamp, _, mark = signature.partition(".")
        if name == "path":
            path = "/rpc/post/read_trace"
        elif name == "body":
            content = content.replace(b"unavailable", b"overloaded")
            headers["content-length"] = str(len(content))
        else:
            headers["x-vendrail-signature"] = {
                "time": f"{int(timestamp) + 1}.{mark}",
                "none": "",
                "short": f"{timestamp}.",
                "words": f"now.{mark}",
            }[name]
        return httpx.Request("POST", f"http://post{path}", headers=headers, content=content)

    place.network.change_request = change
    with pytest.raises(Broken, match="VENDRAIL_RPC_SECRET"):
        await place.api.fail("unavailable", 9)

    assert [] == place.service.calls


@pytest.mark.parametrize("offset_s, is_taken", [(-61, False), (-59, True), (59, True), (61, False)])
async def test_a_late_or_early_call_is_refused(clock, offset_s, is_taken):
    """A call is taken within 60 s of the server's clock, and refused beyond."""

    class Shifted:
        sleep = clock.sleep

        def now(self):
            return clock.now() + timedelta(seconds=offset_s)

    place = Place(clock, client_clock=Shifted())
    try:
        await place.api.read_trace()
        was_taken = True
    except Broken:
        was_taken = False

    assert is_taken == was_taken


async def test_another_secret_is_refused(clock):
    """Who does not hold the installation's secret calls nothing."""
    place = Place(clock, secret=b"t" * 32)
    with pytest.raises(Broken, match="refused our signature"):
        await place.api.send_parcels([])

    assert [] == place.service.calls


async def test_a_changed_reply_is_refused(place):
    """A reply that somebody between has changed, or that belongs to another call, is `Broken`."""
    first = Parcel(UUID(int=1), 5, None)
    place.network.change_reply = lambda body, response: httpx.Response(
        response.status_code, headers=response.headers, content=body.replace(b"5", b"6")
    )
    with pytest.raises(Broken, match="without a valid signature"):
        await place.api.send_parcels([first])

    kept = []

    def replay(body, response):
        kept.append((body, response.headers))
        return httpx.Response(200, headers=kept[0][1], content=kept[0][0])

    place.network.change_reply = replay
    assert [first] == await place.api.send_parcels([first])
    with pytest.raises(Broken, match="without a valid signature"):
        await place.api.send_parcels([Parcel(UUID(int=2), 7, None)])


async def test_a_stranger_at_the_address_is_told(clock):
    """Where something else answers, the message asks whether the address is right."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>Hello</html>"))
    async with httpx.AsyncClient(transport=transport) as http:
        api = rpc.connect(Post, "http://elsewhere", SECRET, client=http, clock=clock)
        with pytest.raises(Broken, match="address of a Vendrail server"):
            await api.read_trace()


async def test_unknown_operations_and_shapes_are_malformed(place):
    """A signed call to nothing, or with a body that does not fit, is `Malformed`."""
    for operation, body in (("nothing", b"[]"), ("__init__", b"[]"), ("fail", b'[1, "x"]')):
        path = f"/rpc/post/{operation}"
        signature = rpc.sign_request(SECRET, path, NOW_S, body)
        response = await place.http.post(
            path, content=body, headers={"x-vendrail-signature": signature}
        )
        assert 400 == response.status_code
        assert "application/problem+json" == response.headers["content-type"]
    assert [] == place.service.calls


async def test_a_body_over_the_limit_is_refused(place):
    """A call larger than the limit is refused before it is read whole."""
    body = b"[" + b" " * rpc.REQUEST_BYTES_MAX + b"]"
    path = "/rpc/post/send_parcels"
    signature = rpc.sign_request(SECRET, path, NOW_S, body)
    response = await place.http.post(
        path, content=body, headers={"x-vendrail-signature": signature}
    )

    assert 413 == response.status_code
    assert [] == place.service.calls


@pytest.mark.parametrize("shape", ["guard", "loopback", "connect"])
async def test_no_call_is_made_inside_a_transaction(database_url, place, shape):
    """Inside an open transaction every kind of call is `Broken`, in one process too (X23)."""
    service = PostService()
    api = {
        "guard": rpc.guard(Post, service),
        "loopback": rpc.loopback(Post, service),
        "connect": place.api,
    }[shape]
    db = Database(database_url, "t")
    async with db.transaction():
        with pytest.raises(Broken, match="open transaction"):
            await api.send_parcels([])
    await api.send_parcels([])
    await db.close()

    assert 1 == len(service.calls) + len(place.service.calls)


def test_a_service_that_lacks_an_operation_is_refused():
    """What does not fulfil its api cannot be served, guarded or looped back."""

    class Half:
        async def send_parcels(self, parcels):
            return parcels

    for make in (
        lambda: rpc.guard(Post, Half()),
        lambda: rpc.loopback(Post, Half()),
        lambda: rpc.serve(Post, Half(), SECRET),
    ):
        with pytest.raises(Broken, match=r"lacks Post\.fail"):
            make()


async def test_the_trace_goes_along(place):
    """A call carries the caller's trace, kept or not, and the spans on both sides are one trace."""
    with telemetry.start_trace("request") as trace_id:
        plain = await place.api.read_trace()
    exporter = InMemorySpanExporter()
    telemetry.init_tracing("test", ratio=1.0, processor=SimpleSpanProcessor(exporter))
    try:
        with telemetry.start_trace("request") as kept_id:
            kept = await place.api.read_trace()
    finally:
        telemetry.stop_tracing()
    spans = {span.name: span for span in exporter.get_finished_spans()}

    assert (trace_id, kept_id) == (plain, kept)
    assert {"request", "post.read_trace call", "post.read_trace"} == set(spans)
    assert {int(kept_id, 16)} == {span.context.trace_id for span in spans.values()}
    assert spans["post.read_trace"].parent.span_id == spans["post.read_trace call"].context.span_id


def test_the_secret_is_made_once_and_kept(tmp_path):
    """Without one given, a secret is made in the home folder; a given one goes before it."""
    made = rpc.load_secret(tmp_path, environment={})
    given_text = "A" * 43 + "="

    assert made == rpc.load_secret(tmp_path, environment={})
    assert 32 == len(made)
    assert bytes(32) == rpc.load_secret(tmp_path, environment={"VENDRAIL_RPC_SECRET": given_text})
    with pytest.raises(Malformed, match="VENDRAIL_RPC_SECRET_FILE"):
        rpc.load_secret(tmp_path, str(tmp_path / "nowhere"), {})
    Vault.open(tmp_path, {})
    assert made == rpc.load_secret(tmp_path, str(tmp_path / "secrets/rpc.key"), {})


async def test_a_peer_that_is_not_there_is_unavailable(clock):
    """Where nobody listens, the message says who and where; nothing is left open."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    api = rpc.connect(Post, url, SECRET, clock=clock)
    with pytest.raises(Unavailable, match="is it running"):
        await asyncio.wait_for(api.read_trace(), timeout=20)
    await rpc.disconnect(api)


def test_a_peer_that_hangs_up_at_once_is_unavailable():
    """On the platform's own loop too, a line lost while it is opened is no bug of the caller."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as door:

        def hang_up():
            with contextlib.suppress(OSError):  # The door is shut: the test is over.
                while True:
                    line, _ = door.accept()
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    line.close()

        async def call_often():
            url = f"http://127.0.0.1:{door.getsockname()[1]}"
            api = rpc.connect(Post, url, SECRET)
            calls = [api.send_parcels([]) for _ in range(120)]
            ends = await asyncio.gather(*calls, return_exceptions=True)
            await rpc.disconnect(api)
            return ends

        threading.Thread(target=hang_up, daemon=True).start()
        ends = uvloop.run(call_often())
        door.shutdown(socket.SHUT_RDWR)

    assert {Unavailable} == {type(end) for end in ends}


async def test_calls_are_measured(clock):
    """With metrics given, each call is counted by service, operation and how it ended."""
    metrics = telemetry.Metrics()
    api = rpc.guard(Post, PostService(), metrics=metrics)
    await api.send_parcels([])
    with pytest.raises(Malformed):
        await api.fail("malformed", 9)

    name = "vendrail_rpc_call_seconds"
    assert 1 == metrics.value(name, "post", "send_parcels", "ok")
    assert 1 == metrics.value(name, "post", "fail", "malformed")
