"""Calls between services: the same Protocol in one process or over HTTP, in signed JSON batches.

`serve` mounts a service below `/rpc/<service>/<operation>`; `connect` builds an object with the
Protocol's operations that calls there; `guard` wraps the object of this process. Whichever it is,
no call is made while a transaction is open. Every operation is idempotent, so a call that got no
answer is made again. Errors come back as the kernel's own: Malformed, Unavailable, Broken.
"""

import asyncio
import hmac
import inspect
import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from functools import cache
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, TypeVar, get_type_hints

import httpx
import structlog
from litestar import Request, Response, Router, post

from vendrail.kernel.clock import Clock, SystemClock
from vendrail.kernel.codec import Record, decode, encode
from vendrail.kernel.db import assert_no_transaction
from vendrail.kernel.errors import Broken, Error, Malformed, Overloaded, Unavailable
from vendrail.kernel.telemetry import Metrics, remote_span, span, traceparent
from vendrail.kernel.vault import ensure_secret, is_same, new_secret, parse_secret, read_secret

Api = TypeVar("Api")

REQUEST_BYTES_MAX = 32_000_000
REPLY_BYTES_MAX = 64_000_000
WINDOW_S = 60  # How far the clocks of two services may be apart.

_SIGNATURE = "x-vendrail-signature"
_ATTEMPTS_MAX = 4
_RETRY_DELAY_S = 0.05
_RETRY_DELAY_S_MAX = 2.0
_CLIENT = "_client"

_log = structlog.get_logger(__name__)


# What an api offers, read once from its Protocol.


class Operation(Record, frozen=True):
    """One operation of an api: its parameters' names and shapes, and its result's shape."""

    name: str
    parameters: tuple[str, ...]
    request: Any  # tuple[…] of the parameters' types, as they travel.
    result: Any


@cache
def operations(api: Any) -> tuple[Operation, ...]:
    """Read the operations of an api Protocol: its public coroutine functions."""
    found = []
    for name, function in vars(api).items():
        if name.startswith("_") or not inspect.iscoroutinefunction(function):
            continue
        hints = get_type_hints(function)
        parameters = tuple(inspect.signature(function).parameters)[1:]
        request: Any = tuple.__class_getitem__(tuple(hints[key] for key in parameters))
        found.append(Operation(name, parameters, request, hints["return"]))
    if not found:
        raise Broken(f"{api.__name__} has no operations: it must be a Protocol of async functions.")
    return tuple(found)


def service_name(api: Any) -> str:
    """Give the name of an api's service: its class in lower case."""
    name: str = api.__name__
    return name.lower()


def _bind(
    operation: Operation, values: Sequence[object], named: Mapping[str, object]
) -> Sequence[object]:
    """Put a call's arguments in order; all of them are given, for no api has defaults."""
    names = operation.parameters
    if named:
        given = {**dict(zip(names, values, strict=False)), **named}
        values = [given[name] for name in names if name in given]
    if len(values) != len(names) or named.keys() - set(names):
        raise TypeError(f"{operation.name} takes ({', '.join(names)}).")
    return values


# Signatures.


def load_secret(home: Path, file: str = "", environment: Mapping[str, str] | None = None) -> bytes:
    """Read the secret that services sign with: VENDRAIL_RPC_SECRET, a file, or the home's own."""
    given = os.environ if environment is None else environment
    text = given.get("VENDRAIL_RPC_SECRET", "").strip()
    if text:
        return parse_secret(text, "VENDRAIL_RPC_SECRET")
    if file:
        content = read_secret(Path(file))
        if content is None:
            raise Malformed(f"There is no file {file}, which VENDRAIL_RPC_SECRET_FILE names.")
        return parse_secret(content, file)
    path = home / "secrets" / "rpc.key"
    return parse_secret(ensure_secret(path, new_secret), str(path))


def _sign(secret: bytes, head: str, body: bytes) -> str:
    return hmac.digest(secret, head.encode() + b"\n" + body, "sha256").hex()


def sign_request(secret: bytes, path: str, timestamp_s: int, body: bytes) -> str:
    """Give the signature header of a call: its time, and an HMAC over all that it says."""
    head = f"POST\n{path}\n{timestamp_s}"
    return f"{timestamp_s}.{_sign(secret, head, body)}"


