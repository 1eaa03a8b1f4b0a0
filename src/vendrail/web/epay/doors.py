"""What comes to submit.php, mapi.php and api.php, and what goes back."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl, quote
from uuid import UUID

from litestar import HttpMethod, route
from litestar.handlers import HTTPRouteHandler

from vendrail.api.epay import (
    Epay,
    EpayAsk,
    EpayOrder,
    EpayPage,
    EpayRefund,
    EpayRequest,
    EpayStatus,
)
from vendrail.api.payouts import PayoutQuery, Payouts, PayoutState, PayoutView
from vendrail.kernel.codec import encode
from vendrail.kernel.epay import read_amount, write_amount
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.http import limit_key
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.limits.gate import Gate
from vendrail.kernel.telemetry import trace_id_here
from vendrail.web.epay.words import ACT_UNKNOWN, AWAY, METHOD_WRONG, advice, reply
from vendrail.web.languages import message
from vendrail.web.pages import guards, onward
from vendrail.web.storefront.front import Asked, Front, Limit, Page, device_kind

_CHINA = timezone(timedelta(hours=8))  # The clock that the protocol's times are told by.
_FIELDS_MAX = 64
_PAYOUTS_MAX = 50
_BACK = (
    PayoutState.REFUSED,
    PayoutState.FAILED,
    PayoutState.RETURNED,
    PayoutState.DECLINED,
)
_BYTES_MAX = 65_536
_PROOF = "altcha"  # Our own field beside the signed ones.
_TITLE = message("This payment cannot begin")
_BOTH = [HttpMethod.GET, HttpMethod.POST]


class EpayDoors:
    """The three doors."""

    def __init__(
        self,
        front: Front,
        epay: Epay,
        payouts: Payouts | None,
        place_limit: Limit | None,
        gate: Gate | None,
    ) -> None:
        self._front = front
        self._epay = epay
        self._payouts = payouts
        self._place_limit = place_limit
        self._gate = gate

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the doors."""
        doors = (
            ("/submit.php", self.submit),
            ("/mapi.php", self.make),
            ("/api.php", self.ask),
        )
        return [
            route(path, http_method=_BOTH, name=f"web.epay{path}", status_code=200)(handler)
            for path, handler in doors
        ]

    async def submit(self, request: Asked) -> Page:
        """Take a browser that a card site has sent, and lead it to the pay page of its order."""
        front = self._front
        visitor = front.visitor(request)
        fields = await _read(request)
        if fields is None:
            return self._refuse(request, EpayStatus.SIGN_WRONG)
        address = front.address_of(request.scope)
        if self._place_limit is not None:
            wait_s = await self._place_limit(limit_key(address))
            if wait_s > 0:
                return front.problem(request, 429, wait_s)
        proof = fields.pop(_PROOF, "")
        is_wanted, is_proven = False, True
        if self._gate is not None:
            is_wanted, is_proven = await self._gate.judge(limit_key(address), proof)
        asked = EpayRequest(
            fields,
            address=address,
            device=visitor.device,
            locale=visitor.language.tag,
            trace_id=trace_id_here(),
            is_proof_wanted=is_wanted,
            is_proven=is_proven,
            browser=device_kind(request),
            country=visitor.country,
        )
        [placed] = await self._epay.take_epay_requests([asked])
        if placed.status is EpayStatus.PROOF_WANTED and self._gate is not None:
            challenge = encode(self._gate.challenge()).decode()
            return front.page(
                request,
                visitor,
                "epay_proof.html",
                status=428,
                is_private=True,
                here="/",
                fields=fields,
                filled={_PROOF: proof},
                challenge=challenge,
            )
        if placed.status is EpayStatus.BUSY:
            return front.problem(request, 503, 1.0)
        if placed.status is not EpayStatus.TAKEN or placed.order is None:
            return self._refuse(request, placed.status, placed.field)
        # By its private link: a browser that comes by a form of another site sends no cookies yet.
        return onward(_link(placed.order, placed.secret))

    def _refuse(self, request: Asked, status: EpayStatus, field: str = "") -> Page:
        front = self._front
        visitor = front.visitor(request)
        return front.page(
            request,
            visitor,
            "epay_problem.html",
            status=429 if status is EpayStatus.TOO_OFTEN else 422,
            is_private=True,
            here="/",
            title=front.pages.translate(visitor, _TITLE),
            advice=front.pages.translate(visitor, advice(status)),
            code=f"{status} ({field})" if field else status.value,
        )

    async def make(self, request: Asked) -> Page:
        """Take an order from a card site's server, and give the address of its pay page."""
        if request.method != "POST":
            return _said(METHOD_WRONG)
        fields = await _read(request)
        if fields is None:
            return _json(reply(EpayStatus.SIGN_WRONG))
        country = self._front.purse.country(fields.get("clientip", ""))
        asked = EpayRequest(fields, is_server=True, trace_id=trace_id_here(), country=country)
        try:
            [placed] = await self._epay.take_epay_requests([asked])
        except Unavailable:
            return _said(AWAY)
        if placed.status is not EpayStatus.TAKEN or placed.order is None:
            return _json(reply(placed.status, placed.field))
        address = f"{self._front.public_url}{_link(placed.order, placed.secret)}"
        number = to_serial(placed.order)
        return _json({"code": 1, "msg": "success", "trade_no": number, "payurl": address})

    async def ask(self, request: Asked) -> Page:
        """Answer a card site's question."""
        fields = await _read(request)
        if fields is None:
            return _json(reply(EpayStatus.KEY_WRONG))
        given = fields.get
        ask = EpayAsk(
            given("pid", ""), given("key", ""), given("trade_no", ""), given("out_trade_no", "")
        )
        act = given("act", "")
        try:
            if act == "query":
                return await self._tell_merchant(ask)
            if act == "order":
                return await self._tell_order(ask)
            if act == "orders":
                return await self._tell_orders(ask, fields)
            if act == "settle" and self._payouts is not None:
                return await self._tell_payouts(self._payouts, ask, fields)
            if act == "refund":
                return await self._refund(request, ask, fields)
        except Unavailable:
            return _said(AWAY)
        return _said(ACT_UNKNOWN)

    async def _tell_merchant(self, ask: EpayAsk) -> Page:
        [told] = await self._epay.read_epay_merchants([ask])
        if told.account is None:
            return _json(reply(told.status))
        return _json(
            {
                "code": 1,
                "pid": told.account.pid,
                "key": ask.key,  # As it came: the protocol has it here.
                "active": int(told.account.is_open),
                "money": write_amount(told.available_minor),
                "orders": told.order_count,
            }
        )

    async def _tell_order(self, ask: EpayAsk) -> Page:
        [found] = await self._epay.read_epay_orders([ask])
        if found.status is not EpayStatus.TAKEN:
            return _json(reply(found.status))
        [order] = found.orders
        return _json({"code": 1, "msg": "查询订单号成功！", **_order(order)})

    async def _tell_orders(self, ask: EpayAsk, fields: Mapping[str, str]) -> Page:
        page = EpayPage(ask, _count(fields, "page", 1), _count(fields, "limit", 20))
        [found] = await self._epay.list_epay_orders([page])
        if found.status is not EpayStatus.TAKEN:
            return _json(reply(found.status))
        orders = [_order(each) for each in found.orders]
        return _json({"code": 1, "msg": "查询订单记录成功！", "count": len(orders), "data": orders})

    async def _tell_payouts(
        self, payouts: Payouts, ask: EpayAsk, fields: Mapping[str, str]
    ) -> Page:
        """List payouts of the protocol's currency, the newest first."""
        [told] = await self._epay.read_epay_merchants([ask])
        if told.account is None:
            return _json(reply(told.status))
        most = max(1, min(_count(fields, "limit", 20), _PAYOUTS_MAX))
        [found] = await payouts.list_payouts([PayoutQuery(told.account.merchant, payouts_max=most)])
        data = [_payout(each) for each in found if each.currency == "CNY"]
        return _json({"code": 1, "msg": "查询结算记录成功！", "count": len(data), "data": data})

    async def _refund(self, request: Asked, ask: EpayAsk, fields: Mapping[str, str]) -> Page:
        if request.method != "POST":
            return _said(METHOD_WRONG)
        amount_minor = read_amount(fields.get("money", ""))
        # V1 has no number for a refund; who sends one of its own may send it again.
        number = fields.get("out_refund_no", "")[:64]
        address = self._front.address_of(request.scope)
        id = new_id(self._front.clock.now())
        asked = EpayRefund(id, ask, amount_minor or 0, number, address)
        [status] = await self._epay.refund_epay_orders([asked])
        if status is not EpayStatus.TAKEN:
            return _json(reply(status))
        amount = write_amount(amount_minor or 0)
        return _json({"code": 1, "msg": f"退款成功！退款金额¥{amount}"})


