"""What passkeys promise: a device's signature for this site, this browser, once."""

import asyncio
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.buyers.authenticator import Device
from tests.buyers.conftest import AWAY, HOME

from vendrail.api.buyers import PasskeyAsk, PasskeyDrop, PasskeyEntry, PasskeyProof, PasskeyPurpose
from vendrail.kernel.passkeys import (
    Site,
    check_made,
    check_proof,
    clean_name,
    is_counter_good,
    read_claim,
    read_site,
)

SITE = "https://shop.example"


class Keys:
    """Short words for what buyers do with passkeys."""

    def __init__(self, world) -> None:
        self.world = world
        self.buyers = world.buyers

    async def ask(self, token="", browser=HOME, purpose=PasskeyPurpose.PROVE):
        """Ask for what a browser needs."""
        return (await self.buyers.ask_passkeys([PasskeyAsk(purpose, browser, token)]))[0]

    async def make(self, token, device, name="My phone", browser=HOME):
        """Add a passkey; give how that ended."""
        asked = await self.ask(token, browser, PasskeyPurpose.MAKE)
        return await self.add(device.make(asked.options), token, name, browser)

    async def add(self, credential, token, name="My phone", browser=HOME):
        """Send a passkey that was made."""
        entry = PasskeyEntry(credential, name, browser, token)
        return (await self.buyers.add_passkeys([entry]))[0]

    async def show(self, credential, token="", browser=HOME):
        """Show a passkey."""
        proof = PasskeyProof(credential, browser, token)
        return (await self.buyers.redeem_passkeys([proof]))[0]

    async def sign_in(self, device, token="", browser=HOME):
        """Sign in by a passkey."""
        asked = await self.ask(token, browser)
        return await self.show(device.show(asked.options), token, browser)

    async def listed(self, token):
        """List the passkeys of who is in."""
        buyer = (await self.world.session(token)).buyer.id
        return (await self.buyers.list_passkeys([buyer]))[0]

    async def owner(self, email="ann@example.com", browser=HOME, count=0):
        """Sign in by a code and make a passkey; give the token and the device."""
        token, device = await self.world.sign_in(email, browser), Device()
        device.count = count
        assert "done" == await self.make(token, device, browser=browser)
        return token, device


@pytest.fixture(params=["local", "remote"])
async def keys(request, make_world):
    """The service of a site that passkeys can be bound to, itself and over the wire."""
    return Keys(await make_world(is_remote=request.param == "remote", public_url=SITE))


async def test_a_passkey_signs_in_without_an_address(keys):
    """A device that has one signs its buyer in, in any browser, and nobody types anything."""
    token, device = await keys.owner()
    result = await keys.sign_in(device, browser=AWAY)
    session = await keys.world.session(result.token)
    [listed] = await keys.listed(token)

    assert "accepted" == result.status
    assert "ann@example.com" == session.buyer.email
    assert ("My phone", True) == (listed.name, listed.used_at is not None)


async def test_a_browser_is_asked_for_a_passkey_that_finds_its_account(keys):
    """What is made names no person to strangers, is kept in the device, and not made twice."""
    token, _ = await keys.owner()
    made = json.loads((await keys.ask(token, purpose=PasskeyPurpose.MAKE)).options)
    shown = json.loads((await keys.ask()).options)
    choice = made["authenticatorSelection"]

    assert ("required", "preferred") == (choice["residentKey"], choice["userVerification"])
    assert 1 == len(made["excludeCredentials"])
    assert ("shop.example", []) == (shown["rpId"], shown["allowCredentials"])
    assert "preferred" == shown["userVerification"]


async def test_what_is_asked_of_a_stranger_is_always_alike(keys):
    """Before and after anybody has a passkey a stranger is told the same, but the challenge."""
    before = json.loads((await keys.ask(browser=AWAY)).options)
    await keys.owner()
    after = json.loads((await keys.ask(browser=AWAY)).options)

    assert before.pop("challenge") != after.pop("challenge")
    assert before == after


