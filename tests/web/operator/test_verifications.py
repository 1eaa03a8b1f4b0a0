"""From saying who one is to being paid out: both consoles, forms and files, two people."""

import re

from tests.compliance.papers import FIELDS, PICTURE
from tests.web.console.conftest import Browser

from vendrail.api.compliance import CHECKS, PERSON, Compliance, DossierQuery
from vendrail.api.identity import Role
from vendrail.kernel.ids import new_id, to_serial

TERMS = "/operator/verifications/terms"


async def _ask(risk: Browser, **bounds):
    """Ask merchants who they are."""
    await risk.go(TERMS)
    return await risk.send(
        TERMS, after=field(risk, "after"), is_asked="yes", reason="the law", **bounds
    )


def field(browser: Browser, name: str, between: str = " ") -> str:
    """Give a field of the page; a hidden one has its value beside its name."""
    return re.search(rf'name="{name}"{between}value="([^"]*)"', browser.page.text)[1]


async def _upload(browser: Browser, dossier: str, content=PICTURE, kind="identity", **fields: str):
    """Bring a document, as the form does."""
    path = f"/merchant/verification/documents/{dossier}?form_token={browser.token()}"
    browser.page = await browser.http.post(
        path,
        data={"nonce": field(browser, "nonce"), "kind": kind, "dossier": dossier, **fields},
        files={"document": ("Li Na passport.png", content, "image/png")},
        headers={"referer": str(browser.page.url)},
        follow_redirects=True,
    )


async def _send_in(owner: Browser, dossier: str, **fields: str) -> None:
    """Press the button that hands in; what is written in the fields goes along."""
    path = f"/merchant/verification/submit?form_token={owner.token()}"
    await owner.send(path, dossier=dossier, version=field(owner, "version"), **fields)


async def _hand_in(owner: Browser) -> str:
    """Write, show and hand in a whole dossier; give its serial."""
    await owner.go("/merchant/verification")
    await owner.send(
        "/merchant/verification", nonce=field(owner, "nonce"), tier="person", country="CN"
    )
    dossier = field(owner, "dossier")
    await owner.send(
        f"/merchant/verification/fields?form_token={owner.token()}",
        dossier=dossier,
        **FIELDS[PERSON],
    )
    await _upload(owner, dossier)
    await _send_in(owner, dossier)
    return dossier


async def test_a_merchant_says_who_they_are_and_two_people_say_yes(world):
    """Limits and payouts follow the tier; the log tells every act and nothing personal."""
    merchant = world.market.merchant
    risk = await world.join("ri@rail.example", Role.OPERATOR_RISK)
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    owner = await world.join("ow@north.example", Role.OWNER, merchant=merchant)
    await _ask(risk, tier_0_order="5", tier_1_order="90")
    await owner.go("/merchant")
    before = owner.text
    await owner.go("/merchant/payouts")
    held = owner.text
    dossier = await _hand_in(owner)
    handed = owner.text
    path = f"/operator/verifications/{dossier}"
    await risk.go("/operator/verifications")
    assert path in risk.page.text
    await risk.go(path)
    seen = risk.text
    picture = re.search(rf'src="({path}/documents/\w+)"', risk.page.text)[1]
    shown = await risk.http.get(picture)
    version = field(risk, "version")
    await risk.send(path, decision="accept", version=version, reason="fine")
    unchecked, kept = risk.page.status_code, risk.page.text
    ticks = {f"check-{each}": "yes" for each in CHECKS[PERSON]}
    await risk.send(path, decision="accept", version=version, reason="fine", **ticks)
    put_up = risk.text
    await head.go("/operator/approvals")
    await head.send(re.search(r"/operator/approvals/\w{26}", head.page.text)[0], decision="approve")
    await owner.go("/merchant")
    after = owner.text
    [standing] = await world.house.api(Compliance).read_standings([merchant])
    acts = await world.acts()

    assert "CN¥5.00 an order" in before
    assert "Before your first payout" in before
    assert "Payouts begin when the platform knows who you are" in held
    assert "A person looks at it" in handed
    assert "11010119900307109X" in seen
    assert (PICTURE, "no-store") == (shown.content, shown.headers["cache-control"])
    assert "sandbox" in shown.headers["content-security-policy"]
    assert (422, 1) == (unchecked, standing.tier)
    assert 1 == kept.count("fine")  # What was typed is not lost, and not in the form beside it.
    assert "A second person must approve it" in put_up
    assert "CN¥90.00 an order" in after
    assert {
        "tiers.changed",
        "dossier.begun",
        "dossier.written",
        "dossier.document_added",
        "dossier.submitted",
        "dossier.opened",
        "dossier.document_opened",
        "dossier.accepted.proposed",
    } <= set(acts)


