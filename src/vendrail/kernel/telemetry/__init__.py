"""What an operator sees: logs without secrets, metrics in one table, traces end to end."""

from vendrail.kernel.telemetry.traces import (
    Scope,
    current_trace_id,
    init_tracing,
    is_sampled,
    new_trace_id,
    remote_span,
    sampled_trace_id,
    span,
    span_batch,
    start_trace,
    stop_tracing,
    traceparent,
)

__all__ = [
    "Scope",
    "current_trace_id",
    "init_tracing",
    "is_sampled",
    "new_trace_id",
    "remote_span",
    "sampled_trace_id",
    "span",
    "span_batch",
    "start_trace",
    "stop_tracing",
    "traceparent",
]
