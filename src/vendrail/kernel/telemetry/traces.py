"""Traces: one id from the request to the settled money, a span costs nothing where it is not kept.

Whether a trace is kept is read from its id alone, so that whoever finds the id in a row (an order,
a saga, an event) knows it too and can add spans under the same root: the root span's id is the
first half of the trace's id. Nothing is kept before `init_tracing` was told where to send it.
"""

import importlib
import os
import re
from collections.abc import Iterable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Protocol

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.status import Status, StatusCode

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_LINKS_MAX = 64  # Of a batch's traces so many are told; a batch of 512 needs no more.


class _Trace:
    """Where this task stands: the trace's id and, where it is kept, the span that is open."""

    __slots__ = ("context", "trace_id")

    def __init__(self, trace_id: str, context: Context | None = None) -> None:
        self.trace_id = trace_id
        self.context = context


_current: ContextVar[_Trace | None] = ContextVar("trace", default=None)
_forced_ids: ContextVar[tuple[int, int] | None] = ContextVar("forced_ids", default=None)


class _Ids(IdGenerator):
    """Random ids, but for a root: its ids are chosen before its span begins."""

    def generate_trace_id(self) -> int:
        forced = _forced_ids.get()
        return forced[0] if forced else int.from_bytes(os.urandom(16), "big")

    def generate_span_id(self) -> int:
        forced = _forced_ids.get()
        return forced[1] if forced else int.from_bytes(os.urandom(8), "big")


class _Tracing:
    """What `init_tracing` set up; without it, nothing is kept."""

    provider: TracerProvider | None = None
    tracer: Any = None
    bound: int = 0  # Traces whose lower half lies below are kept.


_tracing = _Tracing()


def init_tracing(
    name: str, *, ratio: float = 0.05, endpoint: str = "", processor: SpanProcessor | None = None
) -> None:
    """Send this part of all traces to an OTLP collector or a processor; neither: keep none."""
    stop_tracing()
    if endpoint:
        module = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        url = endpoint.rstrip("/")
        url = url if url.endswith("/v1/traces") else f"{url}/v1/traces"
        processor = BatchSpanProcessor(module.OTLPSpanExporter(endpoint=url))
    if processor is None:
        return
    _tracing.provider = TracerProvider(
        sampler=ParentBased(ALWAYS_ON),  # The ratio was applied before a span is even made.
        resource=Resource.create({"service.name": name}),
        id_generator=_Ids(),
        shutdown_on_exit=False,
    )
    _tracing.provider.add_span_processor(processor)
    _tracing.tracer = _tracing.provider.get_tracer("vendrail")
    _tracing.bound = round(ratio * (1 << 64))


def stop_tracing() -> None:
    """Send what waits to be sent, then keep nothing more."""
    provider = _tracing.provider
    _tracing.provider, _tracing.tracer, _tracing.bound = None, None, 0
    if provider is not None:
        provider.shutdown()


def new_trace_id() -> str:
    """Make a trace id: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def current_trace_id() -> str:
    """Give the id of the trace this task works for; empty when there is none."""
    trace = _current.get()
    return trace.trace_id if trace is not None else ""


def trace_id_here() -> str:
    """Give the current trace's id, or a new one: what an order is placed with."""
    return current_trace_id() or new_trace_id()


def sampled_trace_id() -> str:
    """Give the current trace's id if it is kept, else an empty text: what a batch remembers."""
    trace = _current.get()
    return trace.trace_id if trace is not None and trace.context is not None else ""


def is_sampled(trace_id: str) -> bool:
    """Tell from a trace's id alone whether it is kept."""
    if not _tracing.bound or not _TRACE_ID.fullmatch(trace_id):
        return False
    return int(trace_id[16:], 16) < _tracing.bound


def traceparent() -> str:
    """Write the current trace as the W3C header that calls between services carry."""
    trace = _current.get()
    if trace is None:
        return ""
    if trace.context is not None:
        span_id = get_current_span(trace.context).get_span_context().span_id
        return f"00-{trace.trace_id}-{span_id:016x}-01"
    return f"00-{trace.trace_id}-{trace.trace_id[:16]}-00"


