"""A merchant's disputes, as a browser uses them, over real services."""

from tests.disputes.rows import add_dispute

from vendrail.api.identity import Role
from vendrail.kernel.ids import new_id, to_serial


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
