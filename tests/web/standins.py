"""A small market in memory: what stands outside the faces while they are tested alone.

Only the calls that the faces make are here; the real services have contract suites of their own.
"""

import asyncio
from datetime import timedelta
from uuid import UUID

from vendrail.api.catalog import (
    DeliveryKind,
    HoldPolicy,
    MerchantId,
    Offer,
    Product,
    ProductId,
    ProductView,
    QuantityPrice,
    Shop,
    ShopId,
    Variant,
    VariantId,
)
from vendrail.api.orders import (
    CancelStatus,
    FoundOrder,
    OrderState,
    OrderView,
    PayResult,
    PayStatus,
    Placement,
    PlaceStatus,
    TimelineStep,
)
from vendrail.api.payments import (
    ActionKind,
    Attempt,
    AttemptId,
    AttemptState,
    AttemptView,
    CallbackAnswer,
    ChannelId,
    Device,
    Method,
    PaymentAction,
    fitting,
)
from vendrail.kernel.codec import decode, encode, replace
from vendrail.kernel.ids import derive, named_id, to_serial

MERCHANT = MerchantId(named_id("merchant:north"))
CHANNEL = ChannelId(named_id("channel:alipay-main"))
METHODS = [
    Method(
        "alipay",
        CHANNEL,
        "alipay-main",
        "支付宝",
        ["CNY"],
        "redirect",
        devices=[Device.DESKTOP, Device.MOBILE, Device.ALIPAY],
    ),
    Method(
        "alipay_qr",
        CHANNEL,
        "alipay-main",
        "支付宝扫码",
        ["CNY"],
        "qr",
        0,
        1_000_000,
        [Device.DESKTOP, Device.MOBILE],
    ),
]


def travelled(value):
    """Send a record through the codec, as a remote service would."""
    return decode(encode(value), type(value)) if value is not None else None


def shop(name: str, slug: str) -> Shop:
    """Make a shop."""
    return Shop(
        ShopId(named_id(f"shop:{slug}")), MERCHANT, "North Trading", slug, name, contact="a@b.cn"
    )


def product(of: Shop, slug: str, title: str, prices: dict[str, int], **more) -> ProductView:
    """Make a product with one variant for each price; the first one's steps may be given."""
    steps = more.pop("steps", [])
    variants = [
        Variant(
            VariantId(named_id(sku)),
            sku,
            sku.title(),
            {"CNY": price},
            position=at,
            quantity_prices=steps if at == 0 else [],
        )
        for at, (sku, price) in enumerate(prices.items())
    ]
    stock = more.pop("stock", None) or dict.fromkeys(prices, 50)
    html = more.pop("description_html", "<p>Works everywhere. <strong>Instant</strong>.</p>")
    made = Product(ProductId(named_id(f"product:{slug}")), of.id, slug, title, variants, **more)
    return ProductView(made, of, html, stock, 1234)


class Market:
    """What all three stand-ins look at."""

    def __init__(self, clock) -> None:
        self.clock = clock
        north = shop("North Games", "north-games")
        south = shop("云端软件铺", "cloud-software")
        self.shops = [north, south]
        self.products = [
            product(
                north,
                "steam",
                "Steam 充值卡",
                {"STEAM-50": 4_850, "STEAM-100": 9_650},
                category="Games",
                instructions="Visit *Steam*, choose **Redeem**.",
                steps=[QuantityPrice(5, {"CNY": 4_800}), QuantityPrice(10, {"CNY": 4_700})],
            ),
            product(north, "switch", "eShop Card", {"ESHOP-1": 29_900}, category="Games"),
            product(
                south,
                "office",
                "Office Suite <b>Key</b> & more",
                {"OFFICE": 12_800},
                category="Software",
                stock={"OFFICE": 0},
            ),
            product(south, "vpn", "Mesh VPN, one year", {"VPN-Y": 19_900}, category="Software"),
        ]
        self.orders: dict[UUID, OrderView] = {}
        self.contacts: dict[UUID, str] = {}
        self.secrets: dict[UUID, str] = {}
        self.keyed: dict[str, tuple] = {}
        self.captured: set[UUID] = set()  # Attempts whose money has arrived.
        self.failed: set[UUID] = set()  # Attempts that their provider has said to have failed.
        self.attempts: dict[UUID, Attempt] = {}
        self.callbacks = []
        self.codes: list[tuple[str, str]] = []
        self.batches: list[int] = []
        self.is_pressed = False
        self.is_late = False  # What is placed has waited too long.
        self.problem: Exception | None = None
        self.action: PaymentAction | None = None

    def all_offers(self) -> dict[str, tuple[ProductView, Variant]]:
        """Give every variant by SKU."""
        return {v.sku: (view, v) for view in self.products for v in view.product.variants}

    def state_of(self, attempt: Attempt) -> AttemptState:
        """Say how an attempt stands, as its provider has told."""
        if attempt.id in self.captured:
            return AttemptState.CAPTURED
        return AttemptState.FAILED if attempt.id in self.failed else AttemptState.OPEN

    def step(self, id: UUID, state: OrderState, *kinds: str, **changes) -> None:
        """Move an order on, with steps in its timeline."""
        view = self.orders[id]
        now = self.clock.now()
        steps = [*view.timeline, *(TimelineStep(kind, now) for kind in kinds)]
        self.orders[id] = replace(view, state=state, timeline=steps, **changes)

    def deliver(self, id: UUID, *keys: str, delivery: str = "unique_key") -> None:
        """Pay and deliver an order."""
        now = self.clock.now()
        self.step(
            id,
            OrderState.DELIVERED,
            "paid",
            "held",
            "delivered",
            "released",
            paid_at=now,
            delivered_at=now,
            items=list(keys),
            delivery=delivery,
        )


