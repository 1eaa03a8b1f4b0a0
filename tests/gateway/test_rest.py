"""The public REST API: what it takes, what it answers, how it refuses."""

import asyncio
from uuid import UUID

import msgspec

from vendrail.api.catalog import ProductState
from vendrail.api.orders import OrderState
from vendrail.kernel.errors import Overloaded
from vendrail.kernel.ids import from_serial, shard_of, to_serial

KEY = {"Idempotency-Key": "0d4f1c1e-0000-4000-8000-000000000001"}
ORDER = {"sku": "STEAM-50", "quantity": 2, "contact": "a@example.com", "method": "alipay"}


async def place(api, **changes):
    """Place an order and give its answer."""
    answer = await api.post("/api/v1/orders", json=ORDER | changes, headers=KEY)
    assert 201 == answer.status_code, answer.text
    return answer.json()


async def test_placing_gives_id_secret_and_way_to_pay(api, standins):
    """A placed order is answered with its serial, its secret and our pay door."""
    placed = await place(api)

    assert "placed" == placed["state"]
    assert (9_700, "CNY") == (placed["amount_minor"], placed["currency"])
    assert shard_of(standins.MERCHANT) == (from_serial(placed["id"]).int >> 64) & 0xFFF
    payment = placed["payment"]
    door = f"https://pay.example.com/pay/{placed['id']}/{payment['id']}"
    assert ("alipay-main", "redirect", door) == (
        payment["channel"],
        payment["action"]["kind"],
        payment["action"]["url"],
    )
    assert placed["secret"]
    assert placed["expires_at"]


async def test_qr_method_gives_text_to_scan(api):
    """A way to pay that shows a QR code is presented at once, for the caller to draw."""
    placed = await place(api, method="alipay_qr")

    assert ("qr", "https://qr.example.com/bax08x0001") == (
        placed["payment"]["action"]["kind"],
        placed["payment"]["action"]["text"],
    )


async def test_same_idempotency_key_gives_same_order(api, market):
    """Sending a request again gives the same order, and says so; another request is refused."""
    first = await place(api)
    again = await api.post("/api/v1/orders", json=ORDER, headers=KEY)
    other = await api.post("/api/v1/orders", json=ORDER | {"quantity": 1}, headers=KEY)

    assert (201, first["id"], "true") == (
        again.status_code,
        again.json()["id"],
        again.headers["idempotency-replayed"],
    )
    assert (422, "idempotency_key_reused") == (other.status_code, other.json()["code"])
    assert 1 == len(market.orders)


async def test_refusals_are_problems_with_advice(api):
    """Every ordinary refusal is an RFC 9457 problem with a status and advice of its own."""
    expected = [
        ({"sku": "NOPE"}, 422, "sku_not_found"),
        ({"contact": "x"}, 422, "contact_malformed"),
        ({"quantity": 11}, 422, "quantity_out_of_range"),
        ({"method": "gold"}, 422, "method_not_offered"),
        ({"sku": "OFFICE"}, 409, "sold_out"),
        ({"quantity": 0}, 400, "body_malformed"),
        ({"quantity": 1.5}, 400, "body_malformed"),
        ({"colour": "red"}, 400, "body_malformed"),
        ({"return_url": "javascript:alert(1)"}, 422, "return_url_malformed"),
    ]
    for changes, status, code in expected:
        answer = await api.post("/api/v1/orders", json=ORDER | changes, headers=KEY)
        problem = answer.json()

        assert (status, code) == (answer.status_code, problem["code"]), changes
        assert "application/problem+json" == answer.headers["content-type"]
        assert problem["detail"]
        assert problem["title"]
        assert status == problem["status"]


async def test_an_order_that_waited_too_long_may_come_again(api, market):
    """An order that waited so long that its id is not of now is told "later", not "no"."""
    market.is_late = True
    late = await api.post("/api/v1/orders", json=ORDER, headers=KEY)
    market.is_late = False
    placed = await api.post("/api/v1/orders", json=ORDER, headers=KEY)

    assert (503, "unavailable", "1") == (
        late.status_code,
        late.json()["code"],
        late.headers["retry-after"],
    )
    assert 201 == placed.status_code


async def test_place_needs_idempotency_key(api):
    """Without a key of 16 characters an order is not placed: a retry could double it."""
    none = await api.post("/api/v1/orders", json=ORDER)
    short = await api.post("/api/v1/orders", json=ORDER, headers={"Idempotency-Key": "abc"})

    assert ["idempotency_key_malformed"] * 2 == [none.json()["code"], short.json()["code"]]
    assert 400 == none.status_code


