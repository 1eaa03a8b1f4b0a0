"""The language of a person: chosen once, kept in their account, spoken by letters and browsers."""

from vendrail.api.identity import Role

EMAIL = "bo@north.example"


async def language_of(world) -> str:
    """Give the language that the person is written to in."""
    [person] = await world.identity.find_people([EMAIL])
    return person.locale


async def test_a_choice_is_kept_in_the_account(world):
    """Chosen in the console, a language is that of the page one was on, and of the account."""
    browser = await world.join(EMAIL, Role.SELLER)
    await browser.go("/merchant/orders")
    assert "en" == await language_of(world)
    await browser.send("/console/language", language="ko")

    assert ("/merchant/orders", True) == (browser.path, '<html lang="ko"' in browser.page.text)
    assert "ko" == await language_of(world)


async def test_a_new_browser_speaks_the_language_of_the_account(world):
    """Where nothing was chosen, signing in brings the account's language along."""
    first = await world.join(EMAIL, Role.SELLER)
    await first.go("/merchant")
    await first.send("/console/language", language="ja")
    other = world.browser()
    await other.sign_in(EMAIL)

    assert '<html lang="ja"' in other.page.text
    assert '<html lang="ja"' in (await other.go("/")).text


async def test_what_a_browser_has_chosen_is_told_to_the_account(world):
    """A language chosen before signing in stays, and letters follow it."""
    await world.join(EMAIL, Role.SELLER)
    other = world.browser()
    await other.go("/language/es?next=/console/sign-in")
    await other.sign_in(EMAIL)

    assert '<html lang="es"' in other.page.text
    assert "es" == await language_of(world)


async def test_a_reset_is_written_in_the_language_of_the_page(world):
    """Who asks for a link on a Japanese page gets a Japanese letter."""
    await world.join(EMAIL, Role.SELLER)
    browser = world.browser()
    await browser.go("/language/ja?next=/console/forgotten")
    await browser.send("/console/forgotten", email=EMAIL)
    await world.house.services["identity"].drain()
    letters = [each["Subject"] for each in await world.letters(EMAIL)]

    assert any("パスワード" in each for each in letters)


async def test_only_a_language_there_is_can_be_chosen(world):
    """Anything else is refused, and changes nothing."""
    browser = await world.join(EMAIL, Role.SELLER)
    await browser.go("/merchant")
    answer = await browser.send("/console/language", language="tlh")

    assert 400 == answer.status_code
    assert "en" == await language_of(world)
