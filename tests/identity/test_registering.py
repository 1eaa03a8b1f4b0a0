"""Merchants come by themselves: a proven address, accepted terms, and a second factor first."""

import asyncio

import pytest
from tests.identity.conftest import CLI, HOME, PASSWORD

from vendrail.api.identity import (
    ApplicationQuery,
    ApplicationState,
    ApplicationVerdict,
    Origin,
    PeopleQuery,
    RegistrationChange,
    RegistrationEntry,
    RegistrationMode,
    RegistrationRequest,
    SessionStage,
)

BROWSER = Origin("10.0.0.1", "Firefox", "device-1")
EMAIL = "ann@north.example"


@pytest.fixture
def door(world):
    """Short words for who knocks."""

    class Door:
        """What is done at the door."""

        async def turn(self, mode, terms="Be honest."):
            """Write the policy."""
            change = RegistrationChange(RegistrationMode(mode), terms, CLI, "we grow")
            return (await world.identity.change_registration([change]))[0]

        async def ask(self, email=EMAIL, name="North Keys", version=1, origin=BROWSER):
            """Ask for a code; give how it ended."""
            asked = RegistrationRequest(email, name, version, "ja", origin)
            return (await world.identity.request_registrations([asked]))[0]

        def code(self):
            """Give the code of the last letter."""
            return world.tray.messages[-1].values["code"]

        async def enter(self, code, email=EMAIL, password=PASSWORD, origin=BROWSER):
            """Enter a code."""
            entry = RegistrationEntry(email, code, "Ann", password, "ja", origin)
            return (await world.identity.register_merchants([entry]))[0]

    return Door()


async def test_nobody_comes_by_themselves_until_the_door_is_opened(world, door):
    """Without a policy merchants are invited; a door without terms does not open."""
    statuses = [await door.ask(version=0), await door.turn("open", " "), await door.turn("open")]
    statuses += [await door.turn("open"), await door.ask()]

    assert ["closed", "terms_missing", "changed", "unchanged", "sent"] == statuses
    assert ["registration.changed"] == await world.acts(act="registration.")


async def test_a_merchant_registers_and_sets_a_factor_up_first(world, door):
    """The code opens one merchant with its owner; nothing else is open before a second factor."""
    await door.turn("open")
    await door.ask()
    [letter] = world.tray.messages
    result = await door.enter(f" {door.code()[:4]} {door.code()[4:]} ")
    session = await world.session(result.token)
    [place] = session.person.memberships
    stage = session.stage
    _, enrolled = await world.enrol(result.token)
    after = await world.session(enrolled.token)
    again = await world.sign_in(EMAIL)

    assert ("registration_code", "ja", EMAIL) == (letter.template, letter.locale, letter.recipient)
    assert "registered" == result.status
    assert ("owner", "North Keys") == (place.role, place.merchant_name)
    assert (SessionStage.ENROLMENT, SessionStage.OPEN) == (stage, after.stage)
    assert SessionStage.FACTOR == (await world.session(again.token)).stage
    assert ["merchant.registered"] == await world.acts(place.merchant, act="merchant.")
    assert [[EMAIL]] == [
        [each.email for each in found]
        for found in await world.identity.list_people([PeopleQuery(place.merchant)])
    ]


async def test_without_the_factor_signing_in_again_leads_nowhere_else(world, door):
    """Whoever left before setting a factor up is asked for it whenever they come."""
    await door.turn("open")
    await door.ask()
    await door.enter(door.code())
    again = await world.sign_in(EMAIL)

    assert SessionStage.ENROLMENT == (await world.session(again.token)).stage


async def test_a_code_is_good_once_for_its_browser_and_not_for_long(world, door):
    """Used, too old, of another browser, or guessed at: it opens nothing."""
    await door.turn("open")
    await door.ask()
    code = door.code()
    elsewhere = await door.enter(code, origin=Origin("10.0.0.1", "Firefox", "device-2"))
    short = await door.enter(code, password="short")
    good = await door.enter(code)
    used = await door.enter(code)
    await door.ask("bea@north.example")
    world.clock.advance(16 * 60)
    late = await door.enter(door.code(), "bea@north.example")

    assert ["refused", "too_short", "registered", "refused", "refused"] == [
        each.status for each in (elsewhere, short, good, used, late)
    ]


async def test_guesses_use_a_code_up(world, door):
    """After five wrong codes the right one opens nothing either."""
    await door.turn("open")
    await door.ask()
    code = door.code()
    wrong = f"{(int(code) + 1) % 10**8:08}"
    guesses = [(await door.enter(wrong)).status for _ in range(5)]

    assert ["refused"] * 5 == guesses
    assert "refused" == (await door.enter(code)).status


async def test_a_known_address_is_not_told_at_the_door(world, door):
    """Both are answered alike; its owner gets a letter without a code, and no code opens it."""
    await world.join(EMAIL)
    await door.turn("open")
    known = await door.ask()
    letter = world.tray.messages[-1]
    stranger = await door.ask("bea@north.example")

    assert known == stranger == "sent"
    assert ("registration_known", EMAIL) == (letter.template, letter.recipient)
    assert "code" not in letter.values
    assert "refused" == (await door.enter("00000000")).status


