"""The merchants' part of the API over a real platform: scopes, ownership, idempotency, rates."""

import asyncio
from datetime import timedelta

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from litestar import Litestar
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.orders.conftest import PRICE_MINOR, market
from tests.payouts.rows import write_rows
from tests.webhooks.conftest import sources_of

from vendrail.api.catalog import AgencyAct, AgencyMove, Catalog, MerchantId, Shop, ShopId
from vendrail.api.identity import (
    KEY_SCOPES,
    NOT_DONE,
    Act,
    Actor,
    ActorKind,
    ActQuery,
    ApiKey,
    ApiKeyChange,
    Identity,
    NewApiKey,
    Permission,
)
from vendrail.api.settlement import FeeRule, FeeSchedule, FeeTerms, Settlement
from vendrail.app.faces import Faces
from vendrail.gateway import http
from vendrail.gateway.openapi import describe
from vendrail.kernel.codec import decode, encode, replace
from vendrail.kernel.ids import new_id, to_serial

__all__ = ["market"]
CLI = Actor(ActorKind.COMMAND_LINE, None, "root (command line)")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
PATHS = [
    (method.upper(), path)
    for path, methods in decode(describe("http://localhost"), dict)["paths"].items()
    if path.startswith("/merchant/")
    for method in methods
]


class Programs:
    """Keys to the API, and clients that carry them."""

    def __init__(self, market) -> None:
        self.market = market
        self.house = market.house
        self.identity: Identity = market.house.api(Identity)
        gateway = Faces(market.house).gateway()
        self.app = http.Doors(gateway, Litestar(openapi_config=None))

    async def key(self, merchant, scopes=KEY_SCOPES) -> str:
        """Make a key."""
        new = ApiKey(new_id(self.market.clock.now()), merchant, "a test", list(scopes))
        (made,) = await self.identity.make_api_keys([NewApiKey(new, CLI)])
        return made.secret

    def client(self, key: str) -> httpx.AsyncClient:
        """Give a client that carries a key."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://localhost/api/v1/merchant/",
            headers=headers,
        )

    async def acts(self, merchant, act) -> list[Act]:
        """Read the log."""
        (found,) = await self.identity.list_acts([ActQuery(merchant, 100, act=act)])
        return found


@pytest.fixture
async def programs(market):
    """Keys to the API, and clients that carry them."""
    return Programs(market)


@pytest.fixture
async def mine(programs, market):
    """A client with every scope at the market's merchant."""
    async with programs.client(await programs.key(market.merchant)) as client:
        yield client


@pytest.fixture
async def other(programs, market):
    """A client with every scope at another merchant, who has a shop too."""
    merchant = new_id(market.clock.now())
    shop = Shop(ShopId(new_id(market.clock.now())), MerchantId(merchant), "Other", "other", "Other")
    await market.house.api(Catalog).put_shops([shop])
    async with programs.client(await programs.key(merchant)) as client:
        client.merchant = merchant
        yield client


def product(**changes):
    """Describe a product as a program does."""
    variants = [{"sku": "CARD-50", "title": "50", "prices_minor": {"CNY": PRICE_MINOR}}]
    return {"shop": "shop", "slug": "card", "title": "Card", "variants": variants} | changes


def once(name: str) -> dict[str, str]:
    """Name a write."""
    return {"idempotency-key": f"{name}-{'x' * 16}"}


async def test_a_key_is_refused_from_elsewhere(programs, market):
    """Outside its networks a key gets 403 with the address seen; the rate is kept, the log told."""
    new = ApiKey(
        new_id(market.clock.now()), market.merchant, "a test", list(KEY_SCOPES),
        networks=["127.0.0.0/8", "2001:db8::/32"],
    )  # fmt: skip
    (made,) = await programs.identity.make_api_keys([NewApiKey(new, CLI)])
    async with programs.client(made.secret) as client:
        inside = await client.get("shops")
        change = ApiKeyChange(market.merchant, new.id, ["2001:db8::/32"], CLI)
        changed = await programs.identity.change_api_keys([change, change])
        outside = [await client.get("shops") for _ in range(3)]
        await programs.identity.change_api_keys([replace(change, networks=[])])
        anywhere = await client.get("shops")
    acts = await programs.acts(market.merchant, "api_key.refused")

    assert ["changed", "unchanged"] == changed
    assert [200, 403, 403, 403, 200] == [each.status_code for each in (inside, *outside, anywhere)]
    assert "network_not_allowed" == outside[0].json()["code"]
    assert "127.0.0.1" in outside[0].json()["detail"]
    left = [int(each.headers["ratelimit-remaining"]) for each in (inside, anywhere)]
    assert left[0] - 1 == left[1]
    assert ["127.0.0.1"] == [act.after["address"] for act in acts]


