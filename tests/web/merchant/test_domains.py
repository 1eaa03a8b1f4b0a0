"""Own domains in a merchant's browser: added, proven, looked for, lost and removed."""

import re

import pytest
from tests.domains.nameserver import open_server
from tests.web.merchant import conftest as merchants

from vendrail.api.domains import Domains
from vendrail.api.identity import Identity, Role
from vendrail.api.notify import Notify
from vendrail.app.wiring import House
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import to_serial

PATH = "/merchant/domains"


@pytest.fixture
async def server():
    """A name server."""
    server = await open_server()
    yield server
    server.transport.close()


@pytest.fixture
async def town(platform_url, clock, vault, tmp_path, server):
    """Two merchants on a platform that asks the name server."""
    site = merchants.consoles.SITE
    platform = PlatformSettings(home=tmp_path, database_url=platform_url, public_url=site)
    asked = {"VENDRAIL_DOMAINS_RESOLVERS": server.address, "VENDRAIL_DOMAINS_RESOLVE_S": "0.3"}

    def open_house() -> House:
        return House(platform, merchants.consoles.QUICK | asked, clock, vault)

    world = merchants.consoles.World(open_house, tmp_path)
    yield await merchants.open_town(world, tmp_path)
    await world.close()


async def add(browser, host="keys.example", **fields):
    """Add a domain by the form."""
    await browser.go(PATH)
    return await browser.send(PATH, host=host, **fields)


async def own(town, market=None):
    """Give the domains of a merchant."""
    [found] = await town.house.api(Domains).list_domains([(market or town.north).merchant])
    return found


async def look(town, browser):
    """Press the button that has the first domain looked for."""
    town.clock.advance(31)
    [domain, *_] = await own(town)
    return await browser.send(f"{PATH}/{to_serial(domain.id)}/check")


async def test_a_domain_is_added_set_and_proven(town, server):
    """The page says which record to set; with it set, a press of a button proves the domain."""
    owner = await town.join(Role.OWNER)
    await add(owner, " HTTPS://Keys.Example/ ")
    [domain] = await own(town)
    shown = owner.text
    await look(town, owner)
    early = owner.text
    server.prove(domain)
    await look(town, owner)
    late = owner.text
    acts = [(each.act, {**each.after}) for each in await town.acts(town.north, "domain.")]

    assert all(each in shown for each in ("keys.example", domain.record_name, domain.record_text))
    assert "Waits for proof" in shown
    assert "There is no such record yet" in early
    assert "It is proven: your shop is shown there." in late
    assert [
        ("domain.added", {"host": "HTTPS://Keys.Example/"}),
        ("domain.proven", {"host": "keys.example"}),
    ] == acts


async def test_too_many_a_day_are_answered_with_what_to_do(town):
    """Who adds ever new names is told when they may again; what was typed stays in its field."""
    owner = await town.join(Role.OWNER)
    connection = await connect_once(town.house.platform.database_url)
    for _ in range(20):
        await connection.execute(
            "insert into domains.addition values ($1, $2)", town.north.merchant, town.clock.now()
        )
    await connection.close()
    sent = await add(owner)

    assert 422 == sent.status_code
    assert "Add this one tomorrow." in owner.text
    assert 'value="keys.example"' in sent.text
    assert [] == await own(town)


@pytest.mark.parametrize(
    "host, says",
    [
        ("203.0.113.7", "Write the name alone"),
        ("<b>x</b>", "Write the name alone"),
        ("localhost", "Write the name alone"),
        ("", "Write the name alone"),
    ],
)
async def test_a_wrong_name_is_answered_with_what_to_do(town, host, says):
    """What is no domain is refused with a reason, stays in its field, and nothing is kept."""
    owner = await town.join(Role.OWNER)
    sent = await add(owner, host)

    assert 422 == sent.status_code
    assert says in owner.text
    assert "<b>x" not in owner.page.text
    assert [] == await own(town)


async def test_looking_again_at_once_asks_nobody(town, server):
    """The button that looks is answered with a wait where it was pressed a moment ago."""
    owner = await town.join(Role.OWNER)
    await add(owner)
    await look(town, owner)
    asked = len(server.asked)
    [domain] = await own(town)
    again = await owner.send(f"{PATH}/{to_serial(domain.id)}/check")

    assert (429, asked) == (again.status_code, len(server.asked))
    assert "looked at a moment ago" in owner.text