async def test_of_two_entries_at_once_one_opens_a_merchant(world, door):
    """A form that is sent twice makes one merchant."""
    await door.turn("open")
    await door.ask()
    code = door.code()
    both = await asyncio.gather(door.enter(code), door.enter(code))

    assert ["refused", "registered"] == sorted(each.status for each in both)
    assert 1 == len(await world.acts(None, act="merchant.registered"))


async def test_changed_terms_must_be_read_anew(world, door):
    """Who accepted the version before is shown the one that counts by now."""
    await door.turn("open")
    await door.turn("open", "Be very honest.")
    policy = await world.identity.read_registration_policy()

    assert (2, "Be very honest.") == (policy.terms_version, policy.terms)
    assert "terms_differ" == await door.ask(version=1)
    assert "sent" == await door.ask(version=2)


async def test_whoever_applies_is_invited_or_refused_once(world, door):
    """With approval a code makes an application; a yes mails the link, a no its reason."""
    await door.turn("approval")
    for email in (EMAIL, "bea@north.example"):
        world.clock.advance(1)
        await door.ask(email, name=f"Shop of {email[:3]}")
        assert "applied" == (await door.enter(door.code(), email, password="")).status
    waiting = ApplicationQuery(ApplicationState.WAITING)
    [[first, second]] = await world.identity.list_applications([waiting])
    yes = ApplicationVerdict(first.id, True, "", CLI, first.merchant_name, 1)
    no = ApplicationVerdict(second.id, False, "no such trade", CLI, second.merchant_name, 1)
    statuses = await world.identity.decide_applications([yes, yes, no, no])
    invitation, refusal = world.tray.messages[-2:]
    token = invitation.values["link"].rsplit("/", 1)[1]
    session = await world.session((await world.use(token)).token)

    assert ["changed", "unchanged", "changed", "unchanged"] == statuses
    async with world.db.reading() as tx:
        accepted = await tx.fetch("select merchant, terms_version from identity.acceptance")

    assert SessionStage.ENROLMENT == session.stage
    assert [(session.person.memberships[0].merchant, 1)] == [tuple(each) for each in accepted]
    assert "Shop of ann" == session.person.memberships[0].merchant_name
    assert ("application_refused", "no such trade") == (
        refusal.template,
        refusal.values["reason"],
    )
    assert [[]] == await world.identity.list_applications([waiting])


async def test_what_was_looked_at_is_decided_and_nothing_else(world, door):
    """An application that says something else by now waits on: nobody has looked at it."""
    await door.turn("approval")
    await door.ask(name="North Keys")
    await door.enter(door.code(), password="")
    waiting = ApplicationQuery(ApplicationState.WAITING)
    [[seen]] = await world.identity.list_applications([waiting])
    await door.ask(name="Bank of the World")
    await door.enter(door.code(), password="")
    yes = ApplicationVerdict(seen.id, True, "", CLI, seen.merchant_name, seen.terms_version)
    statuses = await world.identity.decide_applications([yes])
    [[still]] = await world.identity.list_applications([waiting])

    assert ["different"] == statuses
    assert (seen.id, "Bank of the World") == (still.id, still.merchant_name)


async def test_a_wrong_code_costs_no_hash(make_service):
    """Guesses at the door are looked at before a password is hashed."""
    service = await make_service()
    change = RegistrationChange(RegistrationMode.OPEN, "Be honest.", CLI)
    await service.change_registration([change])
    await service.request_registrations([RegistrationRequest(EMAIL, "North", 1, "en", BROWSER)])
    entry = RegistrationEntry(EMAIL, "no code", "Ann", PASSWORD, "en", BROWSER)
    await service.close()  # From now on it hashes nothing more.
    [result] = await service.register_merchants([entry])

    assert "refused" == result.status


async def test_x22_codes_are_not_asked_for_without_end(make_service, clock):
    """One network, and one address, get so many codes in a while."""
    service = await make_service(tries_per_account_max=3)
    change = RegistrationChange(RegistrationMode.OPEN, "Be honest.", CLI)
    await service.change_registration([change])
    asked = RegistrationRequest(EMAIL, "North", 1, "en", HOME)
    statuses = [(await service.request_registrations([asked]))[0] for _ in range(4)]

    assert ["sent", "sent", "sent", "limited"] == statuses


async def test_old_codes_are_forgotten(make_service, clock):
    """A day later nothing is kept of who asked and did not come."""
    service = await make_service()
    change = RegistrationChange(RegistrationMode.OPEN, "Be honest.", CLI)
    await service.change_registration([change])
    await service.request_registrations([RegistrationRequest(EMAIL, "North", 1, "en", BROWSER)])
    clock.advance(25 * 3_600)
    await service.forget_registrations()
    async with service.test_db.reading() as tx:
        left = await tx.fetch_value("select count(*) from identity.registration")

    assert 0 == left
