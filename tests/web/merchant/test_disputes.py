"""A merchant's disputes, as a browser uses them, over real services."""

import re

from tests.disputes.rows import add_dispute

from vendrail.api.identity import Identity, Role
from vendrail.api.notify import Notify
from vendrail.kernel.ids import new_id, to_serial

PDF = b"%PDF-1.7 that it was shown"


async def test_a_merchant_reads_their_own_disputes_and_no_others(town, platform_url):
    """The list names why, how much and until when; another merchant's dispute is not there."""
    now = town.clock.now()
    mine = await add_dispute(platform_url, now, town.north.merchant)
    lost = await add_dispute(platform_url, now, town.north.merchant, outcome="lost")
    other = await add_dispute(platform_url, now, town.south.merchant)
    browser = await town.join(Role.FINANCE)
    await browser.go("/merchant/disputes")
    page = browser.page.text
    await browser.go("/merchant/disputes?state=lost")
    filtered = browser.page.text
    strange = await browser.http.get(f"/merchant/disputes/{to_serial(other)}")
    missing = await browser.http.get(f"/merchant/disputes/{to_serial(new_id(now))}")

    assert to_serial(mine) in page
    assert to_serial(lost) in page
    assert to_serial(other) not in page
    assert to_serial(mine) not in filtered
    assert to_serial(lost) in filtered
    assert (404, 404) == (strange.status_code, missing.status_code)


async def test_what_cannot_be_sent_is_said_and_kept_in_the_form(town, platform_url):
    """A channel whose provider takes no answers says so; the words stay, the log says undone."""
    dispute = await add_dispute(platform_url, town.clock.now(), town.north.merchant)
    path = f"/merchant/disputes/{to_serial(dispute)}"
    browser = await town.join(Role.OWNER)
    await browser.go(path)
    before = browser.text
    await browser.send(path, text="Shown at 12:00, used at 12:05.")
    after = browser.text
    acts = await town.acts(town.north, "dispute")

    assert "Send to the bank" in before
    assert "This provider takes answers on its own site only." in after
    assert "Shown at 12:00, used at 12:05." in after
    assert ["dispute.answered", "dispute.answered"] == [each.act for each in acts]
    assert {"not_done": "unsupported"} in [each.after for each in acts]
    assert {} in [each.after for each in acts]


async def test_who_may_not_give_money_back_may_not_answer(town, platform_url):
    """Support reads disputes, and has no form."""
    dispute = await add_dispute(platform_url, town.clock.now(), town.north.merchant)
    browser = await town.join(Role.SUPPORT)
    await browser.go(f"/merchant/disputes/{to_serial(dispute)}")

    assert "Disputed" in browser.text
    assert "Send to the bank" not in browser.text


async def add_file(browser, path, content, name="proof.pdf", kind="receipt"):
    """Add a file on a dispute's page."""
    nonce = re.search(r'name="nonce" value="([^"]+)"', browser.page.text)[1]
    browser.page = await browser.http.post(
        f"{path}/evidence?form_token={browser.token()}",
        data={"nonce": nonce, "kind": kind},
        files={"file": (name, content)},
        follow_redirects=True,
    )
    return browser.page