async def test_a_program_switches_ways_to_pay(mine, market, programs):
    """What is named is off, all else on; one stays, and the log says who did it."""
    before = (await mine.get("methods")).json()
    off = await mine.put("methods", json={"methods_off": ["alipay_qr"]})
    again = await mine.put("methods", json={"methods_off": ["alipay_qr"]})
    none_left = await mine.put("methods", json={"methods_off": ["alipay", "alipay_qr"]})
    unknown = await mine.put("methods", json={"methods_off": ["barter"]})
    await market.offer("S1")
    refused = await market.place("S1", method="alipay_qr")
    acts = await programs.acts(market.merchant, "methods.switched")

    assert [True, True] == [each["is_on"] for each in before["items"]]
    assert [200, 200] == [off.status_code, again.status_code]
    assert off.json() == again.json()
    assert {"alipay": True, "alipay_qr": False} == {
        each["method"]: each["is_on"] for each in off.json()["items"]
    }
    assert "methods_none_left" == none_left.json()["code"]
    assert "method_unknown" == unknown.json()["code"]
    assert "method_not_offered" == refused.status
    assert [({"off": ""}, {"off": "alipay_qr"})] == [(act.before, act.after) for act in acts]


async def test_a_program_reads_what_a_sale_costs(mine, market):
    """The default at first, then the rules that count, and own terms that will."""
    settlement = market.house.api(Settlement)
    first = (await mine.get("fees")).json()
    rules = [FeeRule(50, currency="CNY", amount_minor_min=500, title="large"), FeeRule(150)]
    now = market.clock.now()
    made = FeeSchedule(new_id(now), rules, valid_from=now + timedelta(seconds=11))
    assert ["created"] == await settlement.put_fee_schedules([made])
    own = FeeTerms(market.merchant, "USD", 300, valid_from=now + timedelta(days=1))
    assert ["created"] == await settlement.put_fee_terms([own])
    market.clock.advance(12)
    then = (await mine.get("fees")).json()

    assert (0, None, 0) == (first["version"], first["valid_from"], first["tier"])
    assert first["rules"]
    assert decode(encode(then["rules"]), list[FeeRule]) == rules
    assert 1 == then["version"]
    assert ("USD", 300) in [(each["currency"], each["basis_points"]) for each in then["own"]]
    assert not any("merchant" in each for each in then["own"])


async def test_a_program_runs_a_shop(mine, market, programs):
    """Product, keys, a sale, its refund, balance and entries: all of it by one key."""
    id = to_serial(new_id(market.clock.now()))
    created = await mine.put(f"products/{id}", json=product())
    again = await mine.put(f"products/{id}", json=product())
    changed = await mine.put(f"products/{id}", json=product(title="New card"))
    text = "KEY-1\nKEY-2\n\nKEY-1\nKEY-3"
    headers = once("keys") | {"content-type": "text/plain; charset=utf-8"}
    taken = await mine.post("skus/CARD-50/keys", content=text.encode(), headers=headers)
    repeated = await mine.post("skus/CARD-50/keys", content=text.encode(), headers=headers)
    placed = await market.place("CARD-50")
    await market.pay(placed.order)
    await market.run()
    listed = (await mine.get("orders")).json()
    serial = listed["items"][0]["id"]
    asked = await mine.post(
        f"orders/{serial}/refunds", json={"reason": "twice", "amount_minor": 500},
        headers=once("refund"),
    )  # fmt: skip
    replayed = await mine.post(
        f"orders/{serial}/refunds", json={"reason": "twice", "amount_minor": 500},
        headers=once("refund"),
    )  # fmt: skip
    other = await mine.post(
        f"orders/{serial}/refunds", json={"reason": "twice", "amount_minor": 501},
        headers=once("refund"),
    )  # fmt: skip
    refunds = (await mine.get(f"orders/{serial}/refunds")).json()
    read = (await mine.get(f"products/{id}")).json()
    balance = (await mine.get("balance")).json()
    entries = (await mine.get("entries")).json()
    unused = (await mine.get("entries?part=deposit")).json()

    assert (201, 200, 200) == (created.status_code, again.status_code, changed.status_code)
    assert ["created", "unchanged", "changed"] == [
        each.json()["status"] for each in (created, again, changed)
    ]
    assert 200 == taken.status_code
    assert (5, 3, {"empty": 1, "duplicate": 1}) == tuple(
        taken.json()[name] for name in ("lines", "added", "rejected")
    )
    assert [(3, "empty"), (4, "duplicate")] == [
        (each["line"], each["reason"]) for each in taken.json()["rejects"]
    ]
    assert taken.json()["intake"] == repeated.json()["intake"]
    assert ("New card", 2, 1) == (
        read["title"],
        read["variants"][0]["stock"]["free"],
        read["variants"][0]["stock"]["sold"],
    )
    assert "delivered" == listed["items"][0]["state"]
    assert (201, 201, 422) == (asked.status_code, replayed.status_code, other.status_code)
    assert asked.json()["id"] == replayed.json()["id"]
    assert "true" == replayed.headers["idempotency-replayed"]
    assert [500] == [each["amount_minor"] for each in refunds["items"]]
    assert {"CNY"} == {each["currency"] for each in balance["items"]}
    assert "sale" in {each["code"] for each in entries["items"]}
    assert "query_malformed" == unused["code"]
    assert 2 == len(await programs.acts(market.merchant, "product."))
    assert 1 == len(await programs.acts(market.merchant, "keys.added"))
    acts = await programs.acts(market.merchant, "order.refunded")
    undone = [each.after[NOT_DONE] for each in acts if NOT_DONE in each.after]
    [act] = [each for each in acts if NOT_DONE not in each.after]
    assert (ActorKind.API_KEY, "twice") == (act.by.kind, act.reason)
    assert ["exists_different"] == undone


