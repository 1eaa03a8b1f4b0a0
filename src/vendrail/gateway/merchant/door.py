"""The door of the merchants' part: who comes, how often, what for; then the room that answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from vendrail.api.catalog import Catalog
from vendrail.api.identity import Identity, Permission
from vendrail.api.ledger import Ledger
from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.api.payouts import Payouts
from vendrail.api.settlement import Settlement
from vendrail.api.webhooks import Webhooks
from vendrail.gateway import problems as common
from vendrail.gateway.exchange import Answer, Exchange, Refusal, refused
from vendrail.gateway.merchant.agencies import AgencyRoom
from vendrail.gateway.merchant.fees import FeesRoom
from vendrail.gateway.merchant.keyring import Keyring, Program
from vendrail.gateway.merchant.keys import KeyRoom
from vendrail.gateway.merchant.methods import MethodRoom
from vendrail.gateway.merchant.money import MoneyRoom
from vendrail.gateway.merchant.orders import OrderRoom
from vendrail.gateway.merchant.payouts import PayoutRoom
from vendrail.gateway.merchant.products import ProductRoom
from vendrail.gateway.merchant.webhooks import WebhookRoom
from vendrail.gateway.settings import GatewaySettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.limits import SharedLimit
from vendrail.kernel.telemetry import Metrics

KEY_FILES = "/api/v1/merchant/skus/"  # Below it, bodies may be large.

_Handler = Callable[[Exchange, Program, str], Awaitable[Answer]]


@dataclass(frozen=True)
class MerchantApis:
    """The services that the merchants' part asks."""

    identity: Identity
    catalog: Catalog
    orders: Orders
    payments: Payments
    settlement: Settlement
    ledger: Ledger
    payouts: Payouts
    webhooks: Webhooks


class _Route(NamedTuple):
    scope: Permission
    handler: _Handler