async def test_files_are_added_read_and_taken_away_on_the_page(town, platform_url):
    """A file is listed, opened as it was and harmlessly, taken away; each act is in the log."""
    dispute = await add_dispute(platform_url, town.clock.now(), town.north.merchant)
    path = f"/merchant/disputes/{to_serial(dispute)}"
    browser = await town.join(Role.OWNER)
    await browser.go(path)
    added = await add_file(browser, path, PDF)
    link = re.search(rf'href="({path}/evidence/[^"]+)"', added.text)[1]
    given = await browser.http.get(link)
    stranger = await town.join(Role.OWNER, town.south)
    strange = await stranger.http.get(link)
    refused = await add_file(browser, path, b"plain words", "a.txt")
    carded = await add_file(browser, path, PDF, "4111 1111 1111 1111.pdf", "other")
    await browser.go(path)
    dropped = await browser.send(f"{path}/evidence/drop", file=link.rpartition("/")[2])
    acts = [each.act for each in await town.acts(town.north, "dispute.evidence")]

    assert "proof.pdf" in added.text
    assert (200, PDF, "application/pdf") == (
        given.status_code,
        given.content,
        given.headers["content-type"],
    )
    assert "sandbox" in given.headers["content-security-policy"]
    assert "attachment" in given.headers["content-disposition"]
    assert 404 == strange.status_code
    assert (422, 422) == (refused.status_code, carded.status_code)
    assert "Banks take PDF, PNG and JPEG files" in refused.text
    assert "Take the card number out" in carded.text
    assert "proof.pdf" not in dropped.text
    assert ["dispute.evidence_dropped"] + ["dispute.evidence_kept"] * 3 == sorted(acts)


async def test_support_reads_files_and_adds_none(town, platform_url):
    """Who may not give money back has no form, and is refused without it."""
    dispute = await add_dispute(platform_url, town.clock.now(), town.north.merchant)
    path = f"/merchant/disputes/{to_serial(dispute)}"
    browser = await town.join(Role.SUPPORT)
    await browser.go(path)
    answered = await browser.http.post(
        f"{path}/evidence?form_token={browser.token()}",
        data={"nonce": to_serial(new_id(town.clock.now())), "kind": "other"},
        files={"file": ("a.pdf", PDF)},
    )

    assert "Add the file" not in browser.text
    assert 403 == answered.status_code


async def test_what_waits_is_on_the_overview_and_at_its_order(town, platform_url):
    """The overview counts what waits and until when; the order names amount and fee."""
    await town.north.offer("GAME", keys=2)
    order = await town.sell(town.north, "GAME")
    await add_dispute(platform_url, town.clock.now(), town.north.merchant, order)
    await add_dispute(platform_url, town.clock.now(), town.south.merchant)
    browser = await town.join(Role.OWNER)
    await browser.go("/merchant")
    home = browser.text
    await browser.go(f"/merchant/orders/{to_serial(order)}")

    assert "1 dispute waits for your answer." in home
    assert "The buyer's bank disputes CN¥19.90." in browser.text.replace("&#39;", "'")
    assert "The provider's fee: CN¥15.00" in browser.text.replace("&#39;", "'")


async def test_letters_tell_of_a_dispute_once_and_again_before_its_limit(town, platform_url):
    """The owner is told when it is opened and before the last days, each once, with its link."""
    await town.join(Role.OWNER)
    dispute = await add_dispute(platform_url, town.clock.now(), town.north.merchant)
    house = town.house
    telling = house.services["disputes"].telling(house.api(Notify), house.api(Identity))
    said = []
    for hours in (0, 1, 100, 1):
        town.clock.advance(hours * 3_600)
        await telling.tell()
        letters = await town.world.letters("owner@north.example")
        said.append(len(letters))
    text = letters[-1].get_body(("plain",)).get_content()

    assert [0, 1, 1] == [each - said[0] for each in (said[1], said[2], said[3])]
    assert f"/merchant/disputes/{to_serial(dispute)}" in text
    assert "It listens for 66 more hours." in text


async def test_an_operator_adds_files_and_answers(town, platform_url):
    """The operator has the same page and forms; the log names the merchant."""
    dispute = await add_dispute(platform_url, town.clock.now(), town.north.merchant)
    path = f"/operator/disputes/{to_serial(dispute)}"
    head = await town.world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/disputes")
    listed = head.text
    await head.go(path)
    added = await add_file(head, path, PDF)
    await head.send(path, text="The key was shown at 12:00.")
    acts = await town.acts(town.north, "dispute")

    assert "fraud" in listed or "did not pay this" in listed
    assert "proof.pdf" in added.text
    assert "This provider takes answers on its own site only." in head.text
    assert ["dispute.answered", "dispute.answered", "dispute.evidence_kept"] == sorted(
        each.act for each in acts
    )
