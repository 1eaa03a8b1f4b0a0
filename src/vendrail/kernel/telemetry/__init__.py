"""What an operator sees: logs without secrets, metrics in one table, traces end to end."""

from vendrail.kernel.telemetry.logs import (
    SERVER_LOGS,
    count_masked_cards,
    init_logs,
    mask,
    mask_text,
    request_id,
)
from vendrail.kernel.telemetry.loop import watch_loop
from vendrail.kernel.telemetry.metrics import METRICS, Metric, Metrics
from vendrail.kernel.telemetry.readings import Readings, Spread
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
    trace_id_here,
    traceparent,
)

__all__ = [
    "METRICS",
    "SERVER_LOGS",
    "Metric",
    "Metrics",
    "Readings",
    "Scope",
    "Spread",
    "count_masked_cards",
    "current_trace_id",
    "init_logs",
    "init_tracing",
    "is_sampled",
    "mask",
    "mask_text",
    "new_trace_id",
    "remote_span",
    "request_id",
    "sampled_trace_id",
    "span",
    "span_batch",
    "start_trace",
    "stop_tracing",
    "trace_id_here",
    "traceparent",
    "watch_loop",
]
