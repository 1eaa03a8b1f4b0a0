"""The door for merchants who come by themselves, and the operator's switch of it."""

import html
import json
import re

from tests.app.test_x22_enforced import solve
from tests.web.console.conftest import PASSWORD, make_app

from vendrail.api.identity import Role
from vendrail.kernel.limits.gate import Gate
from vendrail.kernel.limits.proofs import Proofs


async def _open(world, mode="open"):
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/registration")
    await head.send("/operator/registration", mode=mode, terms="Be **honest**.", reason="we grow")
    await _approve(await world.join("second@rail.example", Role.OPERATOR_ADMIN))
    return head


async def _approve(second) -> None:
    """Say yes to what waits for a second person."""
    await second.go("/operator/approvals")
    path = re.search(r'action="(/operator/approvals/[^"]+)"', second.page.text)[1]
    await second.send(path, decision="approve")


async def _code(world, email):
    [*_, letter] = await world.letters(email)
    return re.search(r"\b(\d{8})\b", letter.get_body(("plain",)).get_content())[1]


async def test_the_door_is_closed_until_an_operator_opens_it(world):
    """Sign-in leads there, and it says that merchants are invited; terms come before opening."""
    guest = world.browser()
    await guest.go("/console/sign-in")
    assert 'href="/console/register"' in guest.page.text
    await guest.go("/console/register")
    closed = guest.text
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/registration")
    await head.send("/operator/registration", mode="open", terms="", reason="we grow")
    assert "Write the terms first" in head.text
    await head.send("/operator/registration", mode="open", terms="Be honest.", reason="")
    assert "Say why" in head.text
    await head.send("/operator/registration", mode="open", terms="Be honest.", reason="we grow")
    assert "A second person must approve it" in head.text
    await guest.go("/console/register")
    waiting = guest.text
    await _approve(await world.join("second@rail.example", Role.OPERATOR_ADMIN))
    await guest.go("/console/register")

    assert "by invitation" in closed
    assert "by invitation" in waiting
    assert "I accept the terms" in guest.text
    steps = [each for each in await world.acts() if each.startswith("registration.opened")]
    assert "registration.opened.proposed" in steps
    assert "registration.opened.approved" in steps


async def test_a_door_is_closed_by_one_and_opened_by_two(world):
    """Narrower counts at once; wider waits, and not on other terms than were looked at."""
    head = await _open(world, "approval")
    path, terms = "/operator/registration", "Be **honest**."
    read = world.identity.read_registration_policy
    await head.go(path)
    await head.send(path, mode="open", terms=terms, reason="all")
    assert "approval" == (await read()).mode
    await head.go(path)
    await head.send(path, mode="approval", terms="Be kind.", reason="other words")
    assert ("approval", 2) == ((await read()).mode, (await read()).terms_version)
    third = await world.join("third@rail.example", Role.OPERATOR_ADMIN)
    await _approve(third)
    assert "The terms have changed since it was put up" in third.text
    assert "approval" == (await read()).mode
    await head.go(path)
    await head.send(path, mode="invitation", terms="Be kind.", reason="enough")

    assert "invitation" == (await read()).mode


async def test_a_door_that_was_closed_meanwhile_is_not_opened_by_what_waited(world):
    """Who closes it closes it for what was put up before too: that is put up again, or not."""
    head = await _open(world, "approval")
    path, terms = "/operator/registration", "Be **honest**."
    await head.go(path)
    await head.send(path, mode="open", terms=terms, reason="all")
    await head.go(path)
    await head.send(path, mode="invitation", terms=terms, reason="a flood of fraud")
    third = await world.join("third@rail.example", Role.OPERATOR_ADMIN)
    await third.go("/operator/approvals")
    shown = third.text
    await _approve(third)

    assert "Before: Who applies and is let in" in shown
    assert "It has moved on meanwhile" in third.text
    assert "invitation" == (await world.identity.read_registration_policy()).mode