class MerchantDoor:
    """Everything below /api/v1/merchant."""

    def __init__(
        self,
        apis: MerchantApis,
        clock: Clock,
        settings: GatewaySettings,
        limit: SharedLimit | None = None,
        metrics: Metrics | None = None,
        act_limit: Callable[[str], Awaitable[float]] | None = None,
    ) -> None:
        capacity = settings.requests_per_key_per_minute_max
        self._keyring = keyring = Keyring(apis.identity, clock, limit, capacity, metrics, act_limit)
        products = ProductRoom(apis.catalog, keyring, clock)
        keys = KeyRoom(apis.catalog, keyring, settings.key_file_bytes_max)
        orders = OrderRoom(apis.orders, keyring)
        methods = MethodRoom(apis.payments, keyring, clock)
        money = MoneyRoom(apis.settlement, apis.ledger, settings.default_currency)
        fees = FeesRoom(apis.settlement, clock)
        payouts = PayoutRoom(
            apis.payouts, apis.orders, apis.settlement, keyring, clock, settings.default_currency
        )
        read, write = Permission.PRODUCTS_READ, Permission.PRODUCTS_WRITE
        self._routes: dict[tuple[str, ...], dict[str, _Route]] = {
            ("shops",): {"GET": _Route(read, products.list_shops)},
            ("methods",): {
                "GET": _Route(read, methods.list_methods),
                "PUT": _Route(Permission.SHOP_WRITE, methods.put_methods),
            },
            ("products",): {"GET": _Route(read, products.list_products)},
            ("products", "{id}"): {
                "GET": _Route(read, products.read_product),
                "PUT": _Route(write, products.put_product),
            },
            ("skus", "{id}", "keys"): {"POST": _Route(Permission.KEYS_WRITE, keys.add_keys)},
            ("orders",): {"GET": _Route(Permission.ORDERS_READ, orders.list_orders)},
            ("orders", "{id}"): {"GET": _Route(Permission.ORDERS_READ, orders.read_order)},
            ("orders", "{id}", "refunds"): {
                "GET": _Route(Permission.ORDERS_READ, orders.list_refunds),
                "POST": _Route(Permission.REFUNDS_WRITE, orders.ask_refund),
            },
            ("orders", "{id}", "payouts"): {
                "GET": _Route(Permission.BALANCE_READ, payouts.list_paid_out)
            },
            ("payees",): {"GET": _Route(Permission.BALANCE_READ, payouts.list_payees)},
            ("payouts",): {
                "GET": _Route(Permission.BALANCE_READ, payouts.list_payouts),
                "POST": _Route(Permission.PAYOUTS_WRITE, payouts.ask_payout),
            },
            ("payouts", "{id}"): {"GET": _Route(Permission.BALANCE_READ, payouts.read_payout)},
            ("payouts", "{id}", "shares"): {
                "GET": _Route(Permission.BALANCE_READ, payouts.list_shares)
            },
            ("schedules", "{id}"): {
                "GET": _Route(Permission.BALANCE_READ, payouts.read_schedule),
                "PUT": _Route(Permission.PAYOUTS_WRITE, payouts.put_schedule),
            },
            ("releases",): {"GET": _Route(Permission.BALANCE_READ, payouts.list_releases)},
            ("balance",): {"GET": _Route(Permission.BALANCE_READ, money.read_balance)},
            ("fees",): {"GET": _Route(Permission.BALANCE_READ, fees.read_fees)},
            ("entries",): {"GET": _Route(Permission.BALANCE_READ, money.list_entries)},
            ("entries", "{id}", "proof"): {
                "GET": _Route(Permission.BALANCE_READ, money.prove_entry)
            },
            **_webhook_routes(WebhookRoom(apis.webhooks, keyring, clock)),
            **_agency_routes(
                AgencyRoom(apis.catalog, apis.orders, apis.settlement, keyring, clock)
            ),
        }

    async def answer(self, exchange: Exchange, parts: list[str], address: str) -> Answer:
        """Answer one request; whatever it comes to, it says how the key's rate stands."""
        rest = parts[1] if len(parts) > 1 else ""
        path = [parts[0], "{id}", *parts[2:]] if rest else parts
        methods = self._routes.get(tuple(path))
        if methods is None:
            return refused(common.NOT_FOUND)
        http: Any = exchange.scope
        http["path_template"] = f"/api/v1/merchant/{'/'.join(path)}"  # For the metrics.
        route = methods.get("GET" if exchange.method == "HEAD" else exchange.method)
        if route is None:
            allowed = ", ".join(methods).encode()
            return refused(common.METHOD_NOT_ALLOWED, headers=[(b"allow", allowed)])
        program = await self._keyring.admit(exchange, address)
        standing = await self._keyring.count(program)
        try:
            self._keyring.need(program, route.scope)
            answer = await route.handler(exchange, program, rest)
        except Refusal as refusal:
            answer = refused(refusal.problem, refusal.detail, refusal.headers)
        except Malformed as error:
            answer = refused(common.BODY_MALFORMED, error.message)
        except Unavailable as error:
            seconds = b"%d" % max(1, round(error.retry_after_s + 0.499))
            answer = refused(common.UNAVAILABLE, headers=[(b"retry-after", seconds)])
        answer.headers += standing
        return answer


def _agency_routes(room: AgencyRoom) -> dict[tuple[str, ...], dict[str, _Route]]:
    """Name what can be asked about agents and suppliers."""
    read, write = Permission.PRODUCTS_READ, Permission.PRODUCTS_WRITE
    return {
        ("agencies",): {"GET": _Route(read, room.list_agencies)},
        ("floors",): {"GET": _Route(read, room.list_floors)},
        ("floors", "{id}"): {"PUT": _Route(write, room.put_floor)},
        ("offers",): {"GET": _Route(read, room.list_offers)},
        ("listings", "{id}"): {"PUT": _Route(write, room.put_listing)},
        ("supplied-sales",): {"GET": _Route(Permission.BALANCE_READ, room.list_sales)},
    }


def _webhook_routes(room: WebhookRoom) -> dict[tuple[str, ...], dict[str, _Route]]:
    """Name what can be asked about webhooks and events."""
    read, write, root = Permission.WEBHOOKS_READ, Permission.WEBHOOKS_WRITE, "webhook-endpoints"
    return {
        (root,): {
            "GET": _Route(read, room.list_endpoints),
            "POST": _Route(write, room.make_endpoint),
        },
        (root, "{id}"): {
            "GET": _Route(read, room.read_endpoint),
            "PUT": _Route(write, room.put_endpoint),
            "DELETE": _Route(write, room.delete_endpoint),
        },
        (root, "{id}", "secret"): {"POST": _Route(write, room.make_secret)},
        (root, "{id}", "test"): {"POST": _Route(write, room.test)},
        (root, "{id}", "redeliveries"): {"POST": _Route(write, room.redeliver)},
        (root, "{id}", "deliveries"): {"GET": _Route(read, room.list_deliveries)},
        ("events",): {"GET": _Route(read, room.list_events)},
    }
