"""What people's passkeys promise: a device that knows its owner, for this site, once."""

import asyncio
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.buyers.authenticator import PRESENT, Device
from tests.identity.conftest import CLI, HOME, PASSWORD, World

from vendrail.api.identity import (
    Identity,
    Origin,
    PersonChange,
    Proof,
    Role,
    SessionStage,
    StaffPasskeyAsk,
    StaffPasskeyDrop,
    StaffPasskeyEntry,
    StaffPasskeyProof,
    StaffPasskeyPurpose,
)
from vendrail.kernel import rpc

SITE = "https://shop.example"
MAKE, PROVE, SIGN_IN = StaffPasskeyPurpose
BROWSER = Origin("10.0.0.1", "Firefox", "device-at-home")
AWAY = Origin("10.0.9.9", "Chrome", "device-elsewhere")
MANY = {"tries_per_address_max": 1_000, "tries_per_account_max": 1_000, "public_url": SITE}


class Keys:
    """Short words for what people do with passkeys."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.identity = world.identity

    async def ask(self, purpose=SIGN_IN, token="", origin=BROWSER):
        """Ask for what a browser needs."""
        return (await self.identity.ask_passkeys([StaffPasskeyAsk(purpose, origin, token)]))[0]

    async def make(self, token, device, name="Laptop", origin=BROWSER):
        """Add a passkey; give how that ended."""
        asked = await self.ask(MAKE, token, origin)
        return await self.add(device.make(asked.options), token, name, origin)

    async def add(self, credential, token, name="Laptop", origin=BROWSER):
        """Send a passkey that was made."""
        entry = StaffPasskeyEntry(credential, name, token, origin)
        return (await self.identity.add_passkeys([entry]))[0]

    async def show(self, credential, token="", origin=BROWSER):
        """Show a passkey."""
        proof = StaffPasskeyProof(credential, token, origin)
        return (await self.identity.show_passkeys([proof]))[0]

    async def sign_in(self, device, origin=BROWSER):
        """Sign in by a passkey alone."""
        return await self.show(device.show((await self.ask(origin=origin)).options), "", origin)

    async def prove(self, device, token):
        """Prove by a passkey who is in."""
        return await self.show(device.show((await self.ask(PROVE, token)).options), token)

    async def remove(self, token, name="Laptop"):
        """Remove a passkey by its name."""
        [found] = await self.listed(token, name)
        drop = StaffPasskeyDrop(found.id, token, BROWSER)
        return (await self.identity.remove_passkeys([drop]))[0]

    async def listed(self, token, name=""):
        """List the passkeys of who is in."""
        person = (await self.world.session(token)).person.id
        [found] = await self.identity.list_passkeys([person])
        return [each for each in found if name in each.name]

    async def operator(self, email="ann@rail.example", count=0):
        """Let an operator join with a passkey as the only second factor; give token and device."""
        device = Device()
        device.count = count
        joined = await self.world.join(email, Role.OPERATOR_ADMIN)
        return (await self.make(joined, device)).token, device


@pytest.fixture(params=["local", "remote"])
async def keys(request, make_service, clock) -> Keys:
    """The service of a site that passkeys can be bound to, itself and over the wire."""
    service = await make_service(**MANY)
    identity = rpc.loopback(Identity, service) if request.param == "remote" else service
    return Keys(World(clock, identity, service, service.tray, service.test_db))


async def test_a_passkey_is_a_second_factor_as_an_app_is(keys):
    """Whoever must set one up is in by a passkey, gets recovery codes, and is asked for it."""
    device = Device()
    joined = await keys.world.join("ann@rail.example", Role.OPERATOR_ADMIN)
    stage = (await keys.world.session(joined)).stage
    made = await keys.make(joined, device)
    session = await keys.world.session(made.token)
    again = await keys.world.sign_in("ann@rail.example")
    asked = (await keys.world.session(again.token)).stage
    proven = await keys.prove(device, again.token)
    other = await keys.world.sign_in("ann@rail.example")
    code = (await keys.world.prove(other.token, made.recovery_codes[0])).status

    assert (SessionStage.ENROLMENT, "done") == (stage, made.status)
    assert SessionStage.OPEN is session.stage
    assert (True, True, False) == (
        session.person.has_second_factor,
        session.person.has_passkey,
        session.person.has_app,
    )
    assert 10 == len(set(made.recovery_codes))
    assert SessionStage.FACTOR is asked
    assert SessionStage.OPEN is (await keys.world.session(proven.token)).stage
    assert await keys.world.session(again.token) is None  # The token before is gone.
    assert "accepted" == code


async def test_a_passkey_signs_in_alone(keys):
    """In any browser, with no address and no password; the log says by which way."""
    token, device = await keys.operator()
    result = await keys.sign_in(device, AWAY)
    session = await keys.world.session(result.token)

    assert (SessionStage.OPEN, "ann@rail.example") == (session.stage, session.person.email)
    assert (await keys.listed(token))[0].used_at is not None
    assert "session.begun" in await keys.world.acts()


async def test_a_browser_is_asked_for_a_device_that_knows_its_owner(keys):
    """Kept in the device, verified, not made twice; within a session only the person's own."""
    token, device = await keys.operator()
    made = json.loads((await keys.ask(MAKE, token)).options)
    stranger = json.loads((await keys.ask()).options)
    known = json.loads((await keys.ask(PROVE, token)).options)
    choice = made["authenticatorSelection"]

    assert ("required", "required") == (choice["residentKey"], choice["userVerification"])
    assert ("required", "required") == (stranger["userVerification"], known["userVerification"])
    assert ([], 1, 1) == (
        stranger["allowCredentials"],
        len(known["allowCredentials"]),
        len(made["excludeCredentials"]),
    )
    assert device.owner == (await keys.world.session(token)).person.id.bytes