async def test_read_gives_keys_when_delivered(api, market):
    """An order read with its secret shows its state, and its keys once it is delivered."""
    placed = await place(api)
    bearer = {"Authorization": f"Bearer {placed['secret']}"}
    before = (await api.get(f"/api/v1/orders/{placed['id']}", headers=bearer)).json()
    market.deliver(from_serial(placed["id"]), "KEY-1", "KEY-2")
    answer = await api.get(f"/api/v1/orders/{placed['id'].lower()}", headers=bearer)
    after = answer.json()

    assert ("placed", []) == (before["state"], before["keys"])
    assert ("delivered", ["KEY-1", "KEY-2"]) == (after["state"], after["keys"])
    assert ["placed", "paid", "held", "delivered", "released"] == [
        step["kind"] for step in after["timeline"]
    ]
    assert "no-store" == answer.headers["cache-control"]


async def test_x17_wrong_secret_and_no_order_answer_alike(api, market):
    """X17: a wrong secret, a missing order and a malformed serial cannot be told apart."""
    placed = await place(api)
    wrong = {"Authorization": "Bearer wrong"}
    absent = to_serial(UUID(int=7))
    answers = [
        await api.get(f"/api/v1/orders/{serial}", headers=wrong)
        for serial in (placed["id"], absent, "x" * 26, "1", "%27or%201=1--")
    ]

    assert {404} == {answer.status_code for answer in answers}
    assert 1 == len({answer.content for answer in answers})
    missing = await api.get(f"/api/v1/orders/{placed['id']}")
    assert (401, "Bearer") == (missing.status_code, missing.headers["www-authenticate"])


async def test_pay_again_or_otherwise(api, market):
    """One more way to pay opens with the secret; a paid order refuses with advice."""
    placed = await place(api)
    address = f"/api/v1/orders/{placed['id']}/payments"
    bearer = {"Authorization": f"Bearer {placed['secret']}"}
    opened = await api.post(address, json={"method": "alipay_qr"}, headers=bearer)
    unknown = await api.post(address, json={"method": "gold"}, headers=bearer)
    wrong = await api.post(
        address, json={"method": "alipay"}, headers={"Authorization": "Bearer no"}
    )
    market.deliver(from_serial(placed["id"]), "K")
    late = await api.post(address, json={"method": "alipay"}, headers=bearer)
    market.step(from_serial(placed["id"]), OrderState.EXPIRED)
    ended = await api.post(address, json={"method": "alipay"}, headers=bearer)

    assert (201, "qr") == (opened.status_code, opened.json()["payment"]["action"]["kind"])
    assert [
        (422, "method_not_offered"),
        (404, "order_not_found"),
        (409, "paid_already"),
        (409, "order_ended"),
    ] == [(each.status_code, each.json()["code"]) for each in (unknown, wrong, late, ended)]


async def test_overload_is_503_with_retry_after(api, market):
    """When queues are full, placing answers 503 at once and says when to try again."""
    market.problem = Overloaded("full", retry_after_s=1.2)
    answer = await api.post("/api/v1/orders", json=ORDER, headers=KEY)

    assert (503, "2", "unavailable") == (
        answer.status_code,
        answer.headers["retry-after"],
        answer.json()["code"],
    )


async def test_single_requests_travel_in_batches(api, market):
    """Requests that arrive together reach the service as few calls."""
    keys = [{"Idempotency-Key": f"{number:032}"} for number in range(64)]
    await asyncio.gather(*(api.post("/api/v1/orders", json=ORDER, headers=key) for key in keys))

    assert 64 == sum(market.batches) == len(market.orders)
    assert len(market.batches) < 64


async def test_products_and_methods_are_listed(api, market):
    """Products are found by shop, category and words, read by id, and never shown as drafts."""
    everything = (await api.get("/api/v1/products")).json()
    found = (await api.get("/api/v1/products?shop=north-games&category=Games&q=steam")).json()
    one = (await api.get(f"/api/v1/products/{found['items'][0]['id']}")).json()
    methods = (await api.get("/api/v1/methods?currency=CNY")).json()

    assert 4 == len(everything["items"])
    assert everything["next"] is None
    assert ["steam"] == [item["slug"] for item in found["items"]]
    assert found["items"][0] == one
    assert {"CNY": 4_850} == one["variants"][0]["prices_minor"]
    assert 50 == one["variants"][0]["stock"]
    assert ["alipay", "alipay_qr"] == [each["method"] for each in methods["items"]]
    view = market.products[0]
    market.products[0] = msgspec.structs.replace(view, is_on_sale=False)
    away = (await api.get(f"/api/v1/products/{one['id']}")).json()
    assert ("on_sale", "paused") == (one["state"], away["state"])
    market.products[0] = msgspec.structs.replace(
        view, product=msgspec.structs.replace(view.product, state=ProductState.DRAFT)
    )
    assert 404 == (await api.get(f"/api/v1/products/{one['id']}")).status_code


