"""API keys of a merchant's programs, made and revoked in a browser, over real services."""

import re

import pytest

from vendrail.api.identity import ApiKey, NewApiKey, Permission, Role
from vendrail.kernel.ids import new_id, to_serial

PATH = "/merchant/api-keys"


async def keys_of(town, market=None):
    """Read a merchant's keys."""
    merchant = (market or town.north).merchant
    [found] = await town.world.identity.list_api_keys([merchant])
    return found


def shown(browser) -> str:
    """Give the secret that the page shows; empty: none."""
    found = re.search(r'<code id="secret">([^<]+)</code>', browser.page.text)
    return found[1] if found else ""


async def make(browser, read_field, **fields) -> dict[str, str]:
    """Make a key with a browser; give the form that was sent."""
    await browser.go(PATH)
    sent = {"nonce": read_field(browser, "nonce"), "name": "Shop robot", "days": "0", **fields}
    await browser.send(PATH, **sent)
    return sent


async def test_a_key_is_shown_once_and_opens_what_was_ticked(town, read_field):
    """The secret is on one answer and on no page after it; it may do just what was chosen."""
    owner = await town.join(Role.OWNER)
    boxes = {"scope_orders:read": "yes", "scope_keys:write": "yes"}
    await make(owner, read_field, days="30", **boxes)
    secret = shown(owner)
    [key] = await town.world.identity.check_api_keys([secret])
    later = await owner.http.get(PATH)
    [act] = await town.acts(town.north, "api_key.")

    assert "no-store" == owner.page.headers["cache-control"]
    assert {Permission.ORDERS_READ, Permission.KEYS_WRITE} == set(key.scopes)
    assert 30 == (key.ends_at - key.made_at).days
    assert secret not in later.text
    assert "Shop robot" in later.text
    assert ("api_key.made", "owner@north.example") == (act.act, act.by.name)
    assert secret not in str(act)


async def test_a_key_is_good_from_where_the_owner_says(town, read_field):
    """Networks are given with a key and changed later, with a fresh proof and a line in the log."""
    owner = await town.join(Role.OWNER)
    await make(
        owner,
        read_field,
        networks="203.0.113.7\n::ffff:10.0.0.0/104",
        **{"scope_orders:read": "yes"},
    )
    [key] = await keys_of(town)
    there = f"{PATH}/{to_serial(key.id)}/networks"
    town.clock.advance(1)
    await owner.send(there, networks=" 2001:db8::/48 ")
    [changed] = await keys_of(town)
    await owner.send(there, networks="10.0.0.5/8")
    refused = owner.page
    town.clock.advance(3_000)
    await owner.go(PATH)
    await owner.send(there, networks="")
    [kept] = await keys_of(town)
    made, act = await town.acts(town.north, "api_key.")

    assert ["203.0.113.7/32", "10.0.0.0/8"] == key.networks
    assert ["2001:db8::/48"] == changed.networks == kept.networks
    assert (422, True) == (refused.status_code, "10.0.0.5/8" in refused.text)
    assert "/console/confirm" == owner.path
    assert "203.0.113.7/32 10.0.0.0/8" == made.after["networks"] == act.before["networks"]
    assert "2001:db8::/48" == act.after["networks"]


async def test_the_same_form_twice_is_one_key(town, read_field):
    """A form that is sent again makes no second key, and shows none."""
    owner = await town.join(Role.OWNER)
    sent = await make(owner, read_field, **{"scope_orders:read": "yes"})
    await owner.send(PATH, **sent)

    assert (1, "") == (len(await keys_of(town)), shown(owner))


async def test_a_revoked_key_opens_nothing(town, read_field):
    """Revoking ends the key at once; the page says so, and the log who did it."""
    owner = await town.join(Role.OWNER)
    await make(owner, read_field, **{"scope_orders:read": "yes"})
    secret = shown(owner)
    [key] = await keys_of(town)
    town.clock.advance(1)  # Acts of one moment have no order.
    await owner.send(f"{PATH}/{to_serial(key.id)}/revoke")
    assert PATH == owner.path
    again = await owner.send(f"{PATH}/{to_serial(key.id)}/revoke", raw=True)
    acts = [act.act for act in await town.acts(town.north, "api_key.")]

    assert [None] == await town.world.identity.check_api_keys([secret])
    assert "Revoked" in owner.text
    assert 404 == again.status_code
    assert ["api_key.made", "api_key.revoked"] == acts


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"name": "", "scope_orders:read": "yes"}, "a name of one short line"),
        ({}, "at least one thing"),
        ({"scope_staff:write": "yes"}, "at least one thing"),
    ],
)
async def test_a_key_that_does_not_fit_is_not_made(town, read_field, fields, said):
    """Without a name, or with nothing that a key may do, none is made and the page says why."""
    owner = await town.join(Role.OWNER)
    await make(owner, read_field, **fields)

    assert (422, []) == (owner.page.status_code, await keys_of(town))
    assert said in owner.text


async def test_keys_are_the_owners_own_matter(town):
    """Other roles neither see the page nor revoke; making one wants a fresh proof."""
    id = new_id(town.clock.now())
    owner = await town.join(Role.OWNER)
    key = ApiKey(id, town.north.merchant, "robot", [Permission.ORDERS_READ])
    await town.world.identity.make_api_keys([NewApiKey(key, town.cli)])
    for role in (Role.SELLER, Role.FINANCE, Role.SUPPORT):
        browser = await town.join(role)
        await browser.go("/merchant")
        assert 403 == (await browser.http.get(PATH)).status_code
        refused = await browser.send(f"{PATH}/{to_serial(id)}/revoke", raw=True)
        assert 403 == refused.status_code
    town.clock.advance(3_000)
    await owner.go(PATH)
    fields = {"nonce": to_serial(new_id(town.clock.now())), "name": "late", "days": "0"}
    await owner.send(PATH, **fields, **{"scope_orders:read": "yes"})

    assert "/console/confirm" == owner.path
    assert [id] == [each.id for each in await keys_of(town)]
