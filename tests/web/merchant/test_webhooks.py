"""Webhooks: endpoints, their log and telling again in a browser, over real services."""

import re

from tests.web.merchant.conftest import field
from tests.webhooks.conftest import sources_of

from vendrail.api.identity import Role
from vendrail.api.webhooks import (
    DeliveryQuery,
    DeliveryState,
    EndpointId,
    EndpointStatus,
    NewEndpoint,
    Webhooks,
)
from vendrail.kernel.ids import new_id, to_serial

PATH = "/merchant/webhooks"
URL = "https://hooks.example/vendrail"


async def listen(town, market=None, url=URL):
    """Make an endpoint of a merchant's; give it."""
    market = market or town.north
    new = NewEndpoint(EndpointId(new_id(town.clock.now())), market.merchant, url)
    [made] = await town.house.api(Webhooks).make_endpoints([new])
    assert EndpointStatus.DONE is made.status
    return made.endpoint


async def tell(town, endpoint):
    """Tell what happened to an endpoint that is nowhere; give the newest delivery."""
    service = town.house.services["webhooks"]
    for source in sources_of(town.house):
        while await service.reading.consume(source):
            pass
    await service.telling.send_due()
    await service.telling.drain()
    query = DeliveryQuery(endpoint.id, endpoint.merchant)
    [found] = await town.house.api(Webhooks).list_deliveries([query])
    return found[0].id


def shown(browser) -> str:
    """Give the secret that the page shows; empty: none."""
    found = re.search(r'<code id="secret">([^<]+)</code>', browser.page.text)
    return found[1] if found else ""


async def add(browser, url=URL, **fields) -> str:
    """Add an endpoint by the form; give the secret."""
    await browser.go(PATH)
    await browser.send(PATH, nonce=field(browser, "nonce"), url=url, **fields)
    return shown(browser)


async def test_an_endpoint_is_added_and_its_secret_shown_once(town):
    """The secret is on one answer and on no page after it; the log tells who has added it."""
    owner = await town.join(Role.OWNER)
    secret = await add(owner, note="The <b>robot</b>", **{"kind_order.paid": "yes"})
    sent = owner.page
    [[endpoint]] = await town.house.api(Webhooks).list_endpoints([town.north.merchant])
    table = (await owner.http.get(PATH)).text
    later = (await owner.http.get(f"{PATH}/{to_serial(endpoint.id)}")).text
    [act] = await town.acts(town.north, "webhook.made")

    assert "no-store" == sent.headers["cache-control"]
    assert secret.startswith("whsec_")
    assert secret not in table + later + str(act)
    assert "The &lt;b&gt;robot&lt;/b&gt;" in table
    assert ["order.paid"] == endpoint.kinds
    assert (URL, "order.paid") == (act.after["url"], act.after["kinds"])


async def test_addresses_inside_are_refused_with_a_reason(town):
    """An address in a private network, and one that is none, make no endpoint."""
    owner = await town.join(Role.OWNER)
    await add(owner, "http://10.0.0.7/hook")
    inside, kept = owner.page.status_code, owner.text
    await add(owner, "ftp://hooks.example/")

    assert (422, 422) == (inside, owner.page.status_code)
    assert "private network" in kept
    assert "begins with https://" in owner.text
    assert [[]] == await town.house.api(Webhooks).list_endpoints([town.north.merchant])


async def test_another_secret_is_made_once_by_one_form(town):
    """A form that is sent again makes no other secret, and shows none."""
    owner = await town.join(Role.OWNER)
    first = await add(owner)
    [[endpoint]] = await town.house.api(Webhooks).list_endpoints([town.north.merchant])
    one = f"{PATH}/{to_serial(endpoint.id)}"
    town.clock.advance(1)
    await owner.go(one)
    standing = field(owner, "standing")
    await owner.send(f"{one}/secret", standing=standing)
    second = shown(owner)
    await owner.send(f"{one}/secret", standing=standing)

    assert second.startswith("whsec_")
    assert first != second
    assert "" == shown(owner)


async def test_what_was_not_heard_is_read_and_told_again(town):
    """The log shows each try with its problem; a press tells the event again, and a test event."""
    owner = await town.join(Role.OWNER)
    await town.north.offer("STEAM-50")
    endpoint = await listen(town, url="http://127.0.0.1:9/closed")
    one = f"{PATH}/{to_serial(endpoint.id)}"
    await town.sell(town.north, "STEAM-50")
    delivery = await tell(town, endpoint)
    await owner.go(f"{one}/deliveries/{to_serial(delivery)}")
    page = owner.text
    await owner.send(f"{one}/deliveries/{to_serial(delivery)}")
    told = owner.text
    await owner.go(one)
    await owner.send(f"{one}/test")
    tested = owner.text
    await owner.go(f"{one}?state=heard")
    none = owner.text

    assert "ConnectError" in page
    assert "order.delivered" in page
    assert "told again within seconds" in told
    assert "test event is on its way" in tested
    assert "Does not answer" in tested
    assert "Nothing here yet" in none


async def test_a_switched_off_endpoint_is_sent_nothing(town):
    """Switched off, nothing waits for it and no test is sent; deleted, it is gone with its log."""
    owner = await town.join(Role.OWNER)
    endpoint = await listen(town)
    one = f"{PATH}/{to_serial(endpoint.id)}"
    await owner.go(one)
    await owner.send(f"{one}/switch", is_enabled="no")
    await owner.send(f"{one}/test")
    off = owner.text
    await owner.send(one, url=URL + "/2", note="moved", **{"kind_order.held": "yes"})
    [[changed]] = await town.house.api(Webhooks).list_endpoints([town.north.merchant])
    waiting = DeliveryQuery(endpoint.id, endpoint.merchant, DeliveryState.WAITING)
    [sent] = await town.house.api(Webhooks).list_deliveries([waiting])
    await owner.send(f"{one}/delete")
    acts = [act.act for act in await town.acts(town.north, "webhook.")]

    assert "It is switched off" in off
    assert [] == sent
    assert ("disabled", URL + "/2", "moved") == (changed.state, changed.url, changed.note)
    assert [[]] == await town.house.api(Webhooks).list_endpoints([town.north.merchant])
    assert {"webhook.switched", "webhook.changed", "webhook.deleted"} <= set(acts)


async def test_whoever_may_not_make_keys_sees_no_endpoint(town):
    """Staff without the permission find neither the page nor an entry that leads there."""
    seller = await town.join(Role.SELLER)
    endpoint = await listen(town)
    home = (await seller.http.get("/merchant")).text
    answers = [
        (await seller.http.get(path)).status_code
        for path in (PATH, f"{PATH}/{to_serial(endpoint.id)}")
    ]

    assert [403, 403] == answers
    assert PATH not in home