class Scope(Protocol):
    """What `with` takes here: gives the trace id inside the block."""

    def __enter__(self) -> str:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End."""
        ...


class _Nothing:
    """A span that is not kept: one object for all of them."""

    __slots__ = ()

    def __enter__(self) -> str:
        return current_trace_id()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None


class _Entered:
    """Makes a trace the current one, without a span of its own."""

    __slots__ = ("_token", "_trace")

    def __init__(self, trace: _Trace) -> None:
        self._trace = trace
        self._token: Token[_Trace | None] | None = None

    def __enter__(self) -> str:
        self._token = _current.set(self._trace)
        return self._trace.trace_id

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)


class _Recorded(_Entered):
    """A span that is kept, and is the current one inside its block."""

    __slots__ = ("_mirrors", "_span")

    def __init__(self, trace_id: str, span: Any, mirrors: list[Any]) -> None:
        super().__init__(_Trace(trace_id, set_span_in_context(span)))
        self._span = span
        self._mirrors = mirrors

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        for span in (*self._mirrors, self._span):
            if kind is not None:
                # The error's name only: its text may hold what a trace must not.
                span.set_status(Status(StatusCode.ERROR, kind.__name__))
            span.end()


_NOTHING = _Nothing()


def start_trace(name: str, trace_id: str = "") -> Scope:
    """Begin a trace: a request, or work that nobody asked for. Its id is there even if not kept."""
    trace_id = trace_id or new_trace_id()
    if not is_sampled(trace_id):
        return _Entered(_Trace(trace_id))
    mark = _forced_ids.set((int(trace_id, 16), int(trace_id[:16], 16)))
    try:
        span = _tracing.tracer.start_span(name, context=Context(), kind=SpanKind.SERVER)
    finally:
        _forced_ids.reset(mark)
    return _Recorded(trace_id, span, [])


def span(name: str, **attributes: str | float | bool) -> Scope:
    """Tell of one piece of work inside the current trace; nearly free where it is not kept."""
    trace = _current.get()
    if trace is None or trace.context is None or _tracing.tracer is None:
        return _NOTHING
    child = _tracing.tracer.start_span(name, context=trace.context, attributes=attributes)
    return _Recorded(trace.trace_id, child, [])


def span_batch(name: str, trace_ids: Iterable[str], count: int = 0) -> Scope:
    """Tell of a batch that works for many traces: a span in each kept one, linked to the first."""
    if not _tracing.bound:
        return _NOTHING
    kept = list(dict.fromkeys(id for id in trace_ids if id and is_sampled(id)))[:_LINKS_MAX]
    if not kept:
        return _NOTHING
    start = _tracing.tracer.start_span
    roots = [_root_of(trace_id) for trace_id in kept]
    attributes = {"batch.size": count or len(kept), "batch.traces": len(kept)}
    links = [Link(root) for root in roots[1:]]
    first = start(name, context=_under(roots[0]), attributes=attributes, links=links)
    back = [Link(first.get_span_context())]
    mirrors = [start(name, context=_under(root), links=back) for root in roots[1:]]
    return _Recorded(kept[0], first, mirrors)


def remote_span(name: str, header: str) -> Scope:
    """Go on with the trace of a caller in another process; it has decided whether it is kept."""
    match = _TRACEPARENT.fullmatch(header)
    if match is None:
        return _NOTHING
    trace_id, span_id, flags = match.groups()
    if not int(flags, 16) & 1 or _tracing.tracer is None or not int(span_id, 16):
        return _Entered(_Trace(trace_id))
    parent = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=_SAMPLED)
    child = _tracing.tracer.start_span(name, context=_under(parent), kind=SpanKind.SERVER)
    return _Recorded(trace_id, child, [])


def _root_of(trace_id: str) -> SpanContext:
    ids = int(trace_id, 16), int(trace_id[:16], 16)
    return SpanContext(*ids, is_remote=True, trace_flags=_SAMPLED)


def _under(parent: SpanContext) -> Context:
    return set_span_in_context(NonRecordingSpan(parent), Context())
