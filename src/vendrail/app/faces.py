"""The faces: what people and programs meet, built as clients of the services' apis."""

from typing import Any

from vendrail.api.catalog import Catalog
from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.app.wiring import House
from vendrail.gateway.http import routes
from vendrail.gateway.settings import GatewaySettings
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.telemetry.traces import trace_id_here


def gateway_routes(
    house: House, catalog: Catalog, orders: Orders, payments: Payments, metrics: Metrics
) -> list[Any]:
    """Build the public REST API and the callback door."""
    return list(
        routes(
            catalog,
            orders,
            payments,
            clock=house.clock,
            settings=house.settings(GatewaySettings, "gateway"),
            start_trace=trace_id_here,
            on_batch=metrics.observe_batch,
        )
    )


def web_routes(
    house: House, catalog: Catalog, orders: Orders, payments: Payments, metrics: Metrics
) -> list[Any]:
    """Build the storefront."""
    return []