async def test_what_is_personal_wants_a_fresh_proof(world):
    """Half an hour after the last proof, dossiers and documents ask for another first."""
    risk = await world.join("ri@rail.example", Role.OPERATOR_RISK)
    owner = await world.join("ow@north.example", Role.OWNER, merchant=world.market.merchant)
    await _ask(risk)
    dossier = await _hand_in(owner)
    path = f"/operator/verifications/{dossier}"
    await risk.go(path)
    picture = re.search(rf'src="({path}/documents/\w+)"', risk.page.text)[1]
    own = re.search(r'src="(/merchant/verification/documents/[^"]+)"', owner.page.text)[1]
    before = len(await world.acts(act="dossier."))
    world.clock.advance(31 * 60)

    for browser, pages in ((risk, (path, picture)), (owner, ("/merchant/verification", own))):
        for page in pages:
            answer = await browser.http.get(page)
            assert 303 == answer.status_code
            assert f"/console/confirm?next={page}" == answer.headers["location"]
    assert before == len(await world.acts(act="dossier."))


async def test_more_is_asked_and_the_merchant_reads_why(world):
    """What was wrong stands above the form, which is theirs again; one person is enough."""
    risk = await world.join("ri@rail.example", Role.OPERATOR_RISK)
    owner = await world.join("ow@north.example", Role.OWNER, merchant=world.market.merchant)
    await _ask(risk)
    dossier = await _hand_in(owner)
    path = f"/operator/verifications/{dossier}"
    await risk.go(path)
    version = field(risk, "version")
    await risk.send(path, decision="ask_more", version=version, reason="Too dark to read.")
    no_reason = risk.page.status_code
    await risk.send(
        path,
        decision="ask_more",
        version=version,
        reason="Too dark to read.",
        **{"reason-unreadable": "yes"},
    )
    await owner.go("/merchant/verification")
    told = owner.text
    await risk.go(path)
    await risk.send(path, decision="refuse", version=version, reason="x", **{"reason-other": "y"})

    assert 422 == no_reason
    assert "A document cannot be read Too dark to read." in told
    assert "Hand it in" in told
    assert 422 == risk.page.status_code  # The page was of the dossier before.


async def test_wrong_fields_files_and_cards_are_named(world):
    """Nothing is lost: what was typed stands there again, except a card's number."""
    owner = await world.join("ow@north.example", Role.OWNER, merchant=world.market.merchant)
    await owner.go("/merchant/verification")
    await owner.send("/merchant/verification", nonce=field(owner, "nonce"), tier="person")
    no_country = owner.text
    await owner.send(
        "/merchant/verification", nonce=field(owner, "nonce"), tier="person", country="CN"
    )
    dossier = field(owner, "dossier")
    fields = f"/merchant/verification/fields?form_token={owner.token()}"
    await owner.send(fields, dossier=dossier, full_name="4242 4242 4242 4242", phone="+86139")
    card, beside = owner.text, field(owner, "phone", "[^>]*")
    # A number of Gansu that a card's would look like.
    await owner.send(fields, dossier=dossier, full_name="Li", person_number="620102199003070021")
    await _send_in(owner, dossier)
    wrong = owner.text
    await _upload(owner, dossier, b"MZ\x90\x00 program")
    refused = owner.text
    await _upload(owner, dossier)
    document = re.search(rf"/documents/{dossier}/(\w+)/remove", owner.page.text)[1]
    remove = f"/merchant/verification/documents/{dossier}/{document}/remove"
    remove = f"{remove}?form_token={owner.token()}"
    await owner.send(remove, full_name="4242 4242 4242 4242")
    kept = owner.text
    await owner.send(remove, full_name="Li Na")

    assert "Choose your country." in no_country
    assert "Take the card number out" in card
    assert "+86139" == beside
    assert "Take the card number out" in kept
    assert "None yet." not in kept
    assert "Li Na" == field(owner, "full_name", "[^>]*")
    assert "Something is missing or wrong" in wrong
    assert "Only pictures (PNG, JPEG, WebP) and PDF" in refused
    assert "None yet." in owner.text


