"""People and the log in the operator's console."""

import re

from vendrail.api.identity import ActQuery, Role
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import to_serial

PASSWORD = "a quiet lake at dawn"


async def test_an_administrator_invites_and_changes(world):
    """An invited person joins by the shown link; another role ends their sessions at once."""
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/people")
    await head.send("/operator/people/invite", email="no address", role="operator_risk")
    assert 422 == head.page.status_code
    await head.send("/operator/people/invite", email="ri@rail.example", role="owner")
    assert 422 == head.page.status_code
    await head.send("/operator/people/invite", email="ri@rail.example", role="operator_risk")
    link = re.search(r"http://localhost(/join/[\w-]+)", head.page.text)[1]
    other = world.browser()
    await other.go(link)
    await other.send(link, password=PASSWORD, again=PASSWORD, name="Rita")
    await other.enrol()
    assert 200 == (await other.go("/operator/reviews")).status_code
    await head.go("/operator/people")
    path = re.search(r'href="(/operator/people/\w{26})">Rita', head.page.text)[1]
    await head.go(path)
    await head.send(path, what="role", role="operator_support")
    assert "Changed" in head.text
    await other.go("/operator/reviews")

    assert "/console/sign-in" == other.path
    assert ["member.invited", "member.joined", "member.invited", "member.joined",
            "member.changed"] == await world.acts(act="member.")  # fmt: skip


async def test_a_locked_person_is_out(world):
    """Locking wants a reason, ends sessions, and holds until unlocked."""
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    other = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    [person] = await world.identity.find_people(["su@rail.example"])
    await head.go("/operator/people")
    path = f"/operator/people/{to_serial(person.id)}"
    assert f'href="{path}"' in head.page.text
    await head.go(path)
    await head.send(path, what="lock", reason="")
    assert 422 == head.page.status_code
    await head.send(path, what="lock", reason="left the company")
    await other.go("/operator")
    assert "/console/sign-in" == other.path
    await other.sign_in("su@rail.example")
    assert 422 == other.page.status_code
    await head.go(path)
    await head.send(path, what="unlock", reason="a mistake")
    await other.sign_in("su@rail.example")

    assert "/console/code" == other.path
    [acts] = await world.identity.list_acts([ActQuery(None, 9, act="person.")])
    assert [
        ("person.unlocked", {"state": "locked"}, {"state": "active"}),
        ("person.locked", {"state": "active"}, {"state": "locked"}),
    ] == [(each.act, each.before, each.after) for each in acts]


async def test_one_administrator_stays(world):
    """The last who may let others in cannot be taken out, not by themselves either."""
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/people")
    path = re.search(r'href="(/operator/people/\w{26})"', head.page.text)[1]
    await head.go(path)
    await head.send(path, what="remove")

    assert 422 == head.page.status_code
    assert "must stay" in head.text


async def test_only_administrators_see_people(world):
    """Others of the operator see no staff and change none."""
    for role in (Role.OPERATOR_FINANCE, Role.OPERATOR_RISK, Role.OPERATOR_SUPPORT):
        browser = await world.join(f"{role.value}@rail.example", role)
        assert 403 == (await browser.go("/operator/people")).status_code
        await browser.go("/console/account")
        sent = await browser.send(
            "/operator/people/invite", raw=True, email="x@y.example", role="operator_admin"
        )
        assert 403 == sent.status_code


async def test_the_log_is_filtered_and_paged(world):
    """By who, what and when; pages go on where the one before ended."""
    browser = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    for number in range(60):
        await world.invite(f"p{number}@north.example", Role.SELLER)
    await browser.go("/operator/log?kind=member")
    first = re.findall(r"person:(p\d+)@north", browser.page.text)
    older = re.search(r'href="([^"]+)" rel="next"', browser.page.text)[1].replace("&amp;", "&")
    await browser.go(older)
    second = re.findall(r"person:(p\d+)@north", browser.page.text)
    await browser.go("/operator/log?actor=ad@rail.example&kind=factor")

    assert [f"p{number}" for number in range(59, -1, -1)] == [*first, *second]
    assert "factor.added" in browser.page.text
    assert "member.invited" not in browser.page.text


async def test_a_changed_log_shows(world, place):
    """The chain is whole until somebody changes an act in the database, or puts one in."""
    browser = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    service = world.house.services["identity"]

    async def check() -> str:
        while await service.seal_acts():
            pass
        await browser.go("/operator/log")
        await browser.send("/operator/log/check")
        return browser.text

    whole = await check()
    owner = await connect_once(place.url)
    act = await owner.fetchval("select id from identity.act where act = 'member.joined'")
    change = "update identity.act set actor = $2 where id = $1"
    await owner.execute(change, act, "somebody@else.example")
    changed = await check()
    await owner.execute(change, act, "ad@rail.example")
    mended = await check()
    await owner.execute(
        "insert into identity.act (id, at, actor, act, document)"
        " select gen_random_uuid(), at, actor, act, document from identity.act where id = $1",
        act,
    )
    added = await check()
    await owner.execute("delete from identity.act where id = $1", act)
    gone = await check()
    await owner.close()

    assert "The chain is whole" in whole
    assert f"broken at act {act}" in changed
    assert "The chain is whole" in mended
    assert "The chain is broken" in added
    assert f"broken at act {act}" in gone