class StandInCatalog:
    """Shops and products that are simply there."""

    def __init__(self, market: Market) -> None:
        self.market = market

    async def read_shops(self, slugs):
        """Read shops."""
        by_slug = {each.slug: each for each in self.market.shops}
        return [by_slug.get(slug) for slug in slugs] if slugs else list(by_slug.values())

    async def find_products(self, queries):
        """Find products."""
        return [[view for view in self.market.products if _fits(view, q)] for q in queries]

    async def read_products(self, ids):
        """Read products."""
        by_id = {view.product.id: view for view in self.market.products}
        return [travelled(by_id.get(id)) for id in ids]

    async def read_offers(self, skus):
        """Read offers."""
        offers = []
        for sku in skus:
            found = self.market.all_offers().get(sku)
            if found is None:
                offers.append(None)
                continue
            view, variant = found
            offers.append(
                Offer(
                    variant.id,
                    sku,
                    view.product.id,
                    view.shop.id,
                    view.shop.slug,
                    view.shop.merchant,
                    f"{view.product.title} {variant.title}",
                    variant.prices_minor,
                    variant.quantity_min,
                    variant.quantity_max,
                    DeliveryKind.UNIQUE_KEY,
                    HoldPolicy.AT_ORDER,
                    0,
                    is_on_sale=True,
                )
            )
        return offers


def _fits(view: ProductView, query) -> bool:
    if query.shop_slug and view.shop.slug != query.shop_slug:
        return False
    if query.category and view.product.category != query.category:
        return False
    return not query.words or query.words.lower() in view.product.title.lower()