async def test_only_who_is_in_makes_a_passkey(keys):
    """Without a session, and with one that has ended, none is asked for and none is added."""
    token = await keys.world.sign_in()
    asked = await keys.ask(token, purpose=PasskeyPurpose.MAKE)
    await keys.buyers.end_sessions([(await keys.world.session(token)).id])

    assert "refused" == (await keys.ask("", purpose=PasskeyPurpose.MAKE)).status
    assert "refused" == (await keys.ask(token, purpose=PasskeyPurpose.MAKE)).status
    assert "refused" == await keys.add(Device().make(asked.options), token)


async def test_a_challenge_is_good_once(keys):
    """What was signed once opens nothing again, whether it opened something before or not."""
    token, device = await keys.owner()
    asked = await keys.ask()
    shown = device.show(asked.options)
    first, second = await keys.show(shown), await keys.show(shown)
    asked = await keys.ask()
    forged = await keys.show(device.show(asked.options, by=ec.generate_private_key(ec.SECP256R1())))
    made = await keys.ask(token, purpose=PasskeyPurpose.MAKE)
    other = Device()
    credential = other.make(made.options)

    assert ["accepted", "refused"] == [first.status, second.status]
    assert ["refused", "refused"] == [
        forged.status,
        (await keys.show(device.show(asked.options))).status,
    ]
    assert ["done", "refused"] == [await keys.add(credential, token) for _ in range(2)]


async def test_a_challenge_shown_twice_at_once_opens_one_session(keys):
    """Of several at once with the same signature one gets in."""
    _, device = await keys.owner()
    shown = device.show((await keys.ask()).options)
    results = await asyncio.gather(*(keys.show(shown) for _ in range(4)))

    assert 1 == sum(each.status == "accepted" for each in results)


async def test_a_challenge_is_good_for_five_minutes(keys):
    """At five minutes it still is; a second later it is not, and is forgotten."""
    _, device = await keys.owner()
    early, late = await keys.ask(), await keys.ask()
    keys.world.clock.advance(300)
    in_time = await keys.show(device.show(early.options))
    keys.world.clock.advance(1)
    too_late = await keys.show(device.show(late.options))
    await keys.ask()
    keys.world.clock.advance(301)
    await keys.world.service.forget()
    async with keys.world.db.reading() as tx:
        left = await tx.fetch("select * from buyers.challenge")

    assert ["accepted", "refused"] == [in_time.status, too_late.status]
    assert [] == left


async def test_a_challenge_is_good_in_the_browser_that_asked(keys):
    """Another browser, another session and the other purpose get nothing from it."""
    token, device = await keys.owner()
    elsewhere = await keys.show(device.show((await keys.ask()).options), browser=AWAY)
    in_session = await keys.show(device.show((await keys.ask()).options), token)
    out_of_it = await keys.show(device.show((await keys.ask(token)).options))
    proof = json.loads((await keys.ask(token)).options)
    new = Device()
    crossed = await keys.add(
        new.make(json.dumps({"user": {"id": "AAAA"}, "challenge": proof["challenge"]})), token
    )

    assert ["refused"] * 3 == [elsewhere.status, in_session.status, out_of_it.status]
    assert "refused" == crossed


@pytest.mark.parametrize(
    "bend",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://shop.example"},
        {"origin": "https://shop.example:8443"},
        {"domain": "evil.example"},
        {"flags": 0},
        {"owner": b"somebody else's."},
        {"owner": b""},
    ],
    ids=str,
)
async def test_a_bent_proof_is_refused(keys, bend):
    """A wrong origin, a wrong domain, nobody present, another owner or none: all alike."""
    _, device = await keys.owner()
    for name, value in bend.items():
        setattr(device, name, value)

    assert ("refused", "") == (
        (result := await keys.sign_in(device)).status,
        result.token,
    )


@pytest.mark.parametrize(
    "bend", [{"origin": "https://evil.example"}, {"domain": "evil.example"}, {"flags": 0}], ids=str
)
async def test_a_bent_passkey_is_not_added(keys, bend):
    """What was made on another site, or with nobody there, is none of ours."""
    token, device = await keys.world.sign_in(), Device()
    for name, value in bend.items():
        setattr(device, name, value)

    assert "refused" == await keys.make(token, device)
    assert [] == await keys.listed(token)


