"""Placing, paying and reading orders over the public API."""

import asyncio
from uuid import UUID

import msgspec
import structlog

from vendrail.api.catalog import DeliveryKind
from vendrail.api.orders import (
    OrderId,
    OrderQuery,
    OrderView,
    PayOrder,
    PayStatus,
    Placement,
    PlaceOrder,
    PlaceStatus,
)
from vendrail.api.payments import AttemptId, Device, PresentRequest
from vendrail.gateway import problems
from vendrail.gateway.bodies import (
    Action,
    OrderBody,
    PaidBody,
    PayBody,
    PaymentBody,
    PlaceBody,
    PlacedBody,
    StepBody,
)
from vendrail.gateway.calls import Calls
from vendrail.gateway.exchange import Answer, Exchange, FileAnswer, Refusal, said
from vendrail.gateway.quoting import QuoteDesk
from vendrail.gateway.settings import GatewaySettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.http import limit_key
from vendrail.kernel.ids import from_serial, new_id, to_serial
from vendrail.kernel.limits.gate import Gate, Judgement
from vendrail.kernel.soldfiles import SoldFiles

_log = structlog.get_logger(__name__)

_REPLAYED = (b"idempotency-replayed", b"true")
_PLACE = msgspec.json.Decoder(PlaceBody)
_PAY = msgspec.json.Decoder(PayBody)
_UNASKED = Judgement(is_wanted=False, is_proven=True)  # A face without proofs asks for none.
_TAKEN = (PlaceStatus.PLACED, PlaceStatus.EXISTS)


class OrderDesk:
    """Answers everything about one order; who holds its secret is its buyer."""

    def __init__(
        self,
        calls: Calls,
        clock: Clock,
        settings: GatewaySettings,
        public_url: str,
        files: SoldFiles,
        quotes: QuoteDesk,
        gate: Gate | None = None,
    ) -> None:
        self._calls = calls
        self._clock = clock
        self._settings = settings
        self._public_url = public_url
        self._gate = gate
        self._files = files
        self._quotes = quotes

    async def place(self, exchange: Exchange, address: str, trace_id: str) -> Answer:
        """Place one order; the same Idempotency-Key gives the same order again."""
        body = await exchange.json(_PLACE, self._settings.body_bytes_max)
        _check_return_url(body.return_url)
        seller = await self._calls.seller(body.sku)
        shard, currencies = (seller.shard, seller.currencies) if seller else (0, ())
        quote = await self._quotes.find(body.quote) if body.quote else None
        currency = body.currency or (
            quote.currency if quote is not None else self._choose_currency(currencies)
        )
        judgement = _UNASKED
        if self._gate is not None:
            payload = exchange.header(b"altcha")
            judgement = await self._gate.judge(limit_key(address), payload)
        order = PlaceOrder(
            OrderId(new_id(self._clock.now(), shard)),
            body.sku,
            body.quantity,
            currency,
            body.contact,
            body.method,
            address,
            "",
            body.locale,
            _idempotency_key(exchange),
            body.return_url,
            trace_id,
            judgement.is_wanted,
            judgement.is_proven,
            quote=quote.id if quote is not None else None,
            paid_currency=quote.paid_currency if quote is not None else "",
            browser=body.device,
            coupon=body.coupon,
        )
        placed = await self._calls.place(order)
        if placed.status is PlaceStatus.ID_NOT_OF_NOW:
            raise Unavailable("The order waited so long that its id is not of this moment.")
        if placed.status is PlaceStatus.PROOF_WANTED and self._gate is not None:
            members: dict[str, object] = {"challenge": self._gate.challenge()}
            raise Refusal(problems.PLACE[placed.status], members=members)
        if placed.status not in _TAKEN or placed.order is None:
            raise refusal_of(placed)
        payment = None
        if placed.attempt is not None and body.method:
            paid = placed.exchange.currency if placed.exchange else currency
            payment = await self._payment(placed.order, placed.attempt, body, paid)
        replayed = (_REPLAYED,) if placed.status is PlaceStatus.EXISTS else ()
        return said(201, encode(_placed(placed, placed.order, payment)), replayed)

    async def pay(self, exchange: Exchange, serial: str) -> Answer:
        """Open one more way to pay an order."""
        id, secret = _order_id(serial), _secret(exchange)
        body = await exchange.json(_PAY, self._settings.body_bytes_max)
        _check_return_url(body.return_url)
        result = await self._calls.pay(
            PayOrder(id, secret, body.method, body.return_url, body.device)
        )
        if result.status is not PayStatus.OPENED or result.attempt is None:
            raise Refusal(problems.PAY[result.status])
        view = await self._calls.read(OrderQuery(id, secret))
        if view is None:
            raise Refusal(problems.ORDER_NOT_FOUND)
        payment = await self._payment(id, result.attempt, body, view.due_currency)
        answer = PaidBody(
            view.serial, view.state, view.due_minor, view.due_currency, view.expires_at, payment
        )
        return said(201, encode(answer))

    async def read(self, exchange: Exchange, serial: str) -> Answer:
        """Answer an order as it stands, with its keys once it is delivered."""
        query = OrderQuery(_order_id(serial), _secret(exchange), with_items=True)
        view = await self._calls.read(query)
        if view is None:
            raise Refusal(problems.ORDER_NOT_FOUND)
        return said(200, encode(_order(view, self._items(view))))

    async def read_file(self, exchange: Exchange, rest: str) -> Answer:
        """Answer a file that an order has bought, once it is delivered; they count from 1."""
        serial, _, number = rest.partition("/")
        query = OrderQuery(_order_id(serial), _secret(exchange), with_items=True)
        view = await self._calls.read(query)
        path = view.file_path(number) if view is not None else None
        if path is None:
            raise Refusal(problems.ORDER_NOT_FOUND)
        found = await asyncio.to_thread(self._files.open, path)
        if found is None:
            _log.error("gateway.file_missing", order=serial, path=path)
            raise Refusal(problems.NOT_FOUND)
        return FileAnswer(found)

    def _items(self, view: OrderView) -> list[str]:
        """Give what was delivered; for a file the address that gives it."""
        if view.delivery != DeliveryKind.FILE:
            return view.items
        files = f"{self._public_url}/api/v1/orders/{view.serial}/files"
        return [f"{files}/{number}" for number in range(1, len(view.items) + 1)]

    async def _payment(
        self, order: UUID, attempt: UUID, asked: PlaceBody | PayBody, currency: str
    ) -> PaymentBody:
        """Say how to pay: our own door where the buyer is sent on, else what the provider gives."""
        method = asked.method
        offered = await self._calls.methods(currency)
        found = next((each for each in offered if each.method == method), None)
        channel = found.channel_name if found else ""
        id = to_serial(attempt)
        door = Action("redirect", f"{self._public_url}/pay/{to_serial(order)}/{id}")
        if found is None or found.shows in {"redirect", "embed"}:
            return PaymentBody(id, method, channel, door)
        wanted = PresentRequest(AttemptId(attempt), Device(asked.device or Device.DESKTOP))
        [given] = await self._calls.payments.present_attempts([wanted])
        if given.problem:  # The provider is away for the moment: the door asks again.
            return PaymentBody(id, method, channel, door)
        action = Action(given.kind.value, given.url, given.text, given.fields)
        return PaymentBody(id, method, channel, action)

    def _choose_currency(self, currencies: tuple[str, ...]) -> str:
        wanted = self._settings.default_currency
        return wanted if wanted in currencies or not currencies else currencies[0]