@pytest.mark.parametrize(
    "bend",
    [
        {"origin": "https://evil.example"},
        {"origin": "https://shop.example:8443"},
        {"domain": "evil.example"},
        {"flags": PRESENT},  # Somebody is there; nobody knows who.
        {"owner": b"somebody else's."},
        {"owner": b""},
    ],
    ids=str,
)
async def test_a_bent_proof_opens_nothing(keys, bend):
    """A wrong origin or domain, nobody verified, another owner or none: all are told alike."""
    _, device = await keys.operator()
    for name, value in bend.items():
        setattr(device, name, value)
    result = await keys.sign_in(device)

    assert ("refused", "") == (result.status, result.token)
    assert "session.refused" in await keys.world.acts()


@pytest.mark.parametrize("bend", [{"origin": "https://evil.example"}, {"flags": PRESENT}], ids=str)
async def test_a_bent_passkey_is_not_added(keys, bend):
    """Made on another site, or by a device that asked nobody who they are, it is none of ours."""
    device = Device()
    joined = await keys.world.join("ann@rail.example", Role.OPERATOR_ADMIN)
    for name, value in bend.items():
        setattr(device, name, value)
    result = await keys.make(joined, device)

    assert ("refused", "", []) == (result.status, result.token, result.recovery_codes)
    assert SessionStage.ENROLMENT is (await keys.world.session(joined)).stage


async def test_a_forged_signature_leaves_the_counter_alone(keys):
    """Who cannot sign is refused, and locks nobody out by a high count."""
    _, device = await keys.operator(count=5)
    device.count = 4_000_000_000
    asked = await keys.ask()
    forged = await keys.show(device.show(asked.options, by=ec.generate_private_key(ec.SECP256R1())))
    device.count = 5

    assert "refused" == forged.status
    assert "accepted" == (await keys.sign_in(device)).status


async def test_a_copy_of_a_device_is_refused_and_in_the_log(keys):
    """A counter that goes back is a copy's: no session, and who looks at the log reads it."""
    _, device = await keys.operator(count=5)
    first = await keys.sign_in(device)
    device.count = 4
    copied = await keys.sign_in(device)

    assert ["accepted", "refused"] == [first.status, copied.status]
    assert "passkey.copied" in await keys.world.acts()


