"""The side that asks: signs, sends, checks the reply, and asks again what got no answer."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from typing import Any, TypeVar

import httpx

from vendrail.kernel.clock import Clock, SystemClock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import assert_no_transaction
from vendrail.kernel.errors import Broken, Overloaded, Unavailable
from vendrail.kernel.http.outgoing import lost_lines
from vendrail.kernel.rpc.operations import Operation, bind, operations, service_name, timed
from vendrail.kernel.rpc.server import Server
from vendrail.kernel.rpc.wire import (
    REPLY_BYTES_MAX,
    SIGNATURE_HEADER,
    WINDOW_S,
    Problem,
    Reply,
    call_path,
    sign_reply,
    sign_request,
    to_error,
)
from vendrail.kernel.telemetry import Metrics, span, traceparent
from vendrail.kernel.vault import is_same

Api = TypeVar("Api")

_ATTEMPTS_MAX = 4
_RETRY_DELAY_S = 0.05
_RETRY_DELAY_S_MAX = 2.0
_CLIENT = "_client"

Send = Callable[[str, Mapping[str, str], bytes], Awaitable[Reply]]


class Client:
    """Calls one peer: signs, sends, checks the reply, and tries again what got no answer."""

    def __init__(
        self,
        name: str,
        place: str,
        secret: bytes,
        send: Send,
        clock: Clock,
        *,
        owned: Any = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._name = name
        self._place = place
        self._secret = secret
        self._send = send
        self._clock = clock
        self._owned = owned
        self._metrics = metrics

    async def call(self, operation: Operation, values: Sequence[object]) -> Any:
        """Call an operation; several attempts, for every operation is idempotent."""
        assert_no_transaction()
        body = encode(values)
        with (
            timed(self._metrics, self._name, operation.name),
            span(f"{self._name}.{operation.name} call"),
        ):
            for attempt in range(1, _ATTEMPTS_MAX + 1):
                try:
                    return decode(await self._call_once(operation.name, body), operation.result)
                except Overloaded:
                    raise  # Whoever sheds load must not be asked again at once.
                except Unavailable as error:
                    if attempt == _ATTEMPTS_MAX:
                        raise
                    await self._clock.sleep(_delay_s(attempt, error.retry_after_s))
        raise Broken(f"{self._name}.{operation.name} was given up without an error.")

    async def _call_once(self, operation_name: str, body: bytes) -> bytes:
        path = call_path(self._name, operation_name)
        signature = sign_request(self._secret, path, int(self._clock.now().timestamp()), body)
        headers = {SIGNATURE_HEADER: signature, "content-type": "application/json"}
        trace = traceparent()
        if trace:
            headers["traceparent"] = trace
        reply = await self._send(path, headers, body)
        expected = sign_reply(self._secret, signature, reply.status, reply.body)
        if is_same(reply.signature, expected):
            if reply.status == 200:
                return reply.body
            raise to_error(decode(reply.body, Problem))
        if reply.status in (429, 502, 503, 504):
            raise Unavailable(f"{self._name} at {self._place} is not ready ({reply.status}).", 0.2)
        if reply.status == 401:
            raise Broken(
                f"{self._name} at {self._place} refused our signature: VENDRAIL_RPC_SECRET must be "
                f"the same on both sides, and the clocks within {WINDOW_S} s."
            )
        raise Broken(
            f"{self._name} at {self._place} answered {reply.status} without a valid signature; "
            "is this the address of a Vendrail server?"
        )

    async def close(self) -> None:
        """Close the connections, if they are this client's own."""
        if self._owned is not None:
            await self._owned.aclose()


def _delay_s(attempt: int, retry_after_s: float) -> float:
    """Wait longer each time, never in step with others."""
    grown = max(_RETRY_DELAY_S * (1 << 2 * (attempt - 1)), min(retry_after_s, _RETRY_DELAY_S_MAX))
    return min(grown, _RETRY_DELAY_S_MAX) * random.uniform(0.5, 1.0)  # noqa: S311  # Jitter.


def new_http_client() -> httpx.AsyncClient:
    """Make a keep-alive pool for calls to peers."""
    return httpx.AsyncClient(
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=30),
        timeout=httpx.Timeout(30.0, connect=2.0, pool=5.0),
        headers={"accept-encoding": "identity"},
        trust_env=False,
    )


def _http_send(client: httpx.AsyncClient, name: str, url: str) -> Send:
    async def send(path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        chunks: list[bytes] = []
        size = 0
        try:
            with lost_lines():
                async with client.stream(
                    "POST", url + path, content=body, headers=dict(headers)
                ) as response:
                    async for chunk in response.aiter_bytes():
                        size += len(chunk)
                        if size > REPLY_BYTES_MAX:
                            raise Broken(f"{name} answered with more than {REPLY_BYTES_MAX} bytes.")
                        chunks.append(chunk)
        except httpx.TransportError as error:
            raise Unavailable(
                f"{name} at {url} does not answer ({type(error).__name__}); is it running?", 0.05
            ) from error
        return Reply(
            response.status_code, b"".join(chunks), response.headers.get(SIGNATURE_HEADER, "")
        )

    return send


def connect(
    api: Callable[..., Api],
    url: str,
    secret: bytes,
    *,
    client: httpx.AsyncClient | None = None,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
) -> Api:
    """Build an object that fulfils the api by calling a peer; `disconnect` closes it."""
    name = service_name(api)
    place = url.rstrip("/")
    http = client or new_http_client()
    send = _http_send(http, name, place)
    owned = None if client else http
    caller = Client(name, place, secret, send, clock or SystemClock(), owned=owned, metrics=metrics)
    built: Api = _build(api, caller)
    return built


async def disconnect(client: object) -> None:
    """Close what `connect` opened."""
    inner = getattr(client, _CLIENT, None)
    if isinstance(inner, Client):
        await inner.close()


def loopback(api: Callable[..., Api], service: Api) -> Api:
    """Build an object that calls the service by the whole way of a remote call, but the network."""
    secret = os.urandom(32)
    clock = SystemClock()
    server = Server(api, service, secret, clock)

    async def send(path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        operation_name = path.rsplit("/", 1)[1]
        trace = headers.get("traceparent", "")
        # A task of its own: as over the network, nothing of the caller's context comes along.
        answer = server.answer(operation_name, headers[SIGNATURE_HEADER], trace, body)
        return await asyncio.create_task(answer, context=Context())

    built: Api = _build(api, Client(server.name, "loopback", secret, send, clock))
    return built


def _build(api: Any, client: Client) -> Any:
    """Make a class with one method for each operation of the Protocol, and its one object."""

    def method(operation: Operation) -> Any:
        async def call(_: object, *values: object, **named: object) -> Any:
            return await client.call(operation, bind(operation, values, named))

        call.__name__ = operation.name
        call.__qualname__ = f"{api.__name__}.{operation.name}"
        return call

    methods = {operation.name: method(operation) for operation in operations(api)}
    kind = type(f"Remote{api.__name__}", (), {**methods, "__slots__": (_CLIENT,)})
    built: Any = kind()
    setattr(built, _CLIENT, client)
    return built
