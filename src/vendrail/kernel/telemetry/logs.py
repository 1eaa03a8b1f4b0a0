"""Structured logs that hold no secret, no key and no card number, whoever writes them."""

import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from vendrail.kernel.cards import is_luhn
from vendrail.kernel.telemetry.traces import current_trace_id

MASK = "•••"
_DEPTH_MAX = 6
_TEXT_LENGTH_MAX = 20_000

_SECRET_NAME = re.compile(
    r"(?i)secret|token|passw|passphrase|authorization|cookie|credential|private"
    r"|signature|(^|_)(api_?)?keys?$|(^|_)(pan|cvv|cvc|pin|otp|code)$|plaintext|dsn"
)
_HARMLESS_NAMES = frozenset({"status_code", "error_code", "code_path"})
_SECRETS_IN_TEXT = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), rf"\1 {MASK}"),
    (re.compile(r"(\w+://[^:/@\s]*):[^@/\s]+@"), rf"\1:{MASK}@"),
    (
        re.compile(
            r"(?i)\b([\w-]*(?:secret|token|password|passwd|api_?key|signature|authorization)"
            r"|[\w-]*_key|key|sign|code)([\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;}]+"
        ),
        rf"\1\2{MASK}",
    ),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*-----|$)", re.DOTALL),
        MASK,
    ),
)
_CARD_LIKE = re.compile(r"(?<!\w)(?<!\d\.)[2-6](?:[ -]?\d){12,18}(?!\w|\.\d)")

_counts: list[Callable[[], None]] = []

request_id: ContextVar[str] = ContextVar("request_id", default="")


def mask_text(text: str) -> str:
    """Take bearer tokens, passwords, private keys and card numbers out of a text."""
    if len(text) > _TEXT_LENGTH_MAX:
        text = text[:_TEXT_LENGTH_MAX] + "…"
    for pattern, replacement in _SECRETS_IN_TEXT:
        text = pattern.sub(replacement, text)
    return _CARD_LIKE.sub(_mask_card, text)


def count_masked_cards(count: Callable[[], None]) -> None:
    """Have it counted whenever a card's number is masked: somebody has sent or written one."""
    _counts[:] = [count]


def _mask_card(match: re.Match[str]) -> str:
    digits = "".join(letter for letter in match[0] if letter.isdigit())
    if not (13 <= len(digits) <= 19 and is_luhn(digits)):
        return match[0]
    for count in _counts:
        count()
    return MASK


def mask(value: Any, depth: int = 0) -> Any:
    """Mask a value and all that is in it; what is under a secret's name is not shown at all."""
    if isinstance(value, str):
        return mask_text(value)
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return MASK if _CARD_LIKE.sub(_mask_card, str(value)) == MASK else value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if depth >= _DEPTH_MAX:
        return "…"
    if isinstance(value, MutableMapping):
        return {key: _mask_named(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [mask(item, depth + 1) for item in value]
    return mask_text(repr(value) if not isinstance(value, BaseException) else str(value))


def _mask_named(name: str, value: Any, depth: int) -> Any:
    is_shown = value is None or isinstance(value, (bool, int, float))
    if not is_shown and name not in _HARMLESS_NAMES and _SECRET_NAME.search(name):
        return MASK
    return mask(value, depth)


def mask_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Mask every field of a log line: the last step before it is written."""
    return {name: _mask_named(name, value, 0) for name, value in event.items()}


def _add_ids(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Say for which request and trace the line was written."""
    request = request_id.get()
    if request:
        event.setdefault("request_id", request)
    trace = current_trace_id()
    if trace and trace != request:
        event.setdefault("trace_id", trace)
    return event


# The HTTP server has a log of its own, on standard output, where nobody may be reading: let its
# lines pass through ours, on standard error and masked.
SERVER_LOGS: dict[str, Any] = {
    "loggers": {"_granian": {"handlers": [], "propagate": True}},
}


class _StandardError:
    """Standard error as it is when a line is written: it may be replaced, or closed, meanwhile."""

    def write(self, text: str) -> int:
        """Write to what is standard error now."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Flush what is standard error now."""
        sys.stderr.flush()

    def isatty(self) -> bool:
        """Whether a person reads along."""
        return sys.stderr.isatty()


def init_logs(level: str = "info", *, is_json: bool = False, stream: TextIO | None = None) -> None:
    """Set up logs, ours and those of libraries alike, on standard error or a stream."""
    number = logging.getLevelNamesMapping()[level.upper()]
    # Tracebacks are plain: rich ones would show local variables, and keys among them.
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_ids,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        mask_event,
    ]
    out: TextIO = stream or cast("TextIO", _StandardError())
    renderer: Processor = (
        structlog.processors.JSONRenderer(default=repr, ensure_ascii=False)
        if is_json
        else structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=24)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in ("httpx", "httpcore", "asyncio", "_granian"):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