async def test_a_forged_signature_is_refused(keys):
    """A right credential signed by another key, for another act, or not at all opens nothing."""
    _, device = await keys.owner()
    other = ec.generate_private_key(ec.SECP256R1())
    forged = await keys.show(device.show((await keys.ask()).options, by=other))
    crossed = await keys.show(device.show((await keys.ask()).options, kind="webauthn.create"))
    unsigned = json.loads(device.show((await keys.ask()).options))
    unsigned["response"]["signature"] = ""
    empty = await keys.show(json.dumps(unsigned))

    assert ["refused"] * 3 == [forged.status, crossed.status, empty.status]
    assert "accepted" == (await keys.sign_in(device)).status


async def test_an_unknown_passkey_is_refused_like_a_wrong_one(keys):
    """Whoever shows a key that we never saw is told what everybody else is told."""
    _, device = await keys.owner()
    stranger = Device()
    stranger.owner = device.owner
    unknown = await keys.sign_in(stranger)
    stranger.credential_id = device.credential_id

    assert unknown == await keys.sign_in(stranger)
    assert "refused" == unknown.status


async def test_a_credential_is_one_buyers_alone(keys):
    """A credential that is somebody's is added to nobody else, and opens what it opened."""
    _, device = await keys.owner()
    eve = await keys.world.sign_in("eve@example.com", AWAY)
    owner, taken = device.owner, Device()
    taken.credential_id = device.credential_id
    status = await keys.make(eve, taken, browser=AWAY)
    device.owner = owner
    session = await keys.world.session((await keys.sign_in(device)).token)

    assert ("refused", []) == (status, await keys.listed(eve))
    assert "ann@example.com" == session.buyer.email


async def test_a_passkey_confirms_its_own_buyers_session(keys):
    """Within a session it is the proof that a code is: the same session, a new token."""
    token, device = await keys.owner()
    before = await keys.world.session(token)
    keys.world.clock.advance(1_000)
    result = await keys.sign_in(device, token)
    after = await keys.world.session(result.token)

    assert before.id == after.id
    assert 1_000 == (after.confirmed_at - before.confirmed_at).total_seconds()
    assert await keys.world.session(token) is None


async def test_anothers_passkey_confirms_nothing(keys):
    """Eve's own passkey neither confirms Ann's session nor takes its place."""
    ann, _ = await keys.owner()
    _, device = await keys.owner("eve@example.com", AWAY)
    before = await keys.world.session(ann)
    keys.world.clock.advance(1_000)
    result = await keys.sign_in(device, ann)
    after = await keys.world.session(ann)

    assert ("refused", "") == (result.status, result.token)
    assert (before.id, before.confirmed_at) == (after.id, after.confirmed_at)


async def test_a_counter_that_goes_back_is_refused_and_logged(keys):
    """A copy shows a count that was there already: no session, a line in the log, no more told."""
    _, device = await keys.owner(count=5)
    first = await keys.sign_in(device)
    device.count = 4
    with capture_logs() as lines:
        copied = await keys.sign_in(device)
    device.count = 6
    onward = await keys.sign_in(device)

    assert ["accepted", "refused", "accepted"] == [first.status, copied.status, onward.status]
    [line] = [each for each in lines if each["event"] == "buyers.passkey_copied"]
    assert (6, 5, "warning") == (line["before"], line["now"], line["log_level"])


async def test_a_forged_count_leaves_the_counter_alone(keys):
    """Who cannot sign cannot lock a buyer out by a high count."""
    _, device = await keys.owner(count=5)
    device.count = 4_000_000_000
    asked = await keys.ask()
    await keys.show(device.show(asked.options, by=ec.generate_private_key(ec.SECP256R1())))
    device.count = 5

    assert "accepted" == (await keys.sign_in(device)).status


async def test_a_removed_passkey_opens_nothing(keys):
    """Its buyer removes it, nobody else; the others stay, and the code does."""
    token, phone = await keys.owner()
    laptop = Device()
    await keys.make(token, laptop, "Laptop")
    eve = await keys.world.sign_in("eve@example.com", AWAY)
    ann_id = (await keys.world.session(token)).buyer.id
    eve_id = (await keys.world.session(eve)).buyer.id
    listed = {each.name: each for each in await keys.listed(token)}
    first, second = listed["My phone"], listed["Laptop"]
    removed = await keys.buyers.remove_passkeys(
        [PasskeyDrop(first.id, eve_id), PasskeyDrop(second.id, ann_id)]
    )

    assert [False, True] == removed
    assert "accepted" == (await keys.sign_in(phone)).status
    assert "refused" == (await keys.sign_in(laptop)).status
    assert "accepted" == (await keys.world.show(await keys.world.code())).status


