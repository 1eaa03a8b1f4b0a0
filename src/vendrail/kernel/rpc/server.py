"""The side that answers: checks who asks, reads, calls, writes."""

from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from litestar import Request, Response, Router, post

from vendrail.kernel.clock import Clock, SystemClock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.errors import Broken, Error, Malformed
from vendrail.kernel.rpc.operations import operations, service_name, target_of
from vendrail.kernel.rpc.wire import (
    PROBLEM_TYPE,
    REQUEST_BYTES_MAX,
    SIGNATURE_HEADER,
    WINDOW_S,
    Problem,
    Reply,
    call_path,
    is_signed,
    sign_reply,
    to_problem,
)
from vendrail.kernel.telemetry import remote_span

Api = TypeVar("Api")

_log = structlog.get_logger(__name__)


class Server:
    """Answers signed calls to one service; knows nothing of how they travelled."""

    def __init__(self, api: Any, service: object, secret: bytes, clock: Clock) -> None:
        self.name = service_name(api)
        self._secret = secret
        self._clock = clock
        self._operations = {
            operation.name: (operation, target_of(api, service, operation))
            for operation in operations(api)
        }

    async def answer(self, operation_name: str, signature: str, trace: str, body: bytes) -> Reply:
        """Check who asks, read, call, write; whatever goes wrong becomes a problem."""
        path = call_path(self.name, operation_name)
        if not is_signed(self._secret, path, signature, body, self._clock.now().timestamp()):
            detail = (
                "The call is not signed with this installation's secret, or its time is more than "
                f"{WINDOW_S} s away; compare VENDRAIL_RPC_SECRET and the clocks."
            )
            return Reply(401, encode(Problem(PROBLEM_TYPE + "unsigned", 401, detail)))
        try:
            status, content = 200, await self._call(operation_name, trace, body)
        except Error as error:
            problem = to_problem(error)
            status, content = problem.status, encode(problem)
        except Exception:  # noqa: BLE001  # Whatever it was, the caller gets an answer.
            _log.exception("rpc.broken", service=self.name, operation=operation_name)
            broken = Broken(f"{self.name}.{operation_name} broke; its log says more.")
            status, content = 500, encode(to_problem(broken))
        return Reply(status, content, sign_reply(self._secret, signature, status, content))

    async def _call(self, operation_name: str, trace: str, body: bytes) -> bytes:
        found = self._operations.get(operation_name)
        if found is None:
            raise Malformed(f"{self.name} has no operation {operation_name!r}.")
        operation, target = found
        values = decode(body, operation.request)
        with remote_span(f"{self.name}.{operation_name}", trace):
            return encode(await target(*values))


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
        signature, trace = headers.get(SIGNATURE_HEADER, ""), headers.get("traceparent", "")
        reply = await server.answer(operation, signature, trace, body)
        return Response(
            reply.body,
            status_code=reply.status,
            media_type="application/json" if reply.status == 200 else "application/problem+json",
            headers={SIGNATURE_HEADER: reply.signature},
        )

    return Router(path=f"/rpc/{server.name}", route_handlers=[answer])
