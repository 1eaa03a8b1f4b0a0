"""Forms that came too late lose nothing: the page is filled again, and one more press sends it."""

import re

import pytest
from tests.web.console.conftest import SITE, make_app

from vendrail.api.identity import Role
from vendrail.web.console.refill import fill, without_secrets

PAGE = """<main><details class="x"><summary>More</summary>
<form class="f" action="/shop/1#end" method="post">
<input type="hidden" name="form_token" value="fresh"><input type="hidden" name="row" value="1">
<input name="title" value="Old" required><input type="password" name="secret" value="">
<textarea name="text" rows="3">Old &amp; gone</textarea>
<select name="kind"><option value="a" selected>A</option><option>b</option></select>
<label><input type="checkbox" name="loud" value="yes" checked> Loud</label>
<input type="checkbox" name="soft"><input type="radio" name="way" value="1" checked>
<input type="radio" name="way" value="2"></form></details>
<form action="/shop/2"><input name="title" value="Other"></form></main>"""
TYPED = {
    "row": "1",
    "title": 'New "one" <b>',
    "text": "</textarea> & more\nlines",
    "kind": "b",
    "soft": "on",
    "way": "2",
    "secret": "never",
}


def test_a_form_is_filled_with_what_was_typed_and_nothing_else():
    """Texts, choices and ticks are as they were typed, escaped; tokens and secrets are not."""
    filled = fill(PAGE, "/shop/1", TYPED, "Press <once> more")

    assert 'name="title" required value="New &quot;one&quot; &lt;b&gt;"' in filled
    assert "\n&lt;/textarea&gt; &amp; more\nlines</textarea>" in filled
    assert '<option value="a">A</option><option selected>b</option>' in filled
    assert '<input type="checkbox" name="loud" value="yes"> Loud' in filled
    assert '<input type="checkbox" name="soft" checked>' in filled
    assert '<input type="radio" name="way" value="1">' in filled
    assert '<input type="radio" name="way" value="2" checked>' in filled
    assert 'name="form_token" value="fresh"' in filled
    assert "never" not in filled
    assert '<details class="x" open>' in filled
    assert "Press &lt;once&gt; more</p>" in filled
    assert '<form action="/shop/2"><input name="title" value="Other"></form></main>' in filled


def test_of_forms_alike_the_row_that_was_sent_is_filled():
    """Where each row of a list has the same form, the one with the same hidden fields is meant."""
    row = '<form action="/a"><input type="hidden" name="id" value="{}"><input name="why"></form>'
    page = row.format(1) + row.format(2)
    filled = fill(page, "/a", {"id": "2", "why": "so"}, "!")

    assert row.format(1) in filled
    assert '<input name="why" value="so">' in filled
    assert page == fill(page, "/b", {"why": "so"}, "!")


def test_a_button_outside_of_its_form_names_the_form():
    """What was sent by a button that stands elsewhere on the page is filled in where it belongs."""
    page = (
        '<form id="f" action="/a"><input name="why"></form>'
        '<button form="f" formaction="/b?form_token=x">Go</button>'
    )

    assert '<input name="why" value="so">' in fill(page, "/b", {"why": "so"}, "!")


def test_a_row_that_is_gone_fills_no_other_row():
    """What was typed for one row is told, not put into another's: only its own is pressed again."""
    row = '<form action="/a"><input type="hidden" name="id" value="{}">{}<input name="why"></form>'
    page = "<main>" + row.format(1, '<input type="hidden" name="nonce" value="new">') + "</main>"
    sent = {"id": "2", "why": "so", "nonce": "old"}
    told = fill(page, "/a", sent, "Press again", "It is gone:")

    assert "Press again" not in told
    assert "It is gone:" in told
    assert told.endswith(page.removeprefix("<main>"))
    assert 'name="why" value="so"' in fill(page, "/a", {**sent, "id": "1"}, "Press again")


def test_what_was_typed_into_a_form_that_is_gone_is_told():
    """Where the page has no such form any more, it says so above the words, escaped."""
    told = fill(PAGE, "/elsewhere", {"why": "<so>", "nonce": "1"}, "!", "It is gone:")

    assert told.startswith("<main><div")
    assert "It is gone:" in told
    assert "&lt;so&gt;" in told
    assert "nonce" not in told
    assert told.endswith(PAGE.removeprefix("<main>"))


def test_what_is_secret_is_not_kept():
    """Passwords, and what a page names, are left out; that there was something is told."""
    form = {"form_token": "t", "title": "a", "s_key": "x", "typed_again": "s_key s_more"}

    assert ({"title": "a"}, True) == without_secrets(form)
    assert ({"title": "a"}, True) == without_secrets({"title": "a", "password": "p"})
    assert ({"title": "a"}, False) == without_secrets({"title": "a", "password": ""})


def token(browser, action: str) -> str:
    """Give the token of the page's form that is sent somewhere."""
    form = browser.page.text.split(f'action="{action}', 1)[1]
    return re.search(r'name="form_token" value="([^"]+)"', form)[1]


async def confirm(browser) -> None:
    """Prove once more who is there, by the page that asks."""
    assert "/console/confirm" == browser.path
    onto = re.search(r'name="next" value="([^"]*)"', browser.page.text)[1].replace("&amp;", "&")
    browser.world.clock.advance(30)
    await browser.send("/console/confirm", next=onto, code=browser.world.code(browser.secret))


@pytest.fixture
async def head(world):
    """An administrator of the platform."""
    return await world.join("op@rail.example", Role.OPERATOR_ADMIN)