async def test_a_challenge_is_good_once_there_and_soon(keys):
    """Shown twice, elsewhere, for another purpose or too late, it opens nothing."""
    token, device = await keys.operator()
    shown = device.show((await keys.ask()).options)
    twice = await asyncio.gather(*(keys.show(shown) for _ in range(4)))
    elsewhere = await keys.show(device.show((await keys.ask()).options), "", AWAY)
    crossed = await keys.show(device.show((await keys.ask()).options), token)
    outside = await keys.show(device.show((await keys.ask(PROVE, token)).options))
    made = await keys.ask(MAKE, token)
    as_proof = await keys.show(device.show(made.options), token)
    late = await keys.ask()
    keys.world.clock.advance(301)
    too_late = await keys.show(device.show(late.options))
    await keys.world.service.forget_challenges()
    async with keys.world.db.reading() as tx:
        left = await tx.fetch("select * from identity.challenge")

    assert 1 == sum(each.status == "accepted" for each in twice)
    assert ["refused"] * 5 == [
        each.status for each in (elsewhere, crossed, outside, as_proof, too_late)
    ]
    assert [] == left


async def test_anothers_passkey_proves_nothing(keys):
    """A colleague's passkey opens their own session, never that of who has typed a password."""
    await keys.operator()
    _, eves = await keys.operator("eve@rail.example")
    token = (await keys.world.sign_in("ann@rail.example")).token
    asked = await keys.ask(PROVE, token)
    refused = await keys.show(eves.show(asked.options), token)

    assert "refused" == refused.status
    assert SessionStage.FACTOR is (await keys.world.session(token)).stage
    assert "factor.refused" in await keys.world.acts()


async def test_who_has_only_the_password_makes_no_passkey(keys):
    """Before the second factor is shown, and with an old proof, none is asked for nor added."""
    token, device = await keys.operator()
    half = (await keys.world.sign_in("ann@rail.example")).token
    early = await keys.ask(MAKE, half)
    asked = await keys.ask(MAKE, token)
    thief = await keys.add(Device().make(asked.options), half)
    keys.world.clock.advance(601)
    stale = await keys.ask(MAKE, token)
    fresh = await keys.prove(device, token)

    assert ["refused"] * 3 == [early.status, thief.status, stale.status]
    assert "done" == (await keys.make(fresh.token, Device(), "Phone")).status


async def test_a_locked_person_signs_in_by_nothing(keys):
    """What is locked opens to no passkey, and opens again when a person says so."""
    token, device = await keys.operator()
    person = (await keys.world.session(token)).person
    await keys.identity.change_people([PersonChange(person.id, "left", CLI, is_locked=True)])
    refused = await keys.sign_in(device)
    await keys.identity.change_people([PersonChange(person.id, "back", CLI, is_locked=False)])

    assert ("refused", "accepted") == (refused.status, (await keys.sign_in(device)).status)


async def test_the_last_second_factor_stays(keys):
    """A passkey goes where another one or an app is left; of two at once one stays."""
    token, device = await keys.operator()
    alone = await keys.remove(token)
    await keys.make(token, second := Device(), "Phone")
    drops = [StaffPasskeyDrop(each.id, token, BROWSER) for each in await keys.listed(token)]
    both = await asyncio.gather(*(keys.identity.remove_passkeys([drop]) for drop in drops))
    [left] = await keys.listed(token)
    await keys.world.enrol(token)
    other = await keys.world.sign_in("ann@rail.example")
    gone = device if left.name == "Phone" else second

    assert "last" == alone
    assert ["done", "last"] == sorted(status for [status] in both)
    assert "refused" == (await keys.sign_in(gone)).status
    assert SessionStage.FACTOR is (await keys.world.session(other.token)).stage


async def test_removing_a_passkey_ends_what_it_opened(keys):
    """All other sessions of the person end with it; nobody removes what is another's."""
    token, _ = await keys.operator()
    eves, _ = await keys.operator("eve@rail.example")
    await keys.make(token, phone := Device(), "Phone")
    opened = await keys.sign_in(phone, AWAY)
    [mine] = await keys.listed(token, "Phone")
    [foreign] = await keys.identity.remove_passkeys([StaffPasskeyDrop(mine.id, eves, AWAY)])
    before = await keys.world.session(opened.token)
    removed = await keys.remove(token, "Phone")

    assert ("refused", "done") == (foreign, removed)
    assert before is not None
    assert await keys.world.session(opened.token) is None
    assert await keys.world.session(token) is not None
    assert ["passkey.added"] * 3 == [a for a in await keys.world.acts() if a == "passkey.added"]
    assert "passkey.removed" in await keys.world.acts()


