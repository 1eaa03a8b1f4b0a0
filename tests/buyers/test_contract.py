"""What buyers' accounts promise: a code proves an address, a token is one browser's alone."""

import asyncio

from tests.buyers.conftest import AWAY, HOME

from vendrail.kernel.codec import replace


async def test_a_code_signs_in_and_the_first_one_makes_the_account(world):
    """A right code opens a session of the address's buyer; the next one of the same buyer."""
    first = await world.session(await world.sign_in(" Ann@Example.com"))
    second = await world.session(await world.sign_in("ann@example.com", AWAY))

    assert "ann@example.com" == first.buyer.email
    assert (first.buyer, "en") == (second.buyer, first.buyer.locale)
    assert first.id != second.id


async def test_a_code_is_good_once_and_ten_minutes(world):
    """A used code, an old one and the one before a newer one are refused alike."""
    used = await world.code()
    await world.show(used)
    old = await world.code()
    world.clock.advance(601)
    late = await world.show(old)
    before = await world.code()
    newest = await world.code()

    assert ["refused"] * 3 == [
        (await world.show(used)).status,
        late.status,
        (await world.show(before)).status if before != newest else "refused",
    ]
    assert "accepted" == (await world.show(newest)).status


async def test_guessing_a_code_ends_it(world):
    """After five wrong tries the right code is refused as well, though they come all at once."""
    code = await world.code()
    wrong = f"{(int(code) + 1) % 10**8:08}"
    tries = await asyncio.gather(*(world.show(wrong) for _ in range(5)))

    assert {"refused"} == {each.status for each in tries}
    assert "refused" == (await world.show(code)).status


async def test_codes_to_one_address_and_tries_of_one_network_are_few(make_world):
    """Beyond the limits nobody gets a code or a try, whatever the other of the two is."""
    world = await make_world(
        codes_per_email_max=2, codes_per_email_total_max=2, tries_per_address_max=4
    )
    browsers = [replace(HOME, address=f"10.0.{n}.1") for n in range(3)]
    asked = [await world.ask(browser=each) for each in browsers]
    for n in range(3):
        await world.ask(f"b{n}@example.com", AWAY)
    await world.show("00000000", browser=AWAY)
    refused = await world.show("00000000", browser=AWAY)

    assert ["sent", "sent", "limited"] == [each.status for each in asked]
    assert asked[2].wait_s > 0
    assert "limited" == refused.status
    assert "limited" == (await world.ask("c@example.com", AWAY)).status


async def test_a_stranger_locks_nobody_out(make_world):
    """Codes to an address count by network; only their larger total counts for all together."""
    world = await make_world(codes_per_email_max=2, codes_per_email_total_max=5)
    eve = replace(AWAY, device="eve")
    stranger = [(await world.ask(browser=eve)).status for _ in range(3)]
    await world.sign_in()
    others = [replace(AWAY, address=f"10.1.{n}.1") for n in range(3)]
    bombing = [(await world.ask(browser=each)).status for each in others]

    assert ["sent", "sent", "limited"] == stranger
    assert ["sent", "sent", "limited"] == bombing


async def test_a_device_that_was_here_has_an_allowance_of_its_own(make_world):
    """What it is known by counts for its own device and address alone, and is bounded too."""
    world = await make_world(codes_per_email_max=2, codes_per_email_total_max=2)
    known = (await world.show(await world.code())).known
    mine = replace(HOME, known=known)
    await world.ask(browser=AWAY)
    eve = [replace(AWAY, known=known), replace(AWAY, known="x"), replace(mine, device="eve")]
    strangers = [(await world.ask(browser=each)).status for each in [HOME, *eve]]
    own = [(await world.ask(browser=mine)).status for _ in range(3)]
    elsewhere = [(await world.ask("b@example.com", mine)).status for _ in range(3)]

    assert ["limited"] * 4 == strangers
    assert ["sent", "sent", "limited"] == own
    assert ["sent", "sent", "limited"] == elsewhere


async def test_nothing_tells_whether_there_is_an_account(world):
    """Asking for a code is answered alike for who is there and who is not; a wrong one, too."""
    await world.sign_in("ann@example.com")
    known, unknown = await world.ask("ann@example.com"), await world.ask("eve@example.com")
    tried = [await world.show("12", email) for email in ("ann@example.com", "eve@example.com")]

    assert known == unknown
    assert tried[0] == tried[1]
    assert ["sign_in_code"] * 3 == [each.template for each in world.tray.messages]
    assert "email_malformed" == (await world.ask("nobody")).status