async def test_nobody_touches_anothers_domain(town, server):
    """A merchant's forms for another's domain find nothing, and change nothing."""
    owner = await town.join(Role.OWNER)
    await add(owner)
    [domain] = await own(town)
    stranger = await town.join(Role.OWNER, town.south)
    await stranger.go(PATH)
    serial = to_serial(domain.id)
    looked = await stranger.send(f"{PATH}/{serial}/check", raw=True)
    removed = await stranger.send(f"{PATH}/{serial}/remove", raw=True)

    assert (404, 404) == (looked.status_code, removed.status_code)
    assert [domain] == await own(town)
    assert "keys.example" not in stranger.text


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.FINANCE])
async def test_who_does_not_keep_the_shop_sees_no_domains(town, role):
    """The page and its forms are for whoever may change the shop."""
    browser = await town.join(role)

    assert 403 == (await browser.go(PATH)).status_code
    assert PATH not in (await browser.go("/merchant")).text


async def test_adding_and_removing_want_a_fresh_proof(town, server):
    """Half an hour after signing in, both ask for the password again and have done nothing."""
    owner = await town.join(Role.OWNER)
    await add(owner)
    [domain] = await own(town)
    await owner.go(PATH)
    town.clock.advance(31 * 60)
    removed = await owner.send(f"{PATH}/{to_serial(domain.id)}/remove", raw=True)
    added = await owner.send(PATH, raw=True, host="more.example")

    assert removed.headers["location"].startswith("/console/confirm")
    assert added.headers["location"].startswith("/console/confirm")
    assert [domain] == await own(town)


async def test_a_removed_domain_is_gone_from_the_page(town, server):
    """Removing is in the log with the host and how it stood; a second form finds nothing."""
    owner = await town.join(Role.OWNER)
    await add(owner)
    [domain] = await own(town)
    await owner.send(f"{PATH}/{to_serial(domain.id)}/remove")
    left = owner.text
    again = await owner.send(f"{PATH}/{to_serial(domain.id)}/remove", raw=True)
    acts = await town.acts(town.north, "domain.removed")

    assert "No domain yet" in left
    assert 404 == again.status_code
    assert [{"host": "keys.example", "state": "waiting"}] == [{**each.before} for each in acts]


async def test_who_keeps_the_shop_gets_letters_about_a_lost_domain(town, server):
    """One letter says that the proof is missed, one that the domain is lost; support gets none."""
    owner = await town.join(Role.OWNER)
    await town.join(Role.SUPPORT)
    await add(owner)
    [domain] = await own(town)
    server.prove(domain)
    await look(town, owner)
    server.disprove(domain)
    service = town.house.services["domains"]
    telling = service.telling(town.house.api(Notify), town.house.api(Identity))
    for _ in range(24 * 6):
        town.clock.advance(3_600)
        while await service.check_due():
            pass
    while await telling.tell():
        pass
    letters = await town.world.letters("owner@north.example")
    bodies = [
        each.get_body(("plain",)).get_content()
        for each in letters
        if "keys.example" in each["subject"]
    ]
    other = await town.world.letters("support@north.example")

    assert 2 == len(bodies)
    assert any("is still shown there" in each for each in bodies)
    assert any("no longer shown there" in each for each in bodies)
    assert all("http://localhost/merchant/domains" in each for each in bodies)
    assert [] == [each for each in other if "keys.example" in each["subject"]]
    await owner.sign_in("owner@north.example")
    await owner.go(PATH)
    assert "No longer in use" in owner.text


async def test_the_operator_sees_a_merchants_domains(town, server):
    """A merchant's page of the operator lists its domains with how they stand."""
    owner = await town.join(Role.OWNER)
    await add(owner)
    operator = await town.world.join("ops@site.example", Role.OPERATOR_ADMIN)
    await operator.go(f"/operator/merchants/{to_serial(town.north.merchant)}")

    assert re.search(r"keys\.example.*Waits for proof", operator.text)