async def test_a_program_sets_quantity_prices(mine, market):
    """Steps are written, read, kept by who leaves them out, and taken off by an empty list."""
    path = f"products/{to_serial(new_id(market.clock.now()))}"
    steps = [{"quantity_min": 5, "prices_minor": {"CNY": PRICE_MINOR - 1}}]
    dear = [{"quantity_min": 5, "prices_minor": {"CNY": PRICE_MINOR}}]
    [plain] = product()["variants"]
    stepped, bare, wrong = (
        product(variants=[plain | {"quantity_prices": each}]) for each in (steps, [], dear)
    )
    refused = await mine.put(path, json=wrong)
    read = []
    for body in (stepped, product(), bare):
        await mine.put(path, json=body)
        read.append((await mine.get(path)).json()["variants"][0]["quantity_prices"])

    assert 422 == refused.status_code
    assert [steps, steps, []] == read


async def test_a_movement_is_proved(mine, other, market):
    """A program gets the proof of its merchant's movement once it is sealed; no other does."""
    await mine.put(f"products/{to_serial(new_id(market.clock.now()))}", json=product())
    headers = once("keys") | {"content-type": "text/plain; charset=utf-8"}
    await mine.post("skus/CARD-50/keys", content=b"KEY-1", headers=headers)
    placed = await market.place("CARD-50")
    await market.pay(placed.order)
    await market.run()
    [entry] = (await mine.get("entries")).json()["items"]
    young = await mine.get(f"entries/{entry['id']}/proof")
    for _ in range(4):
        market.clock.advance(200)
        await market.house.services["ledger"].seal()
    proof = await mine.get(f"entries/{entry['id']}/proof")
    others = await other.get(f"entries/{entry['id']}/proof")
    none = await mine.get("entries/nothing/proof")

    assert [(404, "proof_not_found")] * 3 == [
        (each.status_code, each.json()["code"]) for each in (young, others, none)
    ]
    assert str(entry["amount_minor"]) == proof.json()["says"].split("|")[4]


async def test_a_merchant_sees_only_its_own(mine, other, market):
    """Another merchant's product, SKU, shop and order are not found, nor written, nor listed."""
    id = to_serial(new_id(market.clock.now()))
    assert 201 == (await mine.put(f"products/{id}", json=product())).status_code
    text = {"content-type": "text/plain"}
    keys = await mine.post("skus/CARD-50/keys", content=b"K-1\nK-2", headers=once("k") | text)
    assert 200 == keys.status_code
    placed = await market.place("CARD-50")
    order = to_serial(placed.order)
    told = [
        await other.get(f"products/{id}"),
        await other.put(f"products/{id}", json=product(shop="other")),
        await other.put(f"products/{to_serial(new_id(market.clock.now()))}", json=product()),
        await other.post("skus/CARD-50/keys", content=b"K-9", headers=once("k") | text),
        await other.get(f"orders/{order}"),
        await other.get(f"orders/{order}/refunds"),
        await other.post(f"orders/{order}/refunds", json={"reason": "r"}, headers=once("r")),
    ]
    lists = [(await other.get(name)).json()["items"] for name in ("products", "orders", "entries")]

    assert [404] * len(told) == [each.status_code for each in told]
    assert [[], [], []] == lists
    assert ["other"] == [each["slug"] for each in (await other.get("shops")).json()["items"]]
    assert 200 == (await mine.get(f"products/{id}")).status_code
    assert 200 == (await mine.get(f"orders/{order}")).status_code