async def test_passkeys_go_with_their_account(keys):
    """An account that is deleted leaves none."""
    token, device = await keys.owner()
    await keys.buyers.forget_buyers([(await keys.world.session(token)).buyer.id])
    async with keys.world.db.reading() as tx:
        left = await tx.fetch("select * from buyers.passkey")

    assert [] == left
    assert "refused" == (await keys.sign_in(device)).status


async def test_a_buyer_has_so_many_passkeys_and_no_more(make_world):
    """The one too many is neither asked for nor added, also when two come at once."""
    keys = Keys(await make_world(public_url=SITE, passkeys_max=2))
    token, _ = await keys.owner()
    devices = [Device(), Device()]
    asked = [await keys.ask(token, purpose=PasskeyPurpose.MAKE) for _ in devices]
    made = [device.make(each.options) for device, each in zip(devices, asked, strict=True)]
    added = await asyncio.gather(*(keys.add(each, token) for each in made))

    assert ["done", "full"] == sorted(added)
    assert "full" == (await keys.ask(token, purpose=PasskeyPurpose.MAKE)).status


async def test_a_network_has_so_many_tries(make_world):
    """Asking, adding and showing count as tries; beyond them all are told to wait."""
    keys = Keys(await make_world(public_url=SITE, tries_per_address_max=2))
    asked = [(await keys.ask()).status for _ in range(3)]
    result = await keys.show("{}")

    assert ["done", "done", "limited"] == asked
    assert "limited" == result.status
    assert result.wait_s > 0
    assert "limited" == await keys.add("{}", "token")


async def test_a_site_without_a_name_asks_for_no_passkey(make_world):
    """Browsers bind none to a bare number or to plain http: none is asked for."""
    for address in (
        "http://127.0.0.1:8000",
        "https://10.0.0.1",
        "https://[::1]",
        "http://a.example",
    ):
        assert read_site(address) is None

    keys = Keys(await make_world(public_url="http://127.0.0.1:8000"))

    assert "refused" == (await keys.ask()).status


def test_a_site_is_bound_by_its_name_and_origin():
    """The usual port is no part of an origin, any other one is; no path is."""
    assert Site("shop.example", "https://shop.example") == read_site("https://Shop.example:443/x")
    assert Site("localhost", "http://localhost:8000") == read_site("http://localhost:8000")


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_counter_only_goes_on(before, now):
    """It goes up, or both are 0: nothing else is good."""
    assert is_counter_good(before, now) == (now > before or before == now == 0)


@given(st.text())
def test_names_are_short_lines(text):
    """Whatever is typed, a name is one line of at most 60 printable letters."""
    name = clean_name(text)

    assert len(name) <= 60
    assert name.isprintable()
    assert name == name.strip()


@given(st.data())
def test_what_nobody_would_send_is_refused_not_broken(data):
    """Whatever bytes come in the place of an answer, nothing is raised and nothing is proven."""
    device, site = Device(), Site("shop.example", SITE)
    asked = json.dumps({"user": {"id": "AAAA"}, "challenge": "AAAA"})
    is_new = data.draw(st.booleans())
    good = json.loads(device.make(asked) if is_new else device.show(asked))
    place = data.draw(st.sampled_from(sorted(good["response"])))
    text = good["response"][place]
    at = data.draw(st.integers(0, 10_000)) % len(text)
    letter = data.draw(st.characters(codec="utf-8"))
    good["response"][place] = text[:at] + data.draw(st.sampled_from(["", letter, letter * 2]))
    sent = json.dumps(good)
    read_claim(sent, is_new=is_new)
    junk = data.draw(st.text() | st.just("[]") | st.just("{}") | st.just("null"))

    assert read_claim(junk, is_new=is_new) is None
    assert check_proof(sent, b"other", site, b"junk") is None
    assert check_made(sent, b"other", site) is None
