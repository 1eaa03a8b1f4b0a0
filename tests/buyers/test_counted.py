"""What is counted of buyers' sign-ins: how each ended, and why where only we may know."""

import re

from tests.buyers.authenticator import Device
from tests.buyers.conftest import AWAY, HOME
from tests.buyers.test_passkeys import SITE, Keys

from vendrail.api.buyers import PasskeyDrop

SAMPLE = re.compile(r"vendrail_buyer_(\w+)_total\{(.*)\} (\S+)")
LABEL = re.compile(r'(\w+)="(.*?)"')


async def read_counts(world) -> dict[str, int]:
    """Give what is counted of buyers, without what is nothing."""
    told = (await world.metrics.render()).decode()
    found = [SAMPLE.fullmatch(line) for line in told.splitlines()]
    counts = {}
    for sample in filter(None, found):
        labels = dict(LABEL.findall(sample[2]))
        ordered = [labels[name] for name in ("way", "outcome", "step", "reason") if name in labels]
        counts[" ".join([sample[1], *ordered])] = int(float(sample[3]))
    return {name: count for name, count in counts.items() if count}


async def test_codes_are_counted_by_how_they_ended(make_world):
    """Asked for, shown in every wrong way and in the right one: each is one, under its own name."""
    world = await make_world(tries_per_address_max=1_000, codes_per_email_max=3)
    await world.ask("nobody")
    code = await world.code()
    wrong = f"{(int(code) + 1) % 10**8:08}"
    await world.show(code, browser=AWAY)  # It was asked for at home.
    for _ in range(5):
        await world.show(wrong)
    await world.show(code)  # Right, and one try too late.
    late = await world.code()
    world.clock.advance(601)
    await world.show(late)
    await world.show("1", email="nobody")
    await world.sign_in("ann@example.com")
    await world.ask()

    assert {
        "codes email_malformed": 1,
        "codes sent": 3,
        "codes limited": 1,
        "sign_ins code not_asked_for": 1,
        "sign_ins code wrong": 5,
        "sign_ins code tried_out": 1,
        "sign_ins code late": 1,
        "sign_ins code email_malformed": 1,
        "sign_ins code accepted": 1,
    } == await read_counts(world)


async def test_passkeys_are_counted_by_how_they_ended(make_world):
    """Added, shown, refused for each of its reasons, removed: each is one, under its own name."""
    world = await make_world(tries_per_address_max=1_000, public_url=SITE)
    keys = Keys(world)
    token, device = await keys.owner(count=5)
    await keys.sign_in(device)
    asked = await keys.ask()
    proof = device.show(asked.options)
    await keys.show(proof)
    await keys.show(proof)  # Its challenge is used up.
    await keys.show("junk")
    await keys.sign_in(Device())  # Nobody's.
    asked = await keys.ask()
    await keys.show(device.show(asked.options, by=Device().key))
    device.count = 1
    await keys.sign_in(device)
    await keys.add("junk", token)
    [passkey] = await keys.listed(token)
    buyer = (await world.session(token)).buyer.id
    await world.buyers.remove_passkeys([PasskeyDrop(passkey.id, buyer)])

    told = await read_counts(world)
    assert {
        "passkeys added": 1,
        "passkeys refused": 1,
        "passkeys removed": 1,
        "sign_ins passkey accepted": 2,
        "sign_ins passkey challenge_not_good": 1,
        "sign_ins passkey unreadable": 1,
        "sign_ins passkey not_theirs": 1,
        "sign_ins passkey signature_wrong": 1,
        "sign_ins passkey copied": 1,
    } == {name: count for name, count in told.items() if "passkey" in name}


async def test_sessions_are_counted_by_why_they_ended(make_world):
    """By hand, everywhere, by a sign-in, a copy, age, or with the account: each under its name."""
    world = await make_world(tries_per_address_max=1_000, codes_per_email_max=20)
    one = await world.session(await world.sign_in())
    await world.buyers.end_sessions([one.id, one.id])
    both = [await world.session(await world.sign_in(browser=each)) for each in (HOME, AWAY)]
    await world.buyers.end_all_sessions([both[0].buyer.id])
    await world.sign_in("bob@example.com", token=await world.sign_in())
    token = await world.sign_in()
    world.clock.advance(3_700)
    renewed = (await world.session(token, is_renewing=True)).token
    assert renewed
    await world.session(renewed)
    world.clock.advance(60)
    assert None is await world.session(token)
    last = await world.session(await world.sign_in("cat@example.com"))
    await world.buyers.forget_buyers([last.buyer.id])
    world.clock.advance(91 * 86_400)
    await world.service.forget()

    told = await read_counts(world)
    assert {
        "sessions_ended signed_out": 1,
        "sessions_ended everywhere": 2,
        "sessions_ended replaced": 1,
        "sessions_ended copied": 1,
        "sessions_ended deleted": 1,
        "sessions_ended over": 1,  # Bob's.
    } == {name: count for name, count in told.items() if "sessions" in name}


async def test_a_new_passkey_is_told_by_letter(make_world):
    """Its buyer reads which was added, in their language; a refused one is told to nobody."""
    world = await make_world(public_url=f"{SITE}/")
    keys = Keys(world)
    token = await world.sign_in()
    buyer = (await world.session(token)).buyer
    await world.buyers.choose_languages([(buyer.id, "ja")])
    await keys.make(token, Device(), "  My  phone ")
    await keys.add("junk", token)
    told = [each for each in world.tray.messages if each.template == "passkey_added"]

    assert [("ann@example.com", "ja", {"passkey": "My phone", "link": f"{SITE}/account"})] == [
        (each.recipient, each.locale, each.values) for each in told
    ]