async def test_a_merchant_registers_in_the_browser(world):
    """From the form over the mailed code and the second factor to the shop's own console."""
    await _open(world)
    guest = world.browser()
    terms = await guest.go("/console/register/terms")
    assert "<strong>honest</strong>" in terms.text
    await guest.go("/console/register")
    form = {"shop": "South Keys", "email": "ow@south.example", "terms_version": "1"}
    await guest.send("/console/register", **form)
    assert "Without accepting the terms" in guest.text
    await guest.send("/console/register", **form, accepted="yes")
    code = await _code(world, "ow@south.example")
    entry = {"email": "ow@south.example", "code": code, "name": "Olga"}
    await guest.send("/console/register/code", **entry, password=PASSWORD, again="another one")
    assert "not the same" in guest.text
    await guest.send("/console/register/code", **entry, password=PASSWORD, again=PASSWORD)
    assert "/console/factor" == guest.path
    await guest.go("/merchant")
    assert "/console/factor" == guest.path
    await guest.enrol()
    await guest.go("/merchant")

    assert "/merchant" == guest.path
    assert "South Keys" in guest.text


async def test_whoever_applies_is_let_in_by_an_operator(world):
    """Their proven address waits at the desk; the link that comes with a yes opens the shop."""
    head = await _open(world, "approval")
    guest = world.browser()
    await guest.go("/console/register")
    await guest.send("/console/register", shop="South Keys", email="ow@south.example",
                     terms_version="1", accepted="yes")  # fmt: skip
    code = await _code(world, "ow@south.example")
    await guest.send("/console/register/code", email="ow@south.example", code=code, name="Olga")
    assert "Your application is with us" in guest.text
    await head.go("/operator")
    assert "Registration 1" in head.text
    await head.go("/operator/registration")
    assert "South Keys" in head.text
    path = re.search(r'action="(/operator/registration/\w{26})"', head.page.text)[1]
    await head.send(path, decision="refuse", reason="")
    assert "Say why" in head.text
    await head.send(path, decision="invite", reason="", merchant_name="Bank", terms_version="1")
    assert "The page was too old" in head.text
    seen = {"merchant_name": "South Keys", "terms_version": "1"}
    await head.send(path, decision="invite", reason="", **seen)
    link = await world.mailed("ow@south.example")
    await guest.go(link)
    await guest.send(link, password=PASSWORD, again=PASSWORD, name="Olga")
    await head.send(path, decision="invite", reason="", **seen)

    assert "/console/factor" == guest.path
    assert 422 == head.page.status_code


async def test_only_administrators_turn_the_switch(world):
    """Others see it, and cannot; forms from elsewhere are refused at the door too."""
    await _open(world)
    risk = await world.join("ri@rail.example", Role.OPERATOR_RISK)
    await risk.go("/operator/registration")
    assert 'name="mode"' not in risk.page.text
    await risk.go("/console/account")
    sent = await risk.send("/operator/registration", raw=True, mode="open", reason="x")
    guest = world.browser()
    await guest.go("/console/register")
    bare = await guest.http.post("/console/register", data={"email": "a@b.example"})

    assert 403 == sent.status_code
    assert 403 == bare.status_code


async def test_x22_the_door_costs_a_proof_of_work_under_pressure(world):
    """No code is sent before the work is done; what was written stays in the form."""
    await _open(world)
    house = world.house
    proofs = Proofs(house.limits_database(), house.vault, house.clock, numbers_max=50)
    gate = Gate(proofs, house.clock, free_per_minute=0, is_strained=lambda: True)
    app = make_app(house, house.platform.home, lambda _: gate)
    guest = world.browser(app=app)
    await guest.go("/console/register")
    form = {"shop": "South Keys", "email": "ow@south.example", "terms_version": "1"}
    asked = await guest.send("/console/register", **form, accepted="yes")
    challenge = json.loads(html.unescape(re.search(r'data-challenge="([^"]+)"', asked.text)[1]))
    letters = await world.letters("ow@south.example")
    await guest.send("/console/register", **form, accepted="yes", altcha=solve(challenge))

    assert 428 == asked.status_code
    assert 'value="South Keys"' in asked.text
    assert [] == letters
    assert 1 == len(await world.letters("ow@south.example"))
