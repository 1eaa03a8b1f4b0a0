"""What an api offers, read once from its Protocol, and how each call of it is measured."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from time import perf_counter
from types import TracebackType
from typing import Any, get_type_hints

from vendrail.kernel.codec import Record
from vendrail.kernel.errors import Broken
from vendrail.kernel.telemetry import Metrics


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
    for name, function in members(api).items():
        if name.startswith("_") or not inspect.iscoroutinefunction(function):
            continue
        hints = get_type_hints(function)
        parameters = tuple(inspect.signature(function).parameters)[1:]
        request: Any = tuple.__class_getitem__(tuple(hints[key] for key in parameters))
        found.append(Operation(name, parameters, request, hints["return"]))
    if not found:
        raise Broken(f"{api.__name__} has no operations: it must be a Protocol of async functions.")
    return tuple(found)


def members(api: Any) -> dict[str, Any]:
    """Give what a Protocol declares, and the Protocols it is made of."""
    parts = [each for each in reversed(api.__mro__) if getattr(each, "_is_protocol", False)]
    return {name: member for part in parts for name, member in vars(part).items()}


def service_name(api: Any) -> str:
    """Give the name of an api's service: its class in lower case."""
    name: str = api.__name__
    return name.lower()


def bind(
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


def target_of(api: Any, service: object, operation: Operation) -> Callable[..., Awaitable[Any]]:
    """Find the service's own method of an operation; a service must have them all."""
    target = getattr(service, operation.name, None)
    if not inspect.iscoroutinefunction(target):
        raise Broken(f"{type(service).__name__} lacks {api.__name__}.{operation.name}.")
    found: Callable[..., Awaitable[Any]] = target
    return found


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


def timed(
    metrics: Metrics | None, service: str, operation: str
) -> AbstractContextManager[None] | _Timed:
    """Measure one call, where there are metrics to put it in."""
    return _UNTIMED if metrics is None else _Timed(metrics, service, operation)
