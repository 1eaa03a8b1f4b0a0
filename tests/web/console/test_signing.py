"""Signing in to the consoles, as a browser does it."""

import re

import pytest

from vendrail.api.identity import Role

PASSWORD = "a quiet lake at dawn"
SESSION = "vendrail-session"


async def test_an_operator_joins_and_lands_at_the_platform(world):
    """An invited operator chooses a password, must set a second factor up, and is at /operator."""
    browser = world.browser()
    link = await world.invite("ann@rail.example", Role.OPERATOR_ADMIN)
    await browser.go(link)
    assert "ann@rail.example" in browser.text
    await browser.send(link, password=PASSWORD, again=PASSWORD, name="Ann")
    assert "/console/factor" == browser.path
    await browser.go("/operator")
    assert "/console/factor" == browser.path  # Nothing else opens.
    await browser.enrol()
    codes = re.findall(r'<code class="font-mono">(\w{5}-\w{5})</code>', browser.page.text)
    await browser.go("/console")

    assert 10 == len(set(codes))
    assert "/operator" == browser.path
    assert "Administrator" in browser.text
    assert 404 == (await browser.go(link)).status_code


async def test_a_merchants_person_lands_at_their_shop(world):
    """A seller joins without a second factor, sees place and role, and has no operator's pages."""
    browser = await world.join("bo@north.example", Role.SELLER)

    assert "/merchant" == browser.path
    assert "North" in browser.text
    assert "Seller" in browser.text
    assert 404 == (await browser.go("/operator")).status_code


async def test_an_operator_is_no_merchant(world):
    """Who belongs to no merchant finds no merchant's console."""
    browser = await world.join("ann@rail.example", Role.OPERATOR_ADMIN)

    assert 404 == (await browser.go("/merchant")).status_code


async def test_signing_in_again_asks_for_the_code(world):
    """Password, then a code; a used one opens nothing, a recovery code opens once."""
    first = await world.join("ann@rail.example", Role.OPERATOR_ADMIN)
    codes = re.findall(r'<code class="font-mono">([^<]+)</code>', first.page.text)
    browser = world.browser()
    await browser.sign_in("ann@rail.example", onto="/operator?a=1")
    assert "/console/code" == browser.path
    await browser.send("/console/code", code=world.code(first.secret))  # Used at set-up.
    assert 422 == browser.page.status_code
    assert 404 != (await world.browser().go("/console/code")).status_code
    world.clock.advance(30)
    await browser.send("/console/code", code=world.code(first.secret), next="/operator?a=1")
    assert "/operator" == browser.path
    other = world.browser()
    await other.sign_in("ann@rail.example")
    await other.send("/console/code", code=codes[0])
    assert "/operator" == other.path
    third = world.browser()
    await third.sign_in("ann@rail.example")
    await third.send("/console/code", code=codes[0])

    assert "/console/code" == third.path
    assert 422 == third.page.status_code


async def test_wrong_passwords_tell_nothing(world):
    """An unknown address and a wrong password get one answer, and no session."""
    await world.join("bo@north.example", Role.SELLER)
    answers = []
    for email in ("bo@north.example", "nobody@north.example"):
        browser = world.browser()
        await browser.sign_in(email, "another quiet lake")
        answers.append((browser.page.status_code, browser.text.replace(email, "")))
        assert SESSION not in browser.http.cookies

    assert 422 == answers[0][0]
    assert answers[0] == answers[1]


async def test_x18_a_session_is_not_fixed(world):
    """X18: a token from before signing in opens nothing after it; each step gives another."""
    await world.join("bo@north.example", Role.SELLER)
    browser = world.browser()
    browser.http.cookies.set(SESSION, "planted" * 6, domain="localhost.local")
    await browser.sign_in("bo@north.example")
    token = browser.http.cookies[SESSION]
    await browser.sign_in("bo@north.example")  # Signed in already: leads on.
    thief = world.browser()
    thief.http.cookies.set(SESSION, "planted" * 6, domain="localhost.local")
    await thief.go("/merchant")

    assert "/merchant" == browser.path
    assert "planted" not in token
    assert "/console/sign-in" == thief.path


async def test_signing_in_anew_ends_the_session_before(world):
    """A second sign-in in one browser ends the first session: its token opens nothing."""
    browser = await world.join("bo@north.example", Role.SELLER)
    before = browser.http.cookies[SESSION]
    await browser.send(
        "/console/sign-in", email="bo@north.example", password=PASSWORD, next="/merchant"
    )
    thief = world.browser()
    thief.http.cookies.set(SESSION, before, domain="localhost.local")
    await thief.go("/merchant")

    assert "/merchant" == browser.path
    assert before != browser.http.cookies[SESSION]
    assert "/console/sign-in" == thief.path