def _is_signed(secret: bytes, path: str, header: str, body: bytes, now_s: float) -> bool:
    timestamp, _, _ = header.partition(".")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return False
    if abs(now_s - int(timestamp)) > WINDOW_S:
        return False
    return is_same(header, sign_request(secret, path, int(timestamp), body))


def _sign_reply(secret: bytes, request_signature: str, status: int, body: bytes) -> str:
    """Bind a reply to its request, so that nobody between can put another in its place."""
    return _sign(secret, f"REPLY\n{request_signature}\n{status}", body)


# Errors on the way.


class Problem(Record, frozen=True, omit_defaults=True):
    """An error as it travels (RFC 9457), and comes back as the same class."""

    type: str
    status: int
    detail: str
    retry_after_s: float = 1.0


_KINDS: dict[str, tuple[type[Error], int]] = {
    "malformed": (Malformed, 400),
    "overloaded": (Overloaded, 503),
    "unavailable": (Unavailable, 503),
    "broken": (Broken, 500),
}
_PROBLEM_TYPE = "urn:vendrail:problem:"


def _to_problem(error: Error) -> Problem:
    for name, (kind, status) in _KINDS.items():
        if isinstance(error, kind):
            retry_after_s = getattr(error, "retry_after_s", 1.0)
            return Problem(_PROBLEM_TYPE + name, status, error.message, retry_after_s)
    return Problem(_PROBLEM_TYPE + "broken", 500, error.message)


def _to_error(problem: Problem) -> Error:
    kind, _ = _KINDS.get(problem.type.removeprefix(_PROBLEM_TYPE), (Broken, 500))
    if issubclass(kind, Unavailable):
        return kind(problem.detail, problem.retry_after_s)
    return kind(problem.detail)


# The side that answers.


class Reply(Record, frozen=True):
    """What came back: an HTTP status, the body, and the header that proves whose it is."""

    status: int
    body: bytes
    signature: str = ""


class Server:
    """Answers signed calls to one service; knows nothing of how they travelled."""

    def __init__(self, api: Any, service: object, secret: bytes, clock: Clock) -> None:
        self.name = service_name(api)
        self._secret = secret
        self._clock = clock
        self._operations = {
            operation.name: (operation, _target(api, service, operation))
            for operation in operations(api)
        }

    async def answer(self, operation_name: str, signature: str, trace: str, body: bytes) -> Reply:
        """Check who asks, read, call, write; whatever goes wrong becomes a problem."""
        path = call_path(self.name, operation_name)
        if not _is_signed(self._secret, path, signature, body, self._clock.now().timestamp()):
            detail = (
                "The call is not signed with this installation's secret, or its time is more than "
                f"{WINDOW_S} s away; compare VENDRAIL_RPC_SECRET and the clocks."
            )
            return Reply(401, encode(Problem(_PROBLEM_TYPE + "unsigned", 401, detail)))
        try:
            status, content = 200, await self._call(operation_name, trace, body)
        except Error as error:
            problem = _to_problem(error)
            status, content = problem.status, encode(problem)
        except Exception:  # noqa: BLE001  # Whatever it was, the caller gets an answer.
            _log.exception("rpc.broken", service=self.name, operation=operation_name)
            broken = Broken(f"{self.name}.{operation_name} broke; its log says more.")
            status, content = 500, encode(_to_problem(broken))
        return Reply(status, content, _sign_reply(self._secret, signature, status, content))

    async def _call(self, operation_name: str, trace: str, body: bytes) -> bytes:
        found = self._operations.get(operation_name)
        if found is None:
            raise Malformed(f"{self.name} has no operation {operation_name!r}.")
        operation, target = found
        values = decode(body, operation.request)
        with remote_span(f"{self.name}.{operation_name}", trace):
            return encode(await target(*values))


def call_path(service: str, operation: str) -> str:
    """Give the address of an operation below a server."""
    return f"/rpc/{service}/{operation}"