class StandInOrders:
    """Orders kept in a dictionary."""

    def __init__(self, market: Market) -> None:
        self.market = market

    async def place_orders(self, orders):
        """Place orders."""
        if self.market.problem:
            raise self.market.problem
        await asyncio.sleep(0.005)  # As long as a small commit takes.
        self.market.batches.append(len(orders))
        return [self._place(order) for order in orders]

    def _place(self, order):
        market = self.market
        request = (order.sku, order.quantity, order.contact, order.method)
        if market.is_late:
            return Placement(PlaceStatus.ID_NOT_OF_NOW)
        if order.idempotency_key in market.keyed:
            first, id = market.keyed[order.idempotency_key]
            if first != request:
                return Placement(PlaceStatus.EXISTS_DIFFERENT)
            return self._placement(PlaceStatus.EXISTS, id, order.method)
        if "@" not in order.contact:
            return Placement(PlaceStatus.CONTACT_MALFORMED)
        if order.sku not in market.all_offers():
            return Placement(PlaceStatus.SKU_NOT_FOUND)
        view, variant = market.all_offers()[order.sku]
        if not variant.quantity_min <= order.quantity <= variant.quantity_max:
            return Placement(PlaceStatus.QUANTITY_OUT_OF_RANGE)
        if (order.is_proof_wanted or market.is_pressed) and not order.is_proven:
            return Placement(PlaceStatus.PROOF_WANTED)
        if order.method and order.method not in {each.method for each in METHODS}:
            return Placement(PlaceStatus.METHOD_NOT_OFFERED)
        if view.stock[order.sku] < order.quantity:
            return Placement(PlaceStatus.SOLD_OUT)
        now = market.clock.now()
        market.keyed[order.idempotency_key] = (request, order.id)
        market.contacts[order.id] = order.contact
        market.secrets[order.id] = f"secret-of-{order.id.hex}"
        market.orders[order.id] = OrderView(
            order.id,
            to_serial(order.id),
            OrderState.PLACED,
            "",
            view.shop.id,
            view.shop.slug,
            view.shop.merchant,
            view.product.id,
            order.sku,
            f"{view.product.title} {variant.title}",
            order.quantity,
            variant.total_minor(order.quantity, order.currency),
            order.currency,
            0,
            now,
            now + timedelta(minutes=15),
            None,
            None,
            [TimelineStep("placed", now)],
        )
        return self._placement(PlaceStatus.PLACED, order.id, order.method, order.return_url)

    def _placement(self, status, id, method, return_url=""):
        view = self.market.orders[id]
        return Placement(
            status,
            id,
            self.market.secrets[id],
            view.state,
            view.amount_minor,
            view.currency,
            view.expires_at,
            self._open(id, method, return_url) if method else None,
        )

    def _open(self, id, method, return_url=""):
        attempt = AttemptId(derive(id, f"attempt:{method}"))
        view = self.market.orders[id]
        if attempt not in self.market.attempts:
            number = sum(each.order == id for each in self.market.attempts.values()) + 1
            self.market.attempts[attempt] = Attempt(
                attempt,
                id,
                number,
                MERCHANT,
                method,
                view.amount_minor,
                view.currency,
                view.title,
                view.expires_at,
                CHANNEL,
                return_url,
            )
        return attempt

    async def pay_orders(self, requests):
        """Open attempts."""
        return [self._pay(request) for request in requests]

    def _pay(self, request):
        view = self.market.orders.get(request.order)
        if view is None or self.market.secrets[request.order] != request.secret:
            return PayResult(PayStatus.ORDER_NOT_FOUND)
        if view.state in (OrderState.PAID, OrderState.DELIVERED):
            return PayResult(PayStatus.PAID_ALREADY)
        if view.state is not OrderState.PLACED:
            return PayResult(PayStatus.ORDER_ENDED)
        if request.method not in {each.method for each in METHODS}:
            return PayResult(PayStatus.METHOD_NOT_OFFERED)
        return PayResult(
            PayStatus.OPENED, self._open(request.order, request.method, request.return_url)
        )

    async def read_orders(self, queries):
        """Read orders whose secret is right."""
        views = []
        for query in queries:
            view = self.market.orders.get(query.id)
            if view is None or query.secret not in (None, self.market.secrets[query.id]):
                views.append(None)
            else:
                views.append(travelled(view if query.with_items else replace(view, items=[])))
        return views

    async def cancel_orders(self, queries):
        """Cancel orders."""
        statuses = []
        for query in queries:
            view = self.market.orders.get(query.id)
            if view is None or query.secret != self.market.secrets[query.id]:
                statuses.append(CancelStatus.ORDER_NOT_FOUND)
            elif view.state is not OrderState.PLACED:
                statuses.append(CancelStatus.PAID_ALREADY)
            else:
                self.market.step(query.id, OrderState.CANCELLED, "cancelled")
                statuses.append(CancelStatus.CANCELLED)
        return statuses

    async def request_lookup_codes(self, requests):
        """Send codes."""
        self.market.codes += [(each.contact, "12345678") for each in requests]
        return [True] * len(requests)

    async def redeem_lookup_codes(self, codes):
        """Redeem codes."""
        found = []
        for code in codes:
            if (code.contact, code.code) not in self.market.codes:
                found.append(None)
                continue
            self.market.codes.remove((code.contact, code.code))
            found.append(
                [
                    FoundOrder(
                        view.id,
                        view.serial,
                        self.market.secrets[view.id],
                        view.title,
                        view.state,
                        view.placed_at,
                    )
                    for view in self.market.orders.values()
                    if self.market.contacts[view.id] == code.contact
                ]
            )
        return found


class StandInPayments:
    """Ways to pay that always open."""

    def __init__(self, market: Market) -> None:
        self.market = market

    async def list_methods(self, currency):
        """List methods."""
        return [each for each in METHODS if currency in each.currencies]

    async def read_deposits(self, attempts):
        """Say that no attempt is paid on a chain."""
        return [None for _ in attempts]

    async def offer_methods(self, questions):
        """List the methods that are offered."""
        return [
            sorted(
                fitting(
                    await self.list_methods(each.currency),
                    each.amount_minor_min,
                    each.amount_minor_max,
                    each.device,
                ),
                key=lambda method, each=each: method.method != each.habit,
            )
            for each in questions
        ]

    async def read_attempts(self, orders):
        """Read attempts."""
        return [
            [
                AttemptView(
                    attempt,
                    self.market.state_of(attempt),
                    f"{to_serial(id)}{attempt.number:02}",
                    self.market.clock.now(),
                )
                for attempt in self.market.attempts.values()
                if attempt.order == id
            ]
            for id in orders
        ]

    async def present_attempts(self, requests):
        """Present attempts."""
        return [self._present(request) for request in requests]

    def _present(self, request):
        if self.market.action is not None:
            return self.market.action
        attempt = self.market.attempts.get(request.attempt)
        if attempt is None:
            return PaymentAction(ActionKind.NONE, problem="attempt_not_found")
        if attempt.method == "alipay_qr":
            return PaymentAction(ActionKind.QR, text="https://qr.example.com/bax08x0001")
        return PaymentAction(
            ActionKind.REDIRECT, url=f"https://provider.example.com/gateway?n={attempt.number}&x=1"
        )

    async def take_callbacks(self, callbacks):
        """Take callbacks."""
        self.market.callbacks += callbacks
        if self.market.problem:
            raise self.market.problem
        return [
            CallbackAnswer(200, b"success")
            if b"sign=good" in each.body
            else CallbackAnswer(400, b"failure")
            for each in callbacks
        ]