async def test_the_cookie_is_guarded(world):
    """The session's cookie is HttpOnly, SameSite, without a date, and for the whole site."""
    browser = world.browser()
    await world.join("bo@north.example", Role.SELLER)
    await browser.go("/console/sign-in")
    answer = await browser.send(
        "/console/sign-in", raw=True, email="bo@north.example", password=PASSWORD
    )
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith(SESSION))

    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Max-Age" not in cookie
    assert "no-store" == answer.headers["cache-control"]


async def test_signing_out_ends_the_session(world):
    """After signing out the token opens nothing, wherever it was kept."""
    browser = await world.join("bo@north.example", Role.SELLER)
    token = browser.http.cookies[SESSION]
    await browser.send("/console/sign-out")
    thief = world.browser()
    thief.http.cookies.set(SESSION, token, domain="localhost.local")
    await thief.go("/merchant")

    assert "/console/sign-in" == browser.path
    assert SESSION not in browser.http.cookies
    assert "/console/sign-in" == thief.path


async def test_tokens_are_replaced_on_the_way(world):
    """After a quarter of an hour a page brings another token, and the browser goes on with it."""
    browser = await world.join("bo@north.example", Role.SELLER)
    before = browser.http.cookies[SESSION]
    world.clock.advance(16 * 60)
    await browser.go("/merchant")
    after = browser.http.cookies[SESSION]
    world.clock.advance(60)

    assert before != after
    assert "/merchant" == (await browser.go("/merchant")).url.path


async def test_x13_forms_from_elsewhere_are_refused(world):
    """X13: without the token of this browser, or from another site, no form does anything."""
    browser = await world.join("bo@north.example", Role.SELLER)
    other = world.browser()
    await other.go("/console/sign-in")
    foreign = other.token()
    paths = (
        "/console/sign-in",
        "/console/code",
        "/console/factor",
        "/console/forgotten",
        "/console/sign-out",
        "/console/confirm",
        "/console/account/password",
        "/console/account/sessions",
        "/console/account/codes",
        "/console/place",
        "/console/language",
    )
    for path in paths:
        for token in ("", foreign):
            answer = await browser.http.post(path, data={"form_token": token})
            assert 403 == answer.status_code, path
        own = {"form_token": browser.token()}
        answer = await browser.http.post(path, data=own, headers={"sec-fetch-site": "cross-site"})
        assert 403 == answer.status_code, path

    assert "/merchant" == (await browser.go("/merchant")).url.path


@pytest.mark.parametrize(
    "onto", ["https://evil.example", "//evil.example", "/\\evil", "/lookup", "/merchantx", "/"]
)
async def test_nobody_is_led_elsewhere(world, onto):
    """After signing in only pages of the consoles are gone on to."""
    await world.join("bo@north.example", Role.SELLER)
    browser = world.browser()
    await browser.go("/console/sign-in")
    answer = await browser.send(
        "/console/sign-in", raw=True, email="bo@north.example", password=PASSWORD, next=onto
    )

    assert "/merchant" == answer.headers["location"]


async def test_a_password_is_set_anew_by_mail(world):
    """The answer is the same for everybody; the mailed link sets a password, once."""
    await world.join("bo@north.example", Role.SELLER)
    browser = world.browser()
    texts = []
    for email in ("bo@north.example", "nobody@north.example"):
        await browser.go("/console/forgotten")
        await browser.send("/console/forgotten", email=email)
        texts.append(browser.text.replace(email, ""))
    await world.house.services["identity"].drain()
    link = await world.mailed("bo@north.example")
    await browser.go(link)
    await browser.send(link, password="short", again="short")
    assert 422 == browser.page.status_code
    await browser.send(link, password="the lake at noon is loud", again="something else")
    assert 422 == browser.page.status_code
    await browser.send(link, password="the lake at noon is loud", again="the lake at noon is loud")
    late = world.browser()
    await late.sign_in("bo@north.example")

    assert texts[0] == texts[1]
    assert "/merchant" == browser.path
    assert 422 == late.page.status_code
    assert 404 == (await browser.go(link)).status_code


async def test_x22_limits_hold_across_processes(world):
    """X22: tries at one account through two applications are counted together."""
    await world.join("bo@north.example", Role.SELLER)
    apps = [world.app, world.make_other()]
    statuses = []
    for number in range(14):
        browser = world.browser(app=apps[number % 2], address=f"10.9.{number}.1")
        await browser.sign_in("bo@north.example", "another quiet lake")
        statuses.append(browser.page.status_code)
    right = world.browser(app=apps[0], address="10.8.0.1")
    await right.sign_in("bo@north.example")

    assert [422] * 10 == statuses[:10]
    assert [429] * 4 == statuses[10:]
    assert 429 == right.page.status_code