def serve(
    api: Callable[..., Api], service: Api, secret: bytes, *, clock: Clock | None = None
) -> Router:
    """Give the routes that answer calls to a service, to mount in a Litestar application."""
    server = Server(api, service, secret, clock or SystemClock())

    @post(
        "/{operation:str}",
        include_in_schema=False,
        request_max_body_size=REQUEST_BYTES_MAX,
        status_code=200,
    )
    async def answer(request: Request[Any, Any, Any]) -> Response[bytes]:
        operation, body = request.path_params["operation"], await request.body()
        headers = request.headers
        signature, trace = headers.get(_SIGNATURE, ""), headers.get("traceparent", "")
        reply = await server.answer(operation, signature, trace, body)
        return Response(
            reply.body,
            status_code=reply.status,
            media_type="application/json" if reply.status == 200 else "application/problem+json",
            headers={_SIGNATURE: reply.signature},
        )

    return Router(path=f"/rpc/{server.name}", route_handlers=[answer])


# The side that asks.

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
            _timed(self._metrics, self._name, operation.name),
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
        headers = {_SIGNATURE: signature, "content-type": "application/json"}
        trace = traceparent()
        if trace:
            headers["traceparent"] = trace
        reply = await self._send(path, headers, body)
        expected = _sign_reply(self._secret, signature, reply.status, reply.body)
        if is_same(reply.signature, expected):
            if reply.status == 200:
                return reply.body
            raise _to_error(decode(reply.body, Problem))
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
        return Reply(response.status_code, b"".join(chunks), response.headers.get(_SIGNATURE, ""))

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
        answer = server.answer(operation_name, headers[_SIGNATURE], trace, body)
        return await asyncio.create_task(answer, context=Context())

    built: Api = _build(api, Client(server.name, "loopback", secret, send, clock))
    return built


def _build(api: Any, client: Client) -> Any:
    """Make a class with one method for each operation of the Protocol, and its one object."""

    def method(operation: Operation) -> Any:
        async def call(_: object, *values: object, **named: object) -> Any:
            return await client.call(operation, _bind(operation, values, named))

        call.__name__ = operation.name
        call.__qualname__ = f"{api.__name__}.{operation.name}"
        return call

    methods = {operation.name: method(operation) for operation in operations(api)}
    kind = type(f"Remote{api.__name__}", (), {**methods, "__slots__": (_CLIENT,)})
    built: Any = kind()
    setattr(built, _CLIENT, client)
    return built


class _Timed:
    """Measures one call and how it ended."""

    __slots__ = ("_begun", "_metrics", "_operation", "_service")

    def __init__(self, metrics: Metrics, service: str, operation: str) -> None:
        self._metrics = metrics
        self._service = service
        self._operation = operation
        self._begun = perf_counter()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        taken_s = perf_counter() - self._begun
        outcome = kind.__name__.lower() if kind is not None else "ok"
        name = "vendrail_rpc_call_seconds"
        self._metrics.observe(name, taken_s, self._service, self._operation, outcome)


_UNTIMED: AbstractContextManager[None] = nullcontext()


def _timed(
    metrics: Metrics | None, service: str, operation: str
) -> AbstractContextManager[None] | _Timed:
    return _UNTIMED if metrics is None else _Timed(metrics, service, operation)


# In one process.


def guard(api: Callable[..., Api], service: Api, *, metrics: Metrics | None = None) -> Api:
    """Wrap the service of this process: a call from inside an open transaction is `Broken`."""

    def method(operation: Operation) -> Any:
        target = _target(api, service, operation)
        name = service_name(api)
        title = f"{name}.{operation.name}"

        async def call(_: object, *values: object, **named: object) -> Any:
            assert_no_transaction()
            with _timed(metrics, name, operation.name), span(title):
                return await target(*values, **named)

        call.__name__ = operation.name
        call.__qualname__ = f"{getattr(api, '__name__', '')}.{operation.name}"
        return call

    methods = {operation.name: method(operation) for operation in operations(api)}
    kind: Any = type(f"Guarded{service_name(api).title()}", (), {**methods, "__slots__": ()})
    built: Api = kind()
    return built


def _target(api: Any, service: object, operation: Operation) -> Callable[..., Awaitable[Any]]:
    target = getattr(service, operation.name, None)
    if not inspect.iscoroutinefunction(target):
        raise Broken(f"{type(service).__name__} lacks {api.__name__}.{operation.name}.")
    found: Callable[..., Awaitable[Any]] = target
    return found
