"""Dossiers: what merchants say and show, what people make of it, and what tiers may do by that."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from tests.compliance.conftest import Office
from tests.compliance.papers import FIELDS, PICTURE
from tests.orders.conftest import open_market
from tests.web.console.conftest import CLI

from vendrail.api.compliance import (
    COMPANY,
    PERSON,
    DocumentQuery,
    DossierDecision,
    DossierQuery,
    RemoveDocument,
    SaveDossier,
    SubmitDossier,
)
from vendrail.api.identity import Identity, Invitation, Role
from vendrail.api.notify import Notify
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.ids import new_id
from vendrail.kernel.vault import Vault


async def test_a_dossier_is_handed_in_whole_or_not_at_all(office):
    """What is missing or wrong is named, field by field; handed in, it stays as it is."""
    id = office.id()
    wrong = {"full_name": "Li Na", "birth_date": "2015-01-01", "phone": "12"}
    new = SaveDossier(id, office.market.merchant, PERSON, "CN", wrong)
    [saved] = await office.compliance.save_dossiers([new])
    first = await office.submit(id)
    await office.compliance.save_dossiers(
        [SaveDossier(id, office.market.merchant, PERSON, "CN", FIELDS[PERSON])]
    )
    second = await office.submit(id)
    await office.add(id)
    stale = SubmitDossier(id, office.market.merchant, 1)
    [third] = await office.compliance.submit_dossiers([stale])
    fourth = await office.submit(id)
    after = await office.compliance.save_dossiers([new])

    assert ("saved", "fields_wrong", "document_missing") == (saved, first.status, second.status)
    assert {
        "birth_date": "too_young",
        "person_number": "missing",
        "address": "missing",
        "phone": "malformed",
    } == first.problems
    assert ["identity"] == second.missing
    assert ("changed_since", "submitted") == (third.status, fourth.status)
    assert (["not_their_turn"], ["not_their_turn"]) == (after, await office.add(id))


async def test_what_is_personal_is_nowhere_in_the_clear(office, platform_url):
    """Neither names and numbers nor documents can be read in any table."""
    dossier = await office.accept()
    connection = await asyncpg.connect(platform_url)
    try:
        tables = await connection.fetch(
            "select table_schema || '.' || quote_ident(table_name) from"
            " information_schema.tables where table_schema in ('compliance', 'identity', 'notify')"
        )
        texts = []
        for (table,) in tables:
            rows = await connection.fetch(f"select t::text from {table} t")
            texts += [row[0] for row in rows]
    finally:
        await connection.close()
    whole = "\n".join(texts)

    assert str(dossier) in whole
    for secret in (*FIELDS[PERSON].values(), PICTURE.hex()):
        assert secret not in whole


async def test_documents_are_their_merchants_and_small_and_pictures_or_pdf(office):
    """Another merchant opens, adds, removes and submits nothing; what runs is not taken."""
    stranger, dossier = new_id(office.clock.now()), await office.draft()
    [document] = (await office.read(dossier)).documents
    c = office.compliance
    opened = await c.read_documents(
        [
            DocumentQuery(document.id, dossier, who)
            for who in (office.market.merchant, None, stranger)
        ]
    )
    refused = [
        (await office.add(dossier, content=content))[0]
        for content in (b"", b"<svg onload='x'/>", b"GIF89a", PICTURE + b"\0" * 5_000_000)
    ]
    unknown = await office.add(dossier, "portrait")
    theirs = [
        await office.add(dossier, merchant=stranger),
        await c.remove_documents([RemoveDocument(document.id, dossier, stranger)]),
        (await office.submit(dossier, stranger)).status,
        await c.read_dossiers([(dossier, stranger)]),
    ]
    more = [(await office.add(dossier))[0] for _ in range(12)]

    assert [PICTURE, PICTURE, None] == [each and each.content for each in opened]
    assert ["content_refused"] * 4 + ["kind_unknown"] == [*refused, *unknown]
    assert [["not_their_turn"], [False], "not_their_turn", [None]] == theirs
    assert ["added"] * 11 + ["full"] == more


async def test_another_process_hands_in_what_one_has_sealed(platform_url, clock, tmp_path):
    """A process that has opened no data key yet reads fields and documents, and takes them in."""
    platform, keys = PlatformSettings(home=tmp_path, database_url=platform_url), tmp_path / "keys"
    async with open_market(platform, clock, Vault.open(keys)) as market:
        merchant, dossier = market.merchant, await Office(market).draft()
    async with open_market(platform, clock, Vault.open(keys)) as market, asyncio.timeout(60):
        office = Office(market)
        asked = SubmitDossier(dossier, merchant, 2)
        [first] = await office.compliance.submit_dossiers([asked])
        [again] = await office.compliance.submit_dossiers([asked])
        view = await office.read(dossier)

    assert ("submitted", "submitted") == (first.status, again.status)
    assert (FIELDS[PERSON], 3) == (view.fields, view.version)


async def test_two_begun_at_once_are_one(office):
    """However many forms arrive together, a merchant has one open dossier."""
    new = [SaveDossier(office.id(), office.market.merchant, PERSON, "CN", {}) for _ in range(8)]
    found = await asyncio.gather(*(office.compliance.save_dossiers([each]) for each in new))

    assert ["another_is_open"] * 7 + ["saved"] == sorted(each[0] for each in found)


async def test_people_ask_for_more_refuse_accept_and_take_back(office):
    """Each only where it is possible, with reasons or a whole checklist, and once."""
    dossier = await office.draft()
    early = await office.decide(dossier, DossierDecision.ACCEPT)
    await office.submit(dossier)
    poor = [
        await office.decide(dossier, DossierDecision.ACCEPT, checks=["of_age"]),
        await office.decide(dossier, DossierDecision.REFUSE, reasons=[]),
        await office.decide(dossier, DossierDecision.ASK_MORE, note=" "),
        await office.decide(dossier, DossierDecision.ACCEPT, expires_on=office.clock.now().date()),
        await office.decide(dossier, DossierDecision.REVOKE),
    ]
    more = await office.decide(dossier, DossierDecision.ASK_MORE)
    again = (await office.submit(dossier)).status
    accepted = await office.decide(dossier, DossierDecision.ACCEPT)
    tier = await office.tier()
    revoked = await office.decide(dossier, DossierDecision.REVOKE)

    assert "not_possible" == early
    assert ["checks_missing", "reason_missing", "reason_missing", "day_malformed"] == poor[:4]
    assert "not_possible" == poor[4]
    assert ("decided", "submitted", "decided", 1) == (more, again, accepted, tier)
    assert ("decided", 0) == (revoked, await office.tier())


async def test_a_later_dossier_takes_the_place_of_the_one_before(office):
    """A person becomes a company at the moment it is accepted; a refused try changes nothing."""
    first = await office.accept()
    second = await office.draft(COMPANY)
    await office.submit(second)
    between = await office.tier()
    await office.decide(second, DossierDecision.REFUSE)
    refused = await office.tier()
    third = await office.accept(COMPANY)
    states = [(await office.read(each)).state for each in (first, second, third)]

    assert (1, 1, 2) == (between, refused, await office.tier())
    assert ["replaced", "refused", "accepted"] == states


async def test_a_tier_ends_with_its_day_and_owners_know_before(office):
    """A letter comes before, once; after the day nothing counts, looked at or not."""
    identity, notify = (office.market.house.api(each) for each in (Identity, Notify))
    merchant = office.market.merchant
    invited = Invitation(office.id(), "o@n.example", merchant, Role.OWNER, CLI, merchant_name="N")
    await identity.invite_people([invited])
    day = office.clock.now().date() + timedelta(days=60)
    dossier = await office.accept(expires_on=day)
    await office.service.ending.look()
    office.clock.advance(31 * 86_400)
    for _ in range(2):
        await office.service.ending.look()
    connection_steps = await _letters(office)
    office.clock.advance(30 * 86_400)
    before = await office.tier(), (await office.read(dossier)).state
    await office.service.ending.look()

    assert {"accepted": 1, "expiring": 1} == connection_steps
    assert (0, "accepted") == before
    assert "expired" == (await office.read(dossier)).state
    assert {"accepted": 1, "expiring": 1, "expired": 1} == await _letters(office)
    telling = office.service.telling(notify, identity)
    assert await telling.tell()
    assert not await telling.tell()


async def _letters(office):
    """Count the letters that wait, by what they tell."""
    async with office.service._db.reading() as tx:
        rows = await tx.fetch("select step, count(*) from compliance.letter group by 1")
    return {row[0]: row[1] for row in rows}


@pytest.mark.parametrize(
    "decision, days", [(None, 90), (DossierDecision.REFUSE, 180), (DossierDecision.REVOKE, 1_825)]
)
async def test_content_is_deleted_when_its_time_is_over(office, decision, days):
    """Drafts go whole; of what was decided only the decision stays, no name and no document."""
    if decision is DossierDecision.REVOKE:
        dossier = await office.accept()
    else:
        dossier = await office.draft()
        await office.submit(dossier) if decision else None
    await office.decide(dossier, decision) if decision else None
    office.clock.advance((days - 1) * 86_400)
    await office.service.ending.look()
    before = await office.read(dossier)
    office.clock.advance(86_400 + 1)
    await office.service.ending.look()
    after = await office.read(dossier)

    assert (FIELDS[PERSON], 1) == (before.fields, len(before.documents))
    if decision is None:
        assert after is None
    else:
        assert ({}, [], "", True) == (after.fields, after.documents, after.note, after.is_erased)
        assert before.state == after.state


async def test_the_queue_is_read_page_by_page_the_longest_wait_first(office):
    """Only what waits is in it, and pages meet without a gap."""
    merchants = [new_id(office.clock.now()) for _ in range(5)]
    dossiers = []
    for merchant in merchants:
        office.clock.advance(1)
        dossiers.append(await office.draft(merchant=merchant))
        await office.submit(dossiers[-1], merchant)
    await office.decide(dossiers[1], DossierDecision.REFUSE)
    found, after = [], None
    while True:
        [page] = await office.compliance.list_dossiers([DossierQuery(None, after, 2)])
        found += [each.id for each in page]
        if len(page) < 2:
            break
        after = page[-1].id

    assert [dossiers[0], *dossiers[2:]] == found