async def test_ways_to_pay_are_listed_for_an_amount(api):
    """With an amount only the ways that take it are listed, without one each way once."""
    amounts = (1, 1_000_000, 1_000_001)
    found = [(await api.get(f"/api/v1/methods?amount_minor={each}")).json() for each in amounts]
    every = (await api.get("/api/v1/methods")).json()
    refused = await api.get("/api/v1/methods?amount_minor=0")

    both = ["alipay", "alipay_qr"]
    assert [both, both, ["alipay"]] == [[each["method"] for each in f["items"]] for f in found]
    assert both == [each["method"] for each in every["items"]]
    assert (400, "query_malformed") == (refused.status_code, refused.json()["code"])


async def test_ways_to_pay_are_listed_for_a_browser(api):
    """With a device only the ways that open there are listed; what none is called is refused."""
    inside = (await api.get("/api/v1/methods?device=alipay")).json()
    desk = (await api.get("/api/v1/methods?device=desktop")).json()
    refused = await api.get("/api/v1/methods?device=toaster")

    assert ["alipay"] == [each["method"] for each in inside["items"]]
    assert ["alipay", "alipay_qr"] == [each["method"] for each in desk["items"]]
    assert (400, "query_malformed") == (refused.status_code, refused.json()["code"])


async def test_wrong_doors_are_problems_too(api):
    """Unknown addresses, methods, media types, sizes and parameters are refused with a problem."""
    answers = [
        await api.get("/api/v1/nothing"),
        await api.get("/api/v1"),
        await api.delete("/api/v1/orders"),
        await api.post("/api/v1/orders", content=b"<x/>", headers={"Content-Type": "text/xml"}),
        await api.post("/api/v1/orders", content=b" " * 70_000, headers=KEY),
        await api.post("/api/v1/orders", content=b"\xff\xfe{", headers=KEY),
        await api.get("/api/v1/products?limit=0"),
        await api.get("/api/v1/products?after=x"),
        await api.get("/api/v1/methods?currency=XXX"),
    ]

    assert [
        (404, "not_found"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (415, "media_type_wrong"),
        (413, "body_too_large"),
        (400, "body_malformed"),
        (400, "query_malformed"),
        (400, "query_malformed"),
        (400, "query_malformed"),
    ] == [(each.status_code, each.json()["code"]) for each in answers]
    assert "POST" == answers[2].headers["allow"]


async def test_description_is_complete(api):
    """The description names every path, shows examples, and its references all resolve."""
    answer = await api.get("/api/openapi.json")
    document = answer.json()
    shapes = document["components"]["schemas"]

    assert "3.1.0" == document["openapi"]
    assert {
        "/orders",
        "/orders/{id}",
        "/orders/{id}/payments",
        "/orders/{id}/files/{number}",
        "/products",
        "/products/{id}",
        "/methods",
        "/quotes",
        "/merchant/methods",
        "/merchant/agencies",
        "/merchant/floors",
        "/merchant/floors/{sku}",
        "/merchant/offers",
        "/merchant/listings/{id}",
        "/merchant/supplied-sales",
        "/merchant/events",
        "/merchant/webhook-endpoints",
        "/merchant/webhook-endpoints/{id}",
        "/merchant/webhook-endpoints/{id}/deliveries",
        "/merchant/webhook-endpoints/{id}/redeliveries",
        "/merchant/webhook-endpoints/{id}/secret",
        "/merchant/webhook-endpoints/{id}/test",
        "/merchant/shops",
        "/merchant/products",
        "/merchant/products/{id}",
        "/merchant/skus/{sku}/keys",
        "/merchant/orders",
        "/merchant/orders/{id}",
        "/merchant/orders/{id}/payouts",
        "/merchant/orders/{id}/refunds",
        "/merchant/payees",
        "/merchant/payouts",
        "/merchant/payouts/{id}",
        "/merchant/payouts/{id}/shares",
        "/merchant/releases",
        "/merchant/schedules/{currency}",
        "/merchant/balance",
        "/merchant/fees",
        "/merchant/entries",
        "/merchant/entries/{id}/proof",
    } == set(document["paths"])
    for name in answer.text.split('"#/components/schemas/')[1:]:
        assert name.split('"')[0] in shapes
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["operationId"]
            assert operation["summary"]
            assert {"500", "503"} <= set(operation["responses"])
