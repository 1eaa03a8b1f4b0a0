"""A merchant meets only what is its own: another merchant's ids open no address."""

import re

from tests.disputes.rows import add_dispute
from tests.payouts.rows import write_rows
from tests.web.merchant.test_card_sites import asked
from tests.web.merchant.test_webhooks import listen

from vendrail.api.catalog import MerchantId, ShopProductQuery
from vendrail.api.compliance import PERSON, Compliance, DossierId, SaveDossier
from vendrail.api.domains import Domains, NewDomain
from vendrail.api.identity import ApiKey, NewApiKey, PeopleQuery, Permission, Role, SavedFilter
from vendrail.api.promotions import Coupon, CouponId, Promotions
from vendrail.api.settlement import supply_of
from vendrail.kernel.ids import new_id, to_serial

# For each part of an address: how another merchant's is found.
FOREIGN = {
    "/merchant/orders/{serial}": "order",
    "/merchant/orders/{serial}/letter": "order",
    "/merchant/orders/{serial}/receipt.pdf": "order",
    "/merchant/orders/{serial}/refund": "order",
    "/merchant/orders/{serial}/replace": "order",
    **{
        f"/merchant/{path}": "product"
        for path in (
            "files/{serial}",
            "intake/{serial}",
            "products/{serial}",
            "products/{serial}/picture",
            "products/{serial}/preview",
            "products/{serial}/state",
            "products/{serial}/stock",
            "products/{serial}/stock/batches.csv",
            "products/{serial}/stock/content",
            "products/{serial}/stock/export",
            "products/{serial}/stock/void",
            "products/{serial}/variants",
        )
    },
}
FOREIGN |= {
    f"/merchant/complaints/{{serial}}{path}": "order"
    for path in ("", "/answer", "/events", "/files/{file}", "/messages", "/part")
}
FOREIGN |= {
    **{f"/merchant/agents/{{serial}}{path}": "supply" for path in ("", "/agent", "/supplier")},
    "/merchant/api-keys/{serial}/networks": "program",
    "/merchant/api-keys/{serial}/revoke": "program",
    "/merchant/balance/{transfer}/proof": "sealed transfer",
    "/merchant/search/{transfer}/proof": "sealed transfer",
    "/merchant/card-sites/notices/{serial}": "notice",
    **{
        f"/merchant/coupons/{{serial}}{path}": "coupon"
        for path in ("", "/codes", "/export", "/state", "/uses.csv")
    },
    "/merchant/disputes/{serial}": "dispute",
    "/merchant/disputes/{serial}/evidence": "dispute",
    "/merchant/disputes/{serial}/evidence/drop": "dispute",
    "/merchant/disputes/{serial}/evidence/{file}": "dispute",
    "/merchant/payouts/{serial}": "payout",
    **{
        f"/merchant/verification/documents/{{serial}}{path}": "dossier"
        for path in ("", "/{document}", "/{document}/remove")
    },
    "/merchant/webhooks/{serial}": "webhook",
    "/merchant/webhooks/{serial}/again": "webhook",
    "/merchant/webhooks/{serial}/delete": "webhook",
    "/merchant/webhooks/{serial}/deliveries.csv": "webhook",
    "/merchant/webhooks/{serial}/deliveries/{delivery}": "webhook",
    "/merchant/webhooks/{serial}/secret": "webhook",
    "/merchant/webhooks/{serial}/switch": "webhook",
    "/merchant/webhooks/{serial}/test": "webhook",
    "/merchant/filters/{filter}": "filter",
    "/merchant/domains/{serial}/check": "domain",
    "/merchant/domains/{serial}/remove": "domain",
    "/merchant/shop/{serial}": "shop",
    "/merchant/shop/{serial}/logo": "shop",
    "/merchant/shop/{serial}/logo/remove": "shop",
    "/merchant/staff/invitations/{serial}": "invitation",
    "/merchant/staff/members/{serial}": "person",
}
STREAMED = (
    "/merchant/verification/documents/{serial}",
    "/merchant/verification/documents/{serial}/{document}/remove",
    "/merchant/complaints/{serial}/messages",
    "/merchant/disputes/{serial}/evidence",
    "/merchant/files/{serial}",
    "/merchant/intake/{serial}",
    "/merchant/products/{serial}/picture",
    "/merchant/shop/{serial}/logo",
)