def _idempotency_key(exchange: Exchange) -> str:
    key = exchange.header(b"idempotency-key").strip()
    if not 16 <= len(key) <= 255:
        raise Refusal(problems.PLACE[PlaceStatus.IDEMPOTENCY_KEY_MALFORMED])
    return key


def _secret(exchange: Exchange) -> str:
    scheme, _, secret = exchange.header(b"authorization").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Refusal(problems.SECRET_MISSING, headers=[("www-authenticate", "Bearer")])
    return secret.strip()


def _order_id(serial: str) -> OrderId:
    try:
        return OrderId(from_serial(serial))
    except Malformed:
        raise Refusal(problems.ORDER_NOT_FOUND) from None


def _check_return_url(url: str) -> None:
    if url and (not url.startswith(("https://", "http://")) or not url.isprintable() or " " in url):
        raise Refusal(problems.RETURN_URL_MALFORMED)


def refusal_of(placed: Placement) -> Refusal:
    """Say why an order was not placed; of a coupon also what is wrong with it."""
    problem = problems.PLACE[placed.status]
    if not placed.coupon_problem:
        return Refusal(problem)
    return Refusal(problem, members={"coupon_problem": placed.coupon_problem})


def _placed(placed: Placement, order: UUID, payment: PaymentBody | None) -> PlacedBody:
    return PlacedBody(
        to_serial(order),
        placed.secret,
        placed.state,
        placed.amount_minor,
        placed.currency,
        placed.exchange.amount_minor if placed.exchange else placed.amount_minor,
        placed.exchange.currency if placed.exchange else placed.currency,
        placed.expires_at,
        payment,
        placed.discount.amount_minor if placed.discount else 0,
    )


def _order(view: OrderView, keys: list[str]) -> OrderBody:
    return OrderBody(
        view.serial,
        view.state,
        view.waiting,
        view.sku,
        view.title,
        view.quantity,
        view.amount_minor,
        view.currency,
        view.due_minor,
        view.due_currency,
        view.refunded_minor,
        view.placed_at,
        view.expires_at,
        view.paid_at,
        view.delivered_at,
        [StepBody(step.kind, step.at, step.detail) for step in view.timeline],
        keys,
        view.discount.amount_minor if view.discount else 0,
    )