async def test_a_removed_product_cannot_be_taken_over(mine, other, market):
    """What a merchant has removed is nobody else's to write anew."""
    id = to_serial(new_id(market.clock.now()))
    await mine.put(f"products/{id}", json=product())
    removed = await mine.put(f"products/{id}", json=product(state="removed"))
    taken = await other.put(f"products/{id}", json=product(shop="other", slug="mine-now"))

    assert 200 == removed.status_code
    assert 422 == taken.status_code
    assert [] == (await other.get("products")).json()["items"]


@pytest.mark.parametrize("scope", KEY_SCOPES)
async def test_each_scope_opens_its_own_and_no_more(programs, market, scope):
    """A key with one scope is refused everything that asks for another."""
    id, order = (to_serial(new_id(market.clock.now())) for _ in range(2))
    asked = {
        ("GET", "shops"): Permission.PRODUCTS_READ,
        ("GET", "agencies"): Permission.PRODUCTS_READ,
        ("GET", "floors"): Permission.PRODUCTS_READ,
        ("PUT", "floors/NONE"): Permission.PRODUCTS_WRITE,
        ("GET", "offers"): Permission.PRODUCTS_READ,
        ("PUT", f"listings/{id}"): Permission.PRODUCTS_WRITE,
        ("GET", "supplied-sales"): Permission.BALANCE_READ,
        ("GET", "products"): Permission.PRODUCTS_READ,
        ("GET", f"products/{id}"): Permission.PRODUCTS_READ,
        ("PUT", f"products/{id}"): Permission.PRODUCTS_WRITE,
        ("POST", "skus/NONE/keys"): Permission.KEYS_WRITE,
        ("GET", "methods"): Permission.PRODUCTS_READ,
        ("PUT", "methods"): Permission.SHOP_WRITE,
        ("GET", "orders"): Permission.ORDERS_READ,
        ("GET", f"orders/{order}"): Permission.ORDERS_READ,
        ("GET", f"orders/{order}/refunds"): Permission.ORDERS_READ,
        ("POST", f"orders/{order}/refunds"): Permission.REFUNDS_WRITE,
        ("GET", "balance"): Permission.BALANCE_READ,
        ("GET", "fees"): Permission.BALANCE_READ,
        ("GET", "entries"): Permission.BALANCE_READ,
        ("GET", f"entries/{order}/proof"): Permission.BALANCE_READ,
        ("GET", f"orders/{order}/payouts"): Permission.BALANCE_READ,
        ("GET", "payees"): Permission.BALANCE_READ,
        ("GET", "payouts"): Permission.BALANCE_READ,
        ("POST", "payouts"): Permission.PAYOUTS_WRITE,
        ("GET", f"payouts/{order}"): Permission.BALANCE_READ,
        ("GET", f"payouts/{order}/shares"): Permission.BALANCE_READ,
        ("GET", "schedules/CNY"): Permission.BALANCE_READ,
        ("PUT", "schedules/CNY"): Permission.PAYOUTS_WRITE,
        ("GET", "releases"): Permission.BALANCE_READ,
        ("GET", "events"): Permission.WEBHOOKS_READ,
        ("GET", "webhook-endpoints"): Permission.WEBHOOKS_READ,
        ("POST", "webhook-endpoints"): Permission.WEBHOOKS_WRITE,
        ("GET", f"webhook-endpoints/{id}"): Permission.WEBHOOKS_READ,
        ("PUT", f"webhook-endpoints/{id}"): Permission.WEBHOOKS_WRITE,
        ("DELETE", f"webhook-endpoints/{id}"): Permission.WEBHOOKS_WRITE,
        ("POST", f"webhook-endpoints/{id}/secret"): Permission.WEBHOOKS_WRITE,
        ("POST", f"webhook-endpoints/{id}/test"): Permission.WEBHOOKS_WRITE,
        ("POST", f"webhook-endpoints/{id}/redeliveries"): Permission.WEBHOOKS_WRITE,
        ("GET", f"webhook-endpoints/{id}/deliveries"): Permission.WEBHOOKS_READ,
    }
    async with programs.client(await programs.key(market.merchant, [scope])) as client:
        opened = {
            need
            for (method, path), need in asked.items()
            if (await client.request(method, path)).status_code != 403
        }

    assert opened <= {scope}
    assert len(PATHS) == len(asked)