async def test_a_code_works_in_the_browser_that_asked_alone(world):
    """Somebody who is told the code cannot use it; nor do their tries use up the buyer's."""
    code = await world.code()
    stolen = [await world.show(code, browser=AWAY) for _ in range(6)]

    assert {"refused"} == {each.status for each in stolen}
    assert "accepted" == (await world.show(code)).status


async def test_no_token_outlives_a_sign_in(world):
    """A planted token is not gone on with: signing in ends it, whoever's it was."""
    planted = await world.sign_in("eve@example.com")
    token = await world.sign_in("ann@example.com", token=planted)
    made_up = await world.sign_in("bob@example.com", token="x" * 43)

    assert token != planted
    assert None is await world.session(planted)
    assert "ann@example.com" == (await world.session(token)).buyer.email
    assert "x" * 43 != made_up


async def test_a_fresh_proof_keeps_the_session_and_changes_its_token(world):
    """A code shown within a session confirms it: the same one, by another token alone."""
    first = await world.sign_in()
    before = await world.session(first)
    world.clock.advance(3_600)
    second = await world.sign_in(token=first)
    after = await world.session(second)

    assert before.id == after.id
    assert 3_600 == (after.confirmed_at - before.confirmed_at).total_seconds()
    assert None is await world.session(first)


async def test_a_token_in_use_is_replaced_and_a_copy_ends_the_session(world):
    """A page that can hands on a new token; the old one, shown long after, closes everything."""
    first = await world.sign_in()
    world.clock.advance(3_601)
    kept = await world.session(first)
    renewed = await world.session(first, is_renewing=True)
    in_grace = await world.session(first)
    await world.session(renewed.token)
    world.clock.advance(31)
    copied = await world.session(first)

    assert "" == kept.token
    assert renewed.token
    assert renewed.id == in_grace.id
    assert None is copied
    assert None is await world.session(renewed.token)


async def test_sessions_end_by_idling_by_age_and_by_hand(world):
    """An idle session, an ended one and all of a buyer's: their tokens open nothing."""
    idle = await world.sign_in()
    world.clock.advance(30 * 86_400 + 61)
    here, there = await world.sign_in(), await world.sign_in(browser=AWAY)
    other = await world.sign_in("bob@example.com")
    session = await world.session(here)
    [listed] = await world.buyers.list_sessions([session.buyer.id])
    ended = await world.buyers.end_sessions([session.id])
    all_ended = await world.buyers.end_all_sessions([session.buyer.id])

    assert None is await world.session(idle)
    assert 2 == len(listed)
    assert ([True], [2]) == (ended, all_ended)
    assert [None, None] == [await world.session(each) for each in (here, there)]
    assert (await world.session(other)) is not None


async def test_a_deleted_account_leaves_nothing(world):
    """Buyer, sessions and tokens go; the address may begin anew, as somebody else."""
    token = await world.sign_in()
    before = (await world.session(token)).buyer
    gone = await world.buyers.forget_buyers([before.id, before.id])
    async with world.db.reading() as tx:
        left = await tx.fetch(
            "select (select count(*) from buyers.buyer) + (select count(*) from buyers.session)"
            " + (select count(*) from buyers.token) as rows"
        )
    after = (await world.session(await world.sign_in())).buyer

    assert True is gone[0]
    assert None is await world.session(token)
    assert 0 == left[0]["rows"]
    assert before.id != after.id


async def test_no_address_code_or_token_is_kept_in_clear(world):
    """A stolen database holds neither addresses nor anything that opens a session."""
    token = await world.sign_in()
    code = await world.code()
    async with world.db.reading() as tx:
        texts = [
            str([dict(row) for row in await tx.fetch(f"select * from buyers.{table}")])
            for table in ("buyer", "code", "session", "token")
        ]

    for secret in ("ann@example.com", token, code):
        assert not [text for text in texts if secret in text]


async def test_what_is_over_is_forgotten(world):
    """Old codes and sessions go by themselves; what still counts stays."""
    token = await world.sign_in()
    await world.code("bob@example.com")
    world.clock.advance(601)
    fresh = await world.code("cat@example.com")
    await world.service.forget()
    async with world.db.reading() as tx:
        codes = await tx.fetch("select key from buyers.code")

    assert 1 == len(codes)
    assert "accepted" == (await world.show(fresh, "cat@example.com")).status
    assert (await world.session(token)) is not None


async def test_a_language_is_remembered(world):
    """What a buyer chooses is theirs wherever they sign in."""
    token = await world.sign_in()
    buyer = (await world.session(token)).buyer
    nobody = replace(buyer, id=(await world.session(token)).id).id

    assert [True, False] == await world.buyers.choose_languages([(buyer.id, "ja"), (nobody, "ja")])
    assert "ja" == (await world.session(token)).buyer.locale