async def things_of(town, market, sku: str) -> dict[str, str]:
    """Let a merchant have one of each thing; give their serials."""
    await market.offer(sku, keys=5)
    order = await town.sell(market, sku, contact="lin@example.com")
    query = ShopProductQuery(MerchantId(market.merchant))
    ((found, *_),) = await market.catalog.list_products([query])
    browser = await town.join(Role.SELLER, market, f"seller@{sku.lower()}.example")
    await browser.go("/merchant")
    await town.world.invite(f"new@{sku.lower()}.example", Role.SELLER, merchant=market.merchant)
    [made] = await town.epay.make_epay_keys([market.merchant])
    [charge] = await town.epay.take_epay_requests([asked(made.account.pid, made.key, sku)])
    await market.pay(charge.order, amount_minor=100)
    await market.run()
    await town.house.services["epay"].telling.consume()
    program = ApiKey(new_id(town.clock.now()), market.merchant, "robot", [Permission.ORDERS_READ])
    await town.world.identity.make_api_keys([NewApiKey(program, town.cli)])
    query = PeopleQuery(market.merchant)
    [[person]] = await town.world.identity.list_people([query])
    [[invitation]] = await town.world.identity.list_invitations([query])
    ledger = town.house.services["ledger"]
    [posted] = await ledger.read_transfers([order])
    for _ in range(4):
        town.clock.advance(200)
        await ledger.seal()
    payout, *_ = await write_rows(town.house, market.merchant)
    dispute = await add_dispute(
        town.house.platform.database_url, town.clock.now(), market.merchant, order
    )
    webhook = await listen(town, market)
    coupon = Coupon(
        CouponId(new_id(town.clock.now())), market.merchant, sku, "CNY", permyriad=100, word=sku
    )
    await town.house.api(Promotions).put_coupons([coupon])
    dossier = SaveDossier(DossierId(new_id(town.clock.now())), market.merchant, PERSON, "CN", {})
    await town.house.api(Compliance).save_dossiers([dossier])
    new = NewDomain(market.merchant, market.shop, f"{sku.lower()}.example")
    [added] = await town.house.api(Domains).add_domains([new])
    kept = SavedFilter(
        new_id(town.clock.now()), person.id, market.merchant, "/merchant/orders", sku, {"q": sku}
    )
    assert ["done"] == await town.world.identity.save_filters([kept])
    return {
        "filter": to_serial(kept.id),
        "domain": to_serial(added.domain.id),
        "dossier": to_serial(dossier.id),
        "coupon": to_serial(coupon.id),
        "webhook": to_serial(webhook.id),
        "order": to_serial(order),
        "supply": to_serial(supply_of(order)),
        "dispute": to_serial(dispute),
        "payout": to_serial(payout),
        "sealed transfer": to_serial(posted[0].transfer.id),
        "product": to_serial(found.product.id),
        "shop": to_serial(market.shop),
        "person": to_serial(person.id),
        "program": to_serial(program.id),
        "notice": to_serial(charge.order),
        "invitation": to_serial(invitation.id),
    }


def routes(app) -> list[tuple[str, str]]:
    """Give every route of the merchant's console: (method, path)."""
    return sorted(
        (method, route.path_format)
        for route in app.routes
        if route.path.startswith("/merchant")
        for method in route.methods
        if method in ("GET", "POST")
    )


async def test_another_merchants_ids_open_nothing(town):
    """Each route that names something gives 404 for the other's, to an owner who may do all."""
    theirs = await things_of(town, town.south, "ELSE")
    browser = await town.join(Role.OWNER)
    named = [(method, path) for method, path in routes(town.world.app) if "{" in path]
    for method, path in named:
        address = re.sub(r"\{[^}]+\}", theirs[FOREIGN[path]], path)
        await browser.go("/merchant")
        if method == "GET":
            answer = await browser.http.get(address)
        else:
            nonce = to_serial(new_id(town.clock.now()))
            fields = {
                "nonce": nonce,
                "reason": "why",
                "part": "all",
                "role": "support",
                "act": "drop",
            }
            if path in STREAMED:
                address += f"?form_token={browser.token()}"
            answer = await browser.send(address, raw=True, **fields)
        assert 404 == answer.status_code, (method, address)
        assert "lin@example.com" not in answer.text

    assert {path for _, path in named} == FOREIGN.keys()
    acts = {act.act for act in await town.acts(town.south)}
    assert acts <= {"member.invited", "member.joined", "api_key.made"}


async def test_lists_and_searches_show_nothing_of_others(town):
    """With one merchant's goods and orders there, the other's pages are as empty as before."""
    await town.south.offer("ELSE", keys=5)
    order = await town.sell(town.south, "ELSE", contact="lin@example.com")
    browser = await town.join(Role.OWNER)
    pages = [path for method, path in routes(town.world.app) if method == "GET" and "{" not in path]
    words = ("ELSE", "lin@example.com", to_serial(order), "South")
    for path in pages:
        for query in ("", "?q=lin@example.com", f"?q={to_serial(order)}", "?q=ELSE"):
            answer = await browser.http.get(path + query)
            body = answer.text.replace(query[3:], "") if query else answer.text
            body = re.sub(r'<option value="[A-Z]{2}">[^<]*', "", body)  # Countries: South Africa.
            is_nowhere = query and path == "/merchant/search"
            assert (404 if is_nowhere else 200) == answer.status_code, path
            assert [] == [word for word in words if word in body], path + query

    assert "/merchant" in pages


async def test_nobody_gets_in_without_a_session(town):
    """Every route of the console sends a stranger to the sign-in page, and does nothing."""
    stranger = town.world.browser()
    for method, path in routes(town.world.app):
        address = re.sub(r"\{[^}]+\}", to_serial(new_id(town.clock.now())), path)
        answer = await stranger.http.request(method, address)
        assert 303 == answer.status_code, (method, path)
        assert answer.headers["location"].startswith("/console/sign-in")


async def test_no_form_passes_without_its_token(town):
    """Every form of the console that does not come from our page is refused."""
    mine = await things_of(town, town.north, "GAME")
    browser = await town.join(Role.OWNER)
    for method, path in routes(town.world.app):
        if method != "POST":
            continue
        address = re.sub(r"\{[^}]+\}", mine.get(FOREIGN.get(path, ""), ""), path)
        answer = await browser.http.post(address, data={"form_token": "wrong"})
        assert 403 == answer.status_code, path