async def _read(request: Asked) -> dict[str, str] | None:
    """Read query and body as one form; None where a field comes twice: which one was signed?"""
    query: bytes = request.scope["query_string"]
    body = bytearray()
    if request.method == "POST":
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BYTES_MAX:
                raise Malformed("The form is too large.")
    try:
        pairs = [
            pair
            for part in (query, bytes(body))
            for pair in parse_qsl(
                part.decode("ascii"),
                keep_blank_values=True,
                max_num_fields=_FIELDS_MAX,
                errors="strict",
            )
        ]
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def _link(order: UUID, secret: str) -> str:
    return f"/orders/{to_serial(order)}?key={quote(secret, safe='')}"


def _order(order: EpayOrder) -> dict[str, object]:
    status = 0 if order.paid_at is None else 1
    if status and order.refunded_minor == order.amount_minor:
        status = 2
    return {
        "trade_no": order.trade_no,
        "out_trade_no": order.out_trade_no,
        "api_trade_no": order.trade_no,
        "type": order.type,
        "pid": order.pid,
        "addtime": _time(order.placed_at),
        "endtime": _time(order.paid_at),
        "name": order.name,
        "money": write_amount(order.amount_minor),
        "refundmoney": write_amount(order.refunded_minor),
        "param": order.param,
        "status": status,
    }


def _payout(view: PayoutView) -> dict[str, object]:
    """Tell of a payout as the protocol tells of settlements."""
    status = 1 if view.state is PayoutState.SUCCEEDED else 0
    if view.state in _BACK:
        status = 3
    return {
        "id": to_serial(view.id),
        "type": view.payee_kind,
        "account": view.shown,
        "money": write_amount(view.amount_minor + view.fee_minor),
        "realmoney": write_amount(view.amount_minor),
        "addtime": _time(view.asked_at),
        "endtime": _time(view.ended_at),
        "status": status,
    }


def _time(at: datetime | None) -> str | None:
    return at.replace(tzinfo=UTC).astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S") if at else None


def _count(fields: Mapping[str, str], name: str, otherwise: int) -> int:
    text = fields.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 6 else otherwise


def _said(words: tuple[int, str]) -> Page:
    return _json({"code": words[0], "msg": words[1]})


def _json(said: Mapping[str, object]) -> Page:
    headers = {"cache-control": "no-store", **guards()}
    return Page(encode(dict(said)), media_type="application/json; charset=utf-8", headers=headers)