async def test_a_program_is_paid_out(mine, other, market, programs):
    """It asks once for each key, sees its payouts and schedule, and another's are not there."""
    await market.offer("STEAM-50", keys=2)
    placed = await market.place("STEAM-50")
    await market.pay(placed.order)
    await market.run()
    await write_rows(market.house, market.merchant)
    found = (await mine.get("payees")).json()["items"]
    payee = next(each["id"] for each in found if each["state"] == "verified")
    body = {"payee": payee, "amount_minor": 300, "currency": "CNY"}
    made = await mine.post("payouts", json=body, headers=once("a"))
    again = await mine.post("payouts", json=body, headers=once("a"))
    assert (201, 201, "true") == (
        made.status_code,
        again.status_code,
        again.headers.get("idempotency-replayed"),
    )
    assert made.json()["id"] == again.json()["id"]
    dearer = await mine.post("payouts", json=body | {"amount_minor": 301}, headers=once("a"))
    assert "payout_key_reused" == dearer.json()["code"]
    market.clock.advance(23 * 3_600)
    later = await mine.post("payouts", json=body, headers=once("a"))
    assert made.json()["id"] == later.json()["id"]
    too_much = await mine.post("payouts", json=body | {"amount_minor": 10**9}, headers=once("b"))
    assert "balance_too_low" == too_much.json()["code"]
    foreign = await other.post("payouts", json=body, headers=once("c"))
    assert "payee_not_found" == foreign.json()["code"]
    one = f"payouts/{made.json()['id']}"
    assert (200, 404) == ((await mine.get(one)).status_code, (await other.get(one)).status_code)
    listed = (await mine.get("payouts?state=ready")).json()["items"]
    assert made.json()["id"] in [each["id"] for each in listed]
    assert [] == (await other.get("payouts")).json()["items"]

    chosen = {"kind": "weekly", "payee": payee, "zone": "Asia/Tokyo", "hour": 9, "day": 5}
    put = await mine.put("schedules/CNY", json=chosen)
    assert "weekly" == put.json()["kind"]
    assert put.json() == (await mine.get("schedules/CNY")).json()
    assert "manual" == (await other.get("schedules/CNY")).json()["kind"]
    stolen = await other.put("schedules/CNY", json=chosen)
    assert "payee_not_found" == stolen.json()["code"]
    assert {"kind": "weekly"}.items() <= (
        (await programs.acts(market.merchant, "payout_schedule.changed"))[0].after.items()
    )
    asks = await programs.acts(market.merchant, "payout.requested")
    assert [False, False, True, True] == sorted(NOT_DONE in each.after for each in asks)
    paths = [f"orders/{to_serial(placed.order)}/payouts", f"{one}/shares", "releases"]
    assert [200] * 3 == [(await mine.get(path)).status_code for path in paths]
    assert [404] * 2 == [(await other.get(path)).status_code for path in paths[:2]]


async def test_without_a_key_that_stands_nobody_comes_in(programs, market):
    """No key, a wrong one and a revoked one are the same: 401, with how to ask."""
    key = await programs.key(market.merchant)
    (kept,) = await programs.identity.list_api_keys([market.merchant])
    codes = []
    for given_key in ("", "vrk_wrong", "x" * 5_000, key):
        async with programs.client(given_key) as client:
            codes.append((await client.get("orders")).status_code)
    await programs.identity.revoke_api_keys([(market.merchant, kept[0].id)], CLI)
    async with programs.client(key) as client:
        answer = await client.get("orders")

    assert [401, 401, 401, 200] == codes
    assert (401, "Bearer") == (answer.status_code, answer.headers["www-authenticate"])
    assert "api_key_missing" == answer.json()["code"]


async def test_a_keys_rate_is_told_and_holds_over_processes(programs, market):
    """Every answer says what is left; beyond it two processes together refuse with 429."""
    key = await programs.key(market.merchant)
    two = Programs(market)
    async with programs.client(key) as one, two.client(key) as other:
        first = await one.get("shops")
        answers = [await (one, other)[n % 2].get("shops") for n in range(620)]
    refused = [each for each in answers if each.status_code == 429]

    assert "600" == first.headers["ratelimit-limit"]
    assert 0 <= int(first.headers["ratelimit-remaining"]) < 600
    assert 0 < int(first.headers["ratelimit-reset"]) <= 60
    assert 21 == len(refused)
    assert "0" == refused[0].headers["ratelimit-remaining"]
    assert int(refused[0].headers["retry-after"]) > 0


async def test_pages_follow_each_other_without_gap(mine, market):
    """Going from page to page gives every order once, newest first."""
    await market.offer("CARD", keys=30)
    placed = [to_serial((await market.place("CARD", is_proven=True)).order) for _ in range(7)]
    seen, before = [], ""
    while True:
        page = (await mine.get(f"orders?limit=3&state=placed&before={before}")).json()
        seen += [each["id"] for each in page["items"]]
        before = page["next"]
        if before is None:
            break

    assert sorted(placed, reverse=True) == seen


