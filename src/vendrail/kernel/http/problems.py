"""Every error as a problem (RFC 9457): what is wrong and what to do, never a traceback."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.types import ControllerRouterHandler, ExceptionHandlersMap

from vendrail.kernel.codec import Record, encode
from vendrail.kernel.errors import Broken, Error, Malformed, Overloaded, Unavailable
from vendrail.kernel.telemetry import request_id

PROBLEM_TYPE = "urn:vendrail:problem:"
MEDIA_TYPE = "application/problem+json"

_BROKEN_DETAIL = "Something broke on our side. Try again; if it stays, tell us the request's id."

_log = structlog.get_logger(__name__)


class FieldProblem(Record, frozen=True):
    """What is wrong with one field of a request."""

    field: str
    detail: str


class ProblemDetails(Record, frozen=True, omit_defaults=True):
    """The body of every answer that is an error."""

    type: str
    title: str
    status: int
    detail: str = ""
    code: str = ""
    instance: str = ""
    errors: tuple[FieldProblem, ...] = ()


def problem_body(
    status: int,
    code: str,
    detail: str = "",
    *,
    title: str = "",
    errors: Sequence[FieldProblem] = (),
) -> bytes:
    """Write a problem; `code` names its kind for programs and ends its type."""
    request = request_id.get()
    return encode(
        ProblemDetails(
            PROBLEM_TYPE + code,
            title or _title(status),
            status,
            detail,
            code,
            f"urn:vendrail:request:{request}" if request else "",
            tuple(errors),
        )
    )


def problem_response(
    status: int,
    code: str,
    detail: str = "",
    *,
    title: str = "",
    retry_after_s: float | None = None,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """Answer with a problem; `retry_after_s` becomes Retry-After, in whole seconds."""
    given = dict(headers or {})
    if retry_after_s is not None:
        given["retry-after"] = retry_after(retry_after_s)
    body = problem_body(status, code, detail, title=title, errors=errors)
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=given)


def too_many(wait_s: float) -> Response[bytes]:
    """Answer that a limit is reached, and when to come back."""
    detail = "Too many requests. Wait for the seconds that Retry-After says."
    return problem_response(429, "rate_limited", detail, retry_after_s=wait_s)


def retry_after(wait_s: float) -> str:
    """Write a wait as Retry-After: whole seconds, at least one."""
    return str(max(1, math.ceil(wait_s)))


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


_HANG_UP = "client disconnected prematurely"  # Litestar's words, when a body does not end.
_CODES = {400: "malformed", 413: "body_too_large", 422: "malformed", 429: "rate_limited"}

AnyRequest = Request[Any, Any, Any]


def _answer_error(_: AnyRequest, error: Error) -> Response[bytes]:
    if isinstance(error, Malformed):
        return problem_response(400, "malformed", error.message)
    if isinstance(error, Overloaded):
        detail = "Too much is going on just now. Try again shortly."
        return problem_response(503, "overloaded", detail, retry_after_s=error.retry_after_s)
    if isinstance(error, Unavailable):
        _log.warning("request.unavailable", error=error.message)
        detail = "This cannot be answered just now. Try again shortly."
        return problem_response(503, "unavailable", detail, retry_after_s=error.retry_after_s)
    if isinstance(error, Broken):
        _log.error("request.broken", error=error.message, exc_info=error)
    return problem_response(500, "broken", _BROKEN_DETAIL)


def _answer_invalid(_: AnyRequest, error: ValidationException) -> Response[bytes]:
    errors = []
    for entry in error.extra if isinstance(error.extra, list) else ():
        if isinstance(entry, dict):
            field = str(entry.get("key", "") or "body")
            errors.append(FieldProblem(field, str(entry.get("message", ""))))
    detail = "The request does not fit; see `errors`." if errors else str(error.detail)
    return problem_response(400, "malformed", detail, errors=errors)


def is_hang_up(error: Exception) -> bool:
    """Tell whether the other end was gone before its request was whole: nobody's failure here."""
    return isinstance(error, InternalServerException) and error.detail == _HANG_UP


def _answer_http(_: AnyRequest, error: HTTPException) -> Response[bytes]:
    if is_hang_up(error):
        return problem_response(400, "malformed", "The request ended before it was whole.")
    status = error.status_code
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if status >= 500:
        _log.error("request.broken", status_code=status, exc_info=error)
        return problem_response(status, "broken", _BROKEN_DETAIL, headers=headers)
    title = _title(status)
    own: str = getattr(error, "code", "")  # What the edge refuses names its kind itself.
    named = title.lower().replace(" ", "_").replace("-", "_").replace("'", "")
    code = own or _CODES.get(status) or named
    detail = "" if error.detail == title else str(error.detail)
    return problem_response(status, code, detail, headers=headers)


def _answer_anything(_: AnyRequest, error: Exception) -> Response[bytes]:
    _log.error("request.broken", exc_info=error)
    return problem_response(500, "broken", _BROKEN_DETAIL)


PROBLEM_HANDLERS: ExceptionHandlersMap = {
    Error: _answer_error,
    ValidationException: _answer_invalid,
    HTTPException: _answer_http,
    Exception: _answer_anything,
}


def new_application(
    handlers: Sequence[ControllerRouterHandler],
    *,
    body_bytes_max: int = 2_000_000,
    **options: Any,
) -> Litestar:
    """Build the Litestar application of a process; wrap it in `Edge` before serving it."""
    given: dict[str, Any] = {
        "exception_handlers": PROBLEM_HANDLERS,
        "request_max_body_size": body_bytes_max,
        "logging_config": None,
        "openapi_config": None,
        "debug": False,
    }
    return Litestar(route_handlers=list(handlers), **{**given, **options})
