"""Calls in one process: as cheap as a call can be, with the rule of a remote one."""

from collections.abc import Callable
from typing import Any, TypeVar

from vendrail.kernel.db import assert_no_transaction
from vendrail.kernel.rpc.operations import Operation, operations, service_name, target_of, timed
from vendrail.kernel.telemetry import Metrics, span

Api = TypeVar("Api")


def guard(api: Callable[..., Api], service: Api, *, metrics: Metrics | None = None) -> Api:
    """Wrap the service of this process: a call from inside an open transaction is `Broken`."""

    def method(operation: Operation) -> Any:
        target = target_of(api, service, operation)
        name = service_name(api)
        title = f"{name}.{operation.name}"

        async def call(_: object, *values: object, **named: object) -> Any:
            assert_no_transaction()
            with timed(metrics, name, operation.name), span(title):
                return await target(*values, **named)

        call.__name__ = operation.name
        call.__qualname__ = f"{getattr(api, '__name__', '')}.{operation.name}"
        return call

    methods = {operation.name: method(operation) for operation in operations(api)}
    kind: Any = type(f"Guarded{service_name(api).title()}", (), {**methods, "__slots__": ()})
    built: Api = kind()
    return built
