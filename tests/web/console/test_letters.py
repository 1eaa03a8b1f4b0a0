"""Letters to people of the consoles: kinds they do without, and their quiet hours."""

from vendrail.api.identity import Role
from vendrail.api.notify import LetterPreferences, Notify

PAGE = "/console/account/letters"
EMAIL = "bo@north.example"


async def test_a_person_chooses_letters_and_quiet_hours(world):
    """The form shows what reaches the person, keeps what it does not show, and says nonsense."""
    notify = world.house.api(Notify)
    browser = await world.join(EMAIL, Role.SELLER)
    await notify.put_preferences([LetterPreferences(EMAIL, ["complaint_buyer"])])
    await browser.go("/console/account")
    linked = f'href="{PAGE}"' in browser.page.text
    await browser.go(PAGE)
    shown = browser.page.text
    of_agents = {"kind_agency": "yes", "kind_supplied_refunded": "yes"}
    hours = {"is_quiet": "yes", "from": "23:00", "until": "06:30", "zone": "Asia/Shanghai"}
    kinds = {"kind_complaint_staff": "yes", "kind_message_unread": "yes"} | of_agents
    await browser.send(PAGE, **kinds, **hours)
    saved = browser.text
    [chosen] = await notify.read_preferences([EMAIL])
    await browser.send(PAGE, kind_complaint_staff="yes", **(hours | {"from": "25:00"}))
    wrong = browser.page.status_code
    await browser.send(PAGE, kind_stock_low="yes", kind_complaint_staff="yes", zone="UTC")
    [after] = await notify.read_preferences([EMAIL])

    assert linked
    assert 'name="kind_stock_low"' in shown
    assert 'name="kind_complaint_buyer"' not in shown
    assert "Saved." in saved
    assert {"complaint_buyer", "stock_low"} == set(chosen.unwanted)
    assert (23 * 60, 6 * 60 + 30, "Asia/Shanghai") == (
        chosen.quiet_from, chosen.quiet_until, chosen.zone,
    )  # fmt: skip
    assert 422 == wrong
    unwanted = {"complaint_buyer", "message_unread", "agency", "supplied_refunded"}
    assert (unwanted, None) == (set(after.unwanted), after.quiet_from)


async def test_operators_are_offered_what_reaches_them(world):
    """An operator is not asked about a merchant's stock."""
    browser = await world.join("op@vendrail.example", Role.OPERATOR_ADMIN)
    await browser.go(PAGE)

    assert 'name="kind_complaint_staff"' in browser.page.text
    assert 'name="kind_stock_low"' not in browser.page.text