async def test_dossiers_are_for_owners_and_for_who_says_who_may_sell(world):
    """Neither staff nor operators without that permission see a name or a picture."""
    merchant = world.market.merchant
    owner = await world.join("ow@north.example", Role.OWNER, merchant=merchant)
    dossier = await _hand_in(owner)
    [[head]] = await world.house.api(Compliance).list_dossiers([DossierQuery(merchant)])
    path = f"/operator/verifications/{dossier}"
    document = to_serial(new_id(world.clock.now()))
    statuses = []
    for role in (Role.SELLER, Role.FINANCE, Role.SUPPORT):
        staff = await world.join(f"{role}@north.example", role, merchant=merchant)
        statuses.append((await staff.go("/merchant/verification")).status_code)
    for role in (Role.OPERATOR_FINANCE, Role.OPERATOR_SUPPORT):
        operator = await world.join(f"{role}@rail.example", role)
        pages = (path, f"{path}/documents/{document}", "/operator/verifications", TERMS)
        statuses += [(await operator.go(page)).status_code for page in pages]

    assert dossier == to_serial(head.id)
    assert {403} == set(statuses)


async def test_what_lets_merchants_sell_more_waits_for_a_second_person(world):
    """Asking and narrowing is one person's; a wider bound, or asking nobody, is two people's."""
    compliance = world.house.api(Compliance)
    risk = await world.join("ri@rail.example", Role.OPERATOR_RISK)
    await _ask(risk, tier_0_order="5", tier_0_month="x")
    malformed = risk.page.status_code
    await _ask(risk, tier_0_order="5")
    [first] = await compliance.list_terms(1)
    for wider in ({"tier_0_order": "6"}, {"tier_0_order": ""}, {"is_asked": "no"}):
        await risk.go(TERMS)
        await risk.send(
            TERMS,
            **{"after": "1", "is_asked": "yes", "tier_0_order": "5", "reason": "trust"} | wider,
        )
        assert "A second person must approve it" in risk.text, wider
    [still] = await compliance.list_terms(1)
    await _ask(risk, tier_0_order="4")
    [narrower] = await compliance.list_terms(1)

    assert (422, 1, 1, 2) == (malformed, first.version, still.version, narrower.version)


async def test_fields_go_along_with_every_button(world):
    """What was typed and not saved is kept by adding a document, and handed in by handing in."""
    owner = await world.join("ow@north.example", Role.OWNER, merchant=world.market.merchant)
    await owner.go("/merchant/verification")
    begun = {"nonce": field(owner, "nonce"), "tier": "person", "country": "CN"}
    await owner.send("/merchant/verification", **begun)
    dossier = field(owner, "dossier")
    written = dict(FIELDS[PERSON])
    phone = written.pop("phone")
    await _upload(owner, dossier, **written)
    after_document = owner.page.text
    await _send_in(owner, dossier, phone=phone)

    assert f'value="{written["full_name"]}"' in after_document
    assert "A person looks at it" in owner.text
    assert phone in owner.text


async def test_a_dossier_that_changed_meanwhile_keeps_what_was_typed(world):
    """Handing in an older page hands in nothing; what was typed there is in the fields again."""
    owner = await world.join("ow@north.example", Role.OWNER, merchant=world.market.merchant)
    await owner.go("/merchant/verification")
    begun = {"nonce": field(owner, "nonce"), "tier": "person", "country": "CN"}
    await owner.send("/merchant/verification", **begun)
    dossier = field(owner, "dossier")
    path = f"/merchant/verification/submit?form_token={owner.token()}"
    await owner.send(path, dossier=dossier, version="77", full_name="Li Na")

    assert "It has changed meanwhile." in owner.text
    assert 'value="Li Na"' in owner.page.text