async def test_a_large_file_is_taken_in_as_it_comes(mine, market):
    """A file that comes in many pieces, parted in the middle of letters, loses nothing."""
    id = to_serial(new_id(market.clock.now()))
    await mine.put(f"products/{id}", json=product())
    whole = "\ufeff" + "".join(f"密钥-{n:06}\r\n" for n in range(5_000)) + "坏" + "\n"
    data = whole.encode() + b"\xff\xfe\n" + b"A" * 200_000 + b"\n"

    async def pieces():
        for at in range(0, len(data), 7_919):
            yield data[at : at + 7_919]

    headers = once("big") | {"content-type": "text/plain"}
    taken = await mine.post("skus/CARD-50/keys", content=pieces(), headers=headers)

    assert (5_003, 5_001, {"not_text": 1, "too_long": 1}) == tuple(
        taken.json()[name] for name in ("lines", "added", "rejected")
    )
    assert [5_002, 5_003] == [each["line"] for each in taken.json()["rejects"]]


@pytest.mark.parametrize("method, path", PATHS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_merchants_api_answers_as_described(programs, market, method, path):
    """Requests made up from the description get answers that the description allows."""
    key = await programs.key(market.merchant)
    document = decode(describe("http://localhost"), dict)
    operation = schemathesis.openapi.from_dict(document)[path][method]
    cases = []

    @given(case=operation.as_strategy())
    @settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def gather(case):
        cases.append(case)

    await asyncio.to_thread(gather)
    transport = httpx.ASGITransport(programs.app)
    async with httpx.AsyncClient(transport=transport) as client:
        for case in cases:
            asked = case.as_transport_kwargs(base_url="http://localhost/api/v1")
            asked["content"] = asked.pop("data", None)
            asked["headers"] = {**asked["headers"], "authorization": f"Bearer {key}"}
            try:
                response = await client.request(**asked)
            except (httpx.InvalidURL, httpx.LocalProtocolError, UnicodeEncodeError, ValueError):
                continue  # What no client can send.
            case.validate_response(response, checks=CHECKS)


async def test_a_program_is_told_by_its_own_endpoint(mine, other, market, programs):
    """Made, told once of its secret, changed, tested within its bound, deleted; never another's."""
    body = {"url": "https://hooks.example/a", "kinds": ["order.delivered"], "note": "robot"}
    made = await mine.post("webhook-endpoints", json=body, headers=once("hook"))
    again = await mine.post("webhook-endpoints", json=body, headers=once("hook"))
    different = body | {"url": "https://elsewhere.example/"}
    reused = await mine.post("webhook-endpoints", json=different, headers=once("hook"))
    one = f"webhook-endpoints/{made.json()['id']}"
    keyed = await mine.post(f"{one}/secret", headers=once("secret"))
    keyed_again = await mine.post(f"{one}/secret", headers=once("secret"))
    listed = await mine.get("webhook-endpoints")
    put = await mine.put(one, json={"url": "https://hooks.example/b", "is_ordered": True})
    own = await mine.put(one, json={"url": "http://127.0.0.1/x"})
    foreign = [
        await other.request(method, path, json=body, headers=once("x"))
        for method, path in (
            ("GET", one), ("PUT", one), ("DELETE", one), ("POST", f"{one}/test"),
            ("POST", f"{one}/secret"), ("GET", f"{one}/deliveries"),
        )
    ]  # fmt: skip
    tests = [await mine.post(f"{one}/test") for _ in range(11)]
    deliveries = (await mine.get(f"{one}/deliveries?limit=4")).json()
    rest = (await mine.get(f"{one}/deliveries?before={deliveries['next']}")).json()
    late = await mine.post(f"{one}/redeliveries", json={"since": "2026-11-01T00:00:00Z"})
    off = await mine.put(one, json={"url": "https://hooks.example/b", "is_enabled": False})
    unheard = await mine.post(f"{one}/test")
    deleted = await mine.delete(one)
    gone = await mine.delete(one)
    revived = await mine.post("webhook-endpoints", json=different, headers=once("hook"))
    acts = {act.act for act in await programs.acts(market.merchant, "webhook.")}

    assert (201, 201) == (made.status_code, again.status_code)
    assert made.json()["secret"].startswith("whsec_")
    assert "endpoint_key_reused" == reused.json()["code"]
    assert ("", "true") == (again.json()["secret"], again.headers["idempotency-replayed"])
    assert keyed.json()["secret"] not in ("", made.json()["secret"])
    assert "" == keyed_again.json()["secret"]
    assert [("robot", "")] == [(each["note"], each["secret"]) for each in listed.json()["items"]]
    assert ("https://hooks.example/b", [], True, "") == tuple(
        put.json()[name] for name in ("url", "kinds", "is_ordered", "note")
    )
    assert "url_private" == own.json()["code"]
    assert {404} == {each.status_code for each in foreign}
    assert [200] * 10 + [429] == [each.status_code for each in tests]
    assert int(tests[-1].headers["retry-after"]) >= 1
    assert (4, 6) == (len(deliveries["items"]), len(rest["items"]))
    assert "told_too_often" == late.json()["code"]
    assert ("disabled", "by_hand") == (off.json()["state"], off.json()["reason"])
    assert "endpoint_disabled" == unheard.json()["code"]
    assert (200, 404) == (deleted.status_code, gone.status_code)
    assert "endpoint_deleted" == revived.json()["code"]
    assert {"webhook.made", "webhook.changed", "webhook.keyed", "webhook.deleted"} <= acts


async def test_the_log_knows_each_endpoint_that_lives(mine, market, programs):
    """What was refused under a key, and made under it later, stands in the log as both."""
    private = {"url": "https://127.0.0.1/a"}
    body = {"url": "https://hooks.example/a", "is_enabled": False}
    refused = await mine.post("webhook-endpoints", json=private, headers=once("hook"))
    made = await mine.post("webhook-endpoints", json=body, headers=once("hook"))
    again = await mine.post("webhook-endpoints", json=body, headers=once("hook"))
    await mine.delete(f"webhook-endpoints/{made.json()['id']}")
    acts = await programs.acts(market.merchant, "webhook.")
    told = [(each.act, each.after.get("url", ""), each.after.get(NOT_DONE)) for each in acts]

    assert (422, 201, 201) == (refused.status_code, made.status_code, again.status_code)
    assert ("disabled", "by_hand") == (made.json()["state"], made.json()["reason"])
    assert sorted(told, key=str) == sorted(
        [
            ("webhook.made", "https://127.0.0.1/a", None),
            ("webhook.made", "", "url_private"),
            ("webhook.made", "https://hooks.example/a", None),
            ("webhook.deleted", "https://hooks.example/a", None),
        ],
        key=str,
    )


async def test_a_program_reads_what_happened(mine, other, market):
    """Newest first, of the kinds and from the moment it asks for, page by page; never another's."""
    await mine.post(
        "webhook-endpoints", json={"url": "https://hooks.example/a"}, headers=once("hook")
    )
    await market.offer("STEAM-50", keys=2)
    placed = await market.place("STEAM-50")
    await market.pay(placed.order)
    await market.run()
    webhooks = market.house.services["webhooks"]
    for source in sources_of(market.house):
        while await webhooks.reading.consume(source):
            pass
    everything = (await mine.get("events")).json()
    first = (await mine.get("events?limit=1")).json()
    second = (await mine.get(f"events?limit=1&before={first['next']}")).json()
    paid = (await mine.get("events?kinds=order.paid,stock.low")).json()
    none = (await mine.get("events?since=2999-01-01T00:00:00Z")).json()
    unknown = await mine.get("events?kinds=order.eaten")
    foreign = (await other.get("events")).json()

    assert ["order.delivered", "order.paid"] == [each["type"] for each in everything["items"]]
    assert {to_serial(placed.order)} == {each["data"]["order"] for each in everything["items"]}
    assert everything["items"] == first["items"] + second["items"]
    assert ["order.paid"] == [each["type"] for each in paid["items"]]
    assert ([], []) == (none["items"], foreign["items"])
    assert "query_malformed" == unknown.json()["code"]


async def test_both_sides_of_an_agency_by_program(mine, other, market):
    """Floors set, goods listed, what is too low refused with the reason, sales told; all logged."""
    await market.offer("K1", keys=5)
    catalog = market.house.api(Catalog)
    supplier, agent = MerchantId(market.merchant), MerchantId(other.merchant)
    await catalog.move_agencies([AgencyMove(AgencyAct.INVITE, supplier, slug="other")])
    await catalog.move_agencies([AgencyMove(AgencyAct.ACCEPT, agent, supplier)])
    await market.settlement.put_fee_terms([FeeTerms(agent, "CNY", 250, 10, 20)])
    market.clock.advance(11)
    floors = [
        await client.put(f"floors/{sku}", json={"floor_minor": floor})
        for client, sku, floor in (
            (mine, "K1", {"CNY": 1_500}),
            (mine, "K1", {"CNY": 0}),
            (other, "K1", {"CNY": 1}),
            (mine, "K2", {}),
        )
    ]
    [offered] = (await other.get("offers")).json()["items"]
    path = f"listings/{offered['id']}"
    listed = [
        await other.put(path, json={"shop": shop, "prices_minor": prices})
        for shop, prices in (
            ("other", {"CNY": 1_499}),
            ("other", {"CNY": 1_520}),
            ("other", {}),
            ("shop", {"CNY": 1_990}),
            ("other", {"CNY": 1_990}),
            ("other", {"CNY": 1_990}),
        )
    ]
    listed.append(await mine.put(path, json={"shop": "shop", "prices_minor": {"CNY": 1_990}}))
    market.clock.advance(2)
    product = (await other.get(f"products/{listed[4].json()['product']}")).json()
    for _ in range(2):
        placed = await market.place(product["variants"][0]["sku"])
        await market.pay(placed.order)
    await market.run()
    page = (await mine.get("supplied-sales?limit=1")).json()
    rest = (await mine.get(f"supplied-sales?before={page['next']}")).json()
    stranger = await other.get(f"supplied-sales?before={page['next']}")
    [after] = (await other.get("offers")).json()["items"]
    [floor] = (await mine.get("floors")).json()["items"]
    sides = [(await each.get("agencies")).json()["items"] for each in (mine, other)]

    assert [200, 422, 404, 404] == [each.status_code for each in floors]
    assert ({"CNY": 1_500}, None, 5) == (
        offered["floor_minor"],
        offered["listing"],
        offered["free"],
    )
    assert [
        "price_below_floor",
        "price_too_low",
        "listing_malformed",
        "shop_not_found",
        "listed",
        "unchanged",
        "not_supplied",
    ] == [each.json().get("code") or each.json()["status"] for each in listed]
    assert (True, {"CNY": 1_990}) == (
        after["listing"]["is_on_sale"],
        after["listing"]["sold_minor"],
    )
    assert ("K1", 1) == (floor["sku"], floor["listings"])
    assert [1_500, 1_500] == [each["supplied_minor"] for each in page["items"] + rest["items"]]
    assert page["items"] != rest["items"]
    assert "query_malformed" == stranger.json()["code"]
    assert [("agent", "Other"), ("supplier", "Merchant")] == [
        (each["side"], each["name"]) for [each] in sides
    ]


async def test_floors_and_offers_come_page_after_page(mine, other, market):
    """Each is on one page, found by words of it, and what is beyond the first is listed, too."""
    for number in range(5):
        await market.offer(f"K{number}", keys=1)
        await mine.put(f"floors/K{number}", json={"floor_minor": {"CNY": 1_500}})
        market.clock.advance(1)
    catalog = market.house.api(Catalog)
    supplier, agent = MerchantId(market.merchant), MerchantId(other.merchant)
    await catalog.move_agencies([AgencyMove(AgencyAct.INVITE, supplier, slug="other")])
    await catalog.move_agencies([AgencyMove(AgencyAct.ACCEPT, agent, supplier)])
    found = {}
    for client, name in ((mine, "floors"), (other, "offers")):
        pages, before = [], ""
        while not pages or before:
            page = (await client.get(f"{name}?limit=2&before={before or ''}")).json()
            pages.append([each["sku"] for each in page["items"]])
            before = page["next"]
        found[name] = pages
        found[f"{name} by words"] = [
            each["sku"] for each in (await client.get(f"{name}?q=product+k3")).json()["items"]
        ]
    refused = [
        (await mine.get(f"{name}?{asked}")).json()["code"]
        for name in ("floors", "offers")
        for asked in ("limit=201", "before=odd")
    ]
    last = (await other.get("offers?limit=200")).json()["items"][-1]
    listing = {"shop": "other", "prices_minor": {"CNY": 1_990}}
    listed = await other.put(f"listings/{last['id']}", json=listing)

    assert [["K4", "K3"], ["K2", "K1"], ["K0"]] == found["floors"]
    assert [["K0", "K1"], ["K2", "K3"], ["K4"]] == found["offers"]
    assert ["K3"] == found["floors by words"] == found["offers by words"]
    assert ["query_malformed"] * 4 == refused
    assert ("K4", "listed") == (last["sku"], listed.json()["status"])


async def test_what_programs_do_about_agents_is_logged(mine, programs, market):
    """A floor is in the log before it counts, and so is that it was not done."""
    await market.offer("K1", keys=1)
    await mine.put("floors/K1", json={"floor_minor": {"CNY": 1_500}})
    await mine.put("floors/K1", json={"floor_minor": {"CNY": -1}})
    acts = await programs.acts(market.merchant, "floor.changed")
    told = [tuple(each.after.items()) for each in acts]

    wanted = [("CNY", "-1"), ("CNY", "1500"), (NOT_DONE, "field_malformed")]
    assert [(each,) for each in wanted] == sorted(told)


async def test_the_letter_that_no_text_can_hold_is_refused_wherever_it_comes(mine, market):
    """NUL in an address, a query or a body is the asker's mistake, and nothing breaks."""
    await market.offer("K1", keys=1)
    answers = [
        await mine.put("floors/%00", json={"floor_minor": {}}),
        await mine.get("products?q=%00"),
        await mine.put("floors/K1", json={"floor_minor": {"\0": 1}}),
        await mine.put("floors/K1", json={"floor_minor": {"\\u0000": 1}}),
    ]

    assert [404, 400, 400, 422] == [each.status_code for each in answers]