async def test_fees_whose_proof_had_grown_old_are_there_again(world, head):
    """A draft of rules and its reason outlive the proof; pressed once more, it is put up."""
    edit, rule = "/operator/fees/edit", {"percent": "3.10", "currency": "CNY", "methods": "alipay"}

    def rules() -> str:
        return re.search(r'name="rules" value="([^"]*)"', head.page.text)[1].replace("&#34;", '"')

    await head.go(edit)
    await head.send(edit, rules=rules(), do="put", title="cards", bearer="platform", **rule)
    assert "cards" in head.text
    draft = rules()
    world.clock.advance(31 * 60)
    await head.send("/operator/fees", rules=draft, reason="Cards cost us more")
    await confirm(head)

    assert edit == head.path
    assert "Nothing was sent yet" in head.text
    assert draft == rules()
    assert ">\nCards cost us more</textarea>" in head.page.text
    await head.send("/operator/fees", rules=rules(), reason="Cards cost us more")
    assert "/operator/fees" == head.path
    assert "fee_schedule.changed.proposed" in await world.acts()


async def test_another_browser_does_not_find_what_was_typed(world, head):
    """The address of a kept form says nothing in another browser, nor after an hour."""
    await head.go("/operator/payout-terms")
    world.clock.advance(31 * 60)
    await head.send("/operator/payout-terms", currency="CNY", least="77.70", reason="So")
    await confirm(head)
    address = str(head.page.url)
    mine = "77.70" in head.page.text
    other = await world.join("o2@rail.example", Role.OPERATOR_ADMIN)
    await other.go(address)
    theirs = "77.70" in other.page.text
    world.clock.advance(59 * 60)
    await head.go("/operator")
    world.clock.advance(2 * 60)
    await head.go(address)

    assert (True, False, False) == (mine, theirs, "77.70" in head.page.text)


async def test_a_page_of_another_sitting_is_filled_again_and_anothers_is_not(world, head):
    """With a token of before, a form of our own page comes back filled; others' forms never do."""
    path, typed = "/operator/payout-terms", {"currency": "CNY", "least": "77.70", "reason": "So"}
    await head.go(path)
    stale = {**typed, "form_token": "b2xkIG9sZCBvbGQ" * 2}
    mine = {"referer": str(head.page.url), "sec-fetch-site": "same-origin"}
    theirs = {**mine, "sec-fetch-site": "cross-site"}
    refused = await head.http.post(path, data=stale, headers=theirs)
    head.page = await head.http.post(path, data=stale, headers=mine, follow_redirects=True)

    assert 403 == refused.status_code
    assert path == head.path
    assert "Nothing was sent yet" in head.text
    assert 'value="77.70"' in head.page.text


async def test_strangers_do_not_fill_the_house_with_forms(world):
    """Without a session, a network keeps so many forms; beyond them it only signs in."""
    asked = []

    async def one(key: str) -> float:
        asked.append(key)
        return 0.0 if len(asked) <= 1 else 30.0

    world.app = make_app(world.house, world.house.platform.home, act_limit=one)
    stranger = world.browser()
    await stranger.go("/console/sign-in")
    led = []
    for _ in range(2):
        sent = await stranger.send("/operator/payout-terms", raw=True, least="1")
        led.append("kept" in sent.headers["location"])

    assert [True, False] == led
    assert all(each.startswith("kept:") for each in asked)


async def test_nobody_who_is_signed_in_fills_the_house_with_forms(world):
    """Whoever sends late forms again and again is led to the proof, and no more is kept."""
    asked = []

    async def one(key: str) -> float:
        asked.extend([key] if key.startswith("kept:") else [])
        return 0.0 if len(asked) <= 1 else 30.0

    world.app = make_app(world.house, world.house.platform.home, act_limit=one)
    head = await world.join("op@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/payout-terms")
    world.clock.advance(31 * 60)
    led = []
    for _ in range(2):
        sent = await head.send("/operator/payout-terms", raw=True, currency="CNY", least="77.70")
        led.append("kept" in sent.headers["location"])

    assert [True, False] == led
    assert 1 == len(set(asked))


async def test_nobody_plants_a_form_by_a_cookie_that_they_chose(world, head):
    """A stranger whose device cookie was put into a browser too fills no page of whoever it is."""
    path = "/operator/payout-terms"
    stranger = world.browser(address="10.9.9.9")
    for each in (head, stranger):
        each.http.cookies.set("vr_device", "chosen-by-the-stranger", domain="localhost.local")
    await stranger.go("/console/sign-in")
    fields = {"form_token": stranger.token(), "currency": "CNY", "least": "77.70"}
    came = {"referer": f"{SITE}{path}"}
    sent = await stranger.http.post(path, data=fields, headers=came)
    [kept] = re.findall("kept%3D([0-9A-Z]+)", sent.headers["location"])
    await head.go(f"{path}?kept={kept}")

    assert "77.70" not in head.page.text


async def test_a_form_of_a_browser_without_a_mark_is_there_again(world, head):
    """Where the browser has forgotten the mark that its forms bear, it is given another one."""
    path = "/operator/payout-terms"
    await head.go(path)
    head.http.cookies.delete("vendrail-mark")
    mine = {"referer": str(head.page.url), "sec-fetch-site": "same-origin"}
    fields = {"currency": "CNY", "least": "77.70", "reason": "So", "form_token": "old"}
    head.page = await head.http.post(path, data=fields, headers=mine, follow_redirects=True)

    assert 'value="77.70"' in head.page.text