async def test_an_operator_takes_passkeys_off_with_the_rest(keys):
    """A lost phone is a second factor lost: the next sign-in sets one up anew."""
    token, device = await keys.operator()
    person = (await keys.world.session(token)).person
    change = PersonChange(person.id, "lost phone", CLI, is_factor_removed=True)
    [status] = await keys.identity.change_people([change])
    again = await keys.world.sign_in("ann@rail.example")

    assert "changed" == status
    assert await keys.world.session(token) is None
    assert "refused" == (await keys.sign_in(device)).status
    assert SessionStage.ENROLMENT is (await keys.world.session(again.token)).stage


async def test_of_two_who_set_a_factor_up_at_once_one_does(keys):
    """Whoever is first ends the other's session: a second passkey is not slipped in beside."""
    joined = await keys.world.join("ann@rail.example", Role.OPERATOR_ADMIN)
    rival = (await keys.world.sign_in("ann@rail.example", PASSWORD, HOME)).token
    asked = [await keys.ask(MAKE, token) for token in (joined, rival)]
    results = await asyncio.gather(
        keys.add(Device().make(asked[0].options), joined, "Mine"),
        keys.add(Device().make(asked[1].options), rival, "Theirs"),
    )

    assert ["done", "refused"] == sorted(each.status for each in results)


async def test_people_are_told_of_passkeys_that_come_and_go(keys):
    """A letter says which passkey, from which network, and where to look."""
    token, _ = await keys.operator()
    await keys.make(token, Device(), "Phone")
    await keys.remove(token, "Phone")
    letters = [each for each in keys.world.tray.messages if each.template == "staff_passkey"]
    told = [(each.recipient, each.values["step"], each.values["passkey"]) for each in letters]

    assert [
        ("ann@rail.example", "added", "Laptop"),
        ("ann@rail.example", "added", "Phone"),
        ("ann@rail.example", "removed", "Phone"),
    ] == told
    assert {(f"{SITE}/console/account", "10.0.0.1")} == {
        (each.values["link"], each.values["address"]) for each in letters
    }


async def test_an_app_and_a_passkey_stand_side_by_side(keys):
    """A merchant's person adds a passkey to their app: the codes stay, and either is enough."""
    token = await keys.world.join("bo@north.example", Role.OWNER)
    secret, enrolled = await keys.world.enrol(token)
    added = await keys.make(enrolled.token, device := Device())
    by_app = (await keys.world.sign_in("bo@north.example")).token
    keys.world.clock.advance(30)
    code = await keys.identity.show_proofs([Proof(by_app, keys.world.code(secret))])
    by_passkey = (await keys.world.sign_in("bo@north.example")).token

    assert ("done", "", []) == (added.status, added.token, added.recovery_codes)
    assert "accepted" == code[0].status
    assert "accepted" == (await keys.prove(device, by_passkey)).status


async def test_a_person_has_so_many_passkeys_and_no_more(make_service, clock):
    """The one too many is neither asked for nor added, also when two come at once."""
    service = await make_service(**MANY, passkeys_max=2)
    keys = Keys(World(clock, service, service, service.tray, service.test_db))
    token, _ = await keys.operator()
    devices = [Device(), Device()]
    asked = [await keys.ask(MAKE, token) for _ in devices]
    made = [device.make(each.options) for device, each in zip(devices, asked, strict=True)]
    added = await asyncio.gather(*(keys.add(each, token) for each in made))

    assert ["done", "full"] == sorted(each.status for each in added)
    assert "full" == (await keys.ask(MAKE, token)).status


async def test_a_network_has_so_many_tries_at_passkeys(make_service, clock):
    """Strangers ask and show a bounded number of times; nothing is kept of the rest."""
    service = await make_service(public_url=SITE, tries_per_address_max=3)
    keys = Keys(World(clock, service, service, service.tray, service.test_db))
    asked = [(await keys.ask()).status for _ in range(4)]
    shown = await keys.show("{}")
    async with service.test_db.reading() as tx:
        kept = await tx.fetch("select * from identity.challenge")

    assert ["done"] * 3 + ["limited"] == asked
    assert "limited" == shown.status
    assert 3 == len(kept)


async def test_a_site_without_a_name_asks_for_no_passkey(make_service, clock):
    """Browsers bind none to a bare number: none is asked for, and an app does."""
    service = await make_service(public_url="http://127.0.0.1:8000")
    keys = Keys(World(clock, service, service, service.tray, service.test_db))

    assert "refused" == (await keys.ask()).status
