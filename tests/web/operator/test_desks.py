"""The desks of the operator's console: reviews, unmatched money, stuck sagas, approvals."""

import re
from uuid import UUID

import pytest
from tests.app.conftest import MISPAID_MINOR
from tests.web.console.conftest import make_app

from vendrail.api.identity import Actor, ActorKind, ActQuery, ProposalVerdict, Role
from vendrail.api.orders import OrderId, SagaQuery
from vendrail.api.payments import UnmatchedQuery
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import from_serial, new_id, to_serial
from vendrail.web.operator.deeds import TEXTS, Said


async def test_a_review_is_released_and_delivered(world):
    """A risk officer sees why an order waits, releases it with a reason, and it is delivered."""
    browser = await world.join("ri@rail.example", Role.OPERATOR_RISK)
    order = world.orders["watched"]
    path = f"/operator/reviews/{to_serial(order)}"
    await browser.go("/operator/reviews")
    assert f'href="{path}"' in browser.page.text
    assert "Is on the list to be reviewed" in browser.text
    await browser.go(path)
    assert "watched@example.com" in browser.text
    assert "S1-KEY" not in browser.page.text
    await browser.send(path, decision="release", reason="a known buyer")
    assert "The order goes on by itself" in browser.text
    await world.market.run()

    assert "/operator/reviews" == browser.path
    assert "Nothing waits" in browser.text
    assert "delivered" == await world.market.state(order)
    [[act]] = await world.identity.list_acts([ActQuery(None, 1, act="review.")])
    assert ("review.released", "ri@rail.example", "a known buyer") == (
        act.act,
        act.by.name,
        act.reason,
    )
    assert f"order:{to_serial(order)}" == act.subject
    assert "10.0.0.1" == act.by.origin.address
    assert ("waiting", "released") == (act.before["review"], act.after["review"])


async def test_a_review_is_refused_and_refunded(world):
    """Refused, the money goes back; the verdict cannot be turned round after."""
    browser = await world.join("ri@rail.example", Role.OPERATOR_RISK)
    path = f"/operator/reviews/{to_serial(world.orders['watched'])}"
    await browser.go(path)
    await browser.send(path, decision="refuse", reason="a thief")
    assert "The money goes back to whoever paid" in browser.text
    for _ in range(5):  # A busy provider is asked again.
        await world.market.run()
        world.clock.advance(30)
    await browser.go(path)
    assert "does not wait for a review" in browser.text
    await browser.go("/operator/reviews")
    await browser.go("/console/account")
    await browser.send(path, decision="release", reason="too late")

    assert 422 == browser.page.status_code
    assert "refunded" == await world.market.state(world.orders["watched"])


def test_whatever_was_done_is_said():
    """Each way a deed ends has words of its own; what is good says more than that it was done."""
    assert set(Said) == TEXTS.keys()
    assert len(TEXTS) == len(set(TEXTS.values()))


async def test_a_reason_is_needed(world):
    """Without a reason nothing is decided and nothing logged."""
    browser = await world.join("ri@rail.example", Role.OPERATOR_RISK)
    path = f"/operator/reviews/{to_serial(world.orders['watched'])}"
    await browser.go(path)
    await browser.send(path, decision="release", reason="  ")

    assert 422 == browser.page.status_code
    assert "Say why" in browser.text
    assert "paid review" == await world.market.state(world.orders["watched"])
    assert [] == await world.acts(act="review.")


async def test_unmatched_money_is_matched_to_an_order(world):
    """Money for an order that is not there shows with orders of its amount; matched, it fills one.

    An order of another amount is refused: it would be stuck for lack of money, or leave some over.
    """
    browser = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    target = to_serial(world.orders["expired"])
    other = to_serial(world.orders["mispaid"])
    await world.market.pay(OrderId(new_id(world.clock.now())), MISPAID_MINOR)
    await browser.go("/operator/unmatched")
    assert "The order is unknown" in browser.text
    assert "The amount differs" in browser.text
    rows = browser.page.text.split("<tbody>")[1].split("</tr>")
    less, fitting = (
        re.search(r'href="([^"]+)"', next(row for row in rows if word in row))[1]
        for word in ("The amount differs", "The order is unknown")
    )
    await browser.go(less)
    await browser.send(less, decision="match", order="no number", reason="proof")
    assert "No order has that number" in browser.text
    await browser.send(less, decision="match", order=other, reason="proof")
    assert 422 == browser.page.status_code
    assert "of another amount" in browser.text
    await browser.go(fitting)
    assert f'value="{target}"' in browser.page.text
    await browser.send(fitting, decision="match", order=target, reason="sent proof")
    assert "The order goes on by itself" in browser.text
    await world.market.run()

    assert "/operator/unmatched" == browser.path
    assert "delivered" == await world.market.state(world.orders["expired"])
    [[act]] = await world.identity.list_acts([ActQuery(None, 9, act="unmatched.")])
    assert ("unmatched.matched", "order_unknown", "matched") == (
        act.act,
        act.before["fit"],
        act.after["fit"],
    )


async def test_unmatched_money_is_given_back(world):
    """Nobody's money goes back, once."""
    browser = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await browser.go("/operator/unmatched")
    path = re.search(r'href="(/operator/unmatched/\w{26})"', browser.page.text)[1]
    await browser.go(path)
    for _ in range(2):
        await browser.send(path, decision="refund", reason="nobody claims it")
        await browser.go("/console/account")
    await world.market.run()

    assert ["unmatched.refunded"] == await world.acts(act="unmatched.")
    assert [[]] == await world.market.payments.list_unmatched([UnmatchedQuery()])


async def test_much_money_needs_a_second_person(world):
    """Above the limit a deed waits for another who may do it; the first cannot approve it."""
    world.app = make_app(world.house, world.market.house.platform.home,
                         second_person_above_minor=500)  # fmt: skip
    first = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    other = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    risk = await world.join("ri@rail.example", Role.OPERATOR_RISK)
    await first.go("/operator/unmatched")
    path = re.search(r'href="(/operator/unmatched/\w{26})"', first.page.text)[1]
    await first.go(path)
    for _ in range(2):  # Sent twice, it is one proposal.
        await first.send(path, decision="refund", reason="nobody claims it")
        assert "A second person must approve it" in first.text
        await first.go(path)
    assert 1 == len((await world.market.payments.list_unmatched([UnmatchedQuery()]))[0])
    await first.go("/operator/approvals")
    [approval] = set(re.findall(r'action="(/operator/approvals/\w{26})"', first.page.text))
    await first.send(approval, decision="approve")
    assert 422 == first.page.status_code
    await risk.go("/operator/approvals")
    assert approval not in risk.page.text
    assert "needs the permission: unmatched:write" in risk.text
    await risk.send(approval, decision="approve")
    assert 422 == risk.page.status_code
    await other.go("/operator/approvals")
    assert "nobody claims it" in other.text
    await other.send(approval, decision="approve")
    assert "Approved, and done" in other.text
    await other.send(approval, decision="approve")
    await world.market.run()

    assert 422 == other.page.status_code
    assert [[]] == await world.market.payments.list_unmatched([UnmatchedQuery()])
    assert ["unmatched.refunded.proposed", "unmatched.refunded.approved"] == await world.acts(
        act="unmatched."
    )


async def test_money_beside_the_limits_currency_needs_a_second_person(world):
    """A limit says nothing of other currencies: there each deed with money is put up."""
    world.app = make_app(world.house, world.market.house.platform.home,
                         second_person_above_minor=500_000, default_currency="USD")  # fmt: skip
    first = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await first.go("/operator/unmatched")
    path = re.search(r'href="(/operator/unmatched/\w{26})"', first.page.text)[1]
    await first.go(path)
    await first.send(path, decision="refund", reason="nobody claims it")

    assert "A second person must approve it" in first.text
    assert ["unmatched.refunded.proposed"] == await world.acts(act="unmatched.")


async def test_a_proposal_is_refused_or_taken_back(world):
    """Refused, nothing is done, and it cannot be approved after."""
    world.app = make_app(world.house, world.market.house.platform.home,
                         second_person_above_minor=500)  # fmt: skip
    first = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    other = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await first.go("/operator/unmatched")
    path = re.search(r'href="(/operator/unmatched/\w{26})"', first.page.text)[1]
    await first.go(path)
    await first.send(path, decision="refund", reason="nobody claims it")
    await first.go("/operator/approvals")
    [approval] = set(re.findall(r'action="(/operator/approvals/\w{26})"', first.page.text))
    await first.send(approval, decision="refuse")
    await other.go("/operator/approvals")
    await other.go("/console/account")
    await other.send(approval, decision="approve")

    assert 422 == other.page.status_code
    assert 1 == len((await world.market.payments.list_unmatched([UnmatchedQuery()]))[0])


async def test_what_was_approved_and_broke_off_is_not_refused(world):
    """Who says no too late is told so, and not that nothing was done; a yes carries it out."""
    world.app = make_app(world.house, world.market.house.platform.home,
                         second_person_above_minor=500)  # fmt: skip
    first = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    other = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await first.go("/operator/unmatched")
    path = re.search(r'href="(/operator/unmatched/\w{26})"', first.page.text)[1]
    await first.go(path)
    await first.send(path, decision="refund", reason="nobody claims it")
    await other.go("/operator/approvals")
    [approval] = set(re.findall(r'action="(/operator/approvals/\w{26})"', other.page.text))
    [person] = await world.identity.find_people(["ad@rail.example"])
    by = Actor(ActorKind.PERSON, person.id, person.email)
    verdict = ProposalVerdict(from_serial(approval.rpartition("/")[2]), True, by)
    assert ["changed"] == await world.identity.decide_proposals([verdict])
    await other.go("/operator/approvals")
    await other.send(approval, decision="refuse")
    refused = other.text
    await other.send(approval, decision="approve")

    assert "Nothing was done" not in refused
    assert "Approved, and done" in other.text
    await world.market.run()
    assert [[]] == await world.market.payments.list_unmatched([UnmatchedQuery()])


async def test_an_approval_wants_a_fresh_proof(world):
    """Half an hour after the last code, an approval leads to a code first, and is not done."""
    other = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await other.go("/operator/approvals")
    world.clock.advance(31 * 60)
    await other.go("/console/account")
    answer = await other.send(f"/operator/approvals/{'0' * 26}", raw=True, decision="approve")
    assert answer.headers["location"].startswith("/console/confirm")
    await other.go(answer.headers["location"])
    await other.send("/console/confirm", code=world.code(other.secret), next="/operator/approvals")

    assert "/operator/approvals" == other.path


async def test_a_waiting_saga_looks_again(world):
    """What has not ended is listed by state, shown with its order, and woken with a reason."""
    browser = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await browser.go("/operator/sagas")
    assert "Nothing waits" in browser.text
    await browser.go("/operator/sagas?state=waiting")
    path = re.search(r'href="(/operator/sagas/\w{26})"', browser.page.text)[1]
    await browser.go(path)
    assert to_serial(world.orders["watched"]) in browser.page.text
    await browser.send(path, reason="the provider is back")

    assert "/operator/sagas" == browser.path
    [[act]] = await world.identity.list_acts([ActQuery(None, 9, act="saga.")])
    assert ("saga.retried", "waiting", "waiting") == (
        act.act,
        act.before["state"],
        act.after["state"],
    )


async def stick(place, order, kind="purchase"):
    """Let what waits of an order be stuck; give the page of its saga."""
    owner = await connect_once(place.url)
    try:
        [row] = await owner.fetch(
            "update orders.saga set state = 'stuck', reason = 'person', kind = $2,"
            "  problem = 'The books disagree.' where subject = $1 returning id",
            order,
            kind,
        )
    finally:
        await owner.close()
    return f"/operator/sagas/{to_serial(row['id'])}"


async def test_a_stuck_purchase_is_given_up(world, place):
    """With a reason it ends without delivery, the money goes back, and the log says from what."""
    order = world.orders["watched"]
    path = await stick(place, order)
    browser = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await browser.go("/operator/sagas")
    assert f'href="{path}"' in browser.page.text
    await browser.go(path)
    assert "The books disagree." in browser.text
    assert "Give it up: refund CN¥19.90" in browser.text
    await browser.send(f"{path}/give-up", reason=" ")
    assert "Say why" in browser.text
    await browser.send(f"{path}/give-up", reason="the keys are lost")
    assert "/operator/sagas" == browser.path
    assert "The money goes back to whoever paid" in browser.text
    await browser.go(path)
    assert "it will not be delivered" in browser.text
    await browser.send(f"{path}/give-up", reason="once more")
    assert "It goes back already" in browser.text
    for _ in range(5):  # A busy provider is asked again.
        await world.market.run()
        world.clock.advance(30)
    await browser.go("/console/account")
    await browser.send(f"{path}/give-up", reason="too late")

    assert "/operator/sagas" == browser.path
    assert "refunded" == await world.market.state(order)
    [acts] = await world.identity.list_acts([ActQuery(None, 9, act="saga.")])
    act = acts[-1]
    assert ("saga.given_up", f"order:{to_serial(order)}") == (act.act, act.subject)
    assert ("fi@rail.example", "10.0.0.1", "the keys are lost") == (
        act.by.name,
        act.by.origin.address,
        act.reason,
    )
    assert {"state": "paid", "saga": "stuck", "problem": "The books disagree."} == act.before
    assert ("refunding", "given up", "1990") == (
        act.after["state"],
        act.after["saga"],
        act.after["amount_minor"],
    )


async def test_giving_up_much_money_needs_a_second_person(world, place):
    """Above the limit another person approves it, and only then the purchase turns."""
    world.app = make_app(world.house, world.market.house.platform.home,
                         second_person_above_minor=500)  # fmt: skip
    path = await stick(place, world.orders["watched"])
    first = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    other = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await first.go(path)
    await first.send(f"{path}/give-up", reason="the keys are lost")
    assert "A second person must approve it" in first.text
    [[before]] = await world.market.orders.list_sagas([SagaQuery()])
    await first.go("/operator/approvals")
    [approval] = set(re.findall(r'action="(/operator/approvals/\w{26})"', first.page.text))
    await first.send(approval, decision="approve")
    assert 422 == first.page.status_code
    await other.go("/operator/approvals")
    await other.send(approval, decision="approve")
    assert "Approved, and done" in other.text
    [[after]] = await world.market.orders.list_sagas([SagaQuery()])

    assert (("stuck", False), ("undoing", True)) == (
        (before.state, before.is_turned),
        (after.state, after.is_turned),
    )
    [[approved, proposed]] = await world.identity.list_acts([ActQuery(None, 9, act="saga.")])
    assert ("saga.given_up.proposed", "stuck") == (proposed.act, proposed.before["saga"])
    assert ("saga.given_up.approved", "open", "approved") == (
        approved.act,
        approved.before["proposal"],
        approved.after["proposal"],
    )


@pytest.mark.parametrize("kind", ["refund", "surplus"])
async def test_a_stuck_refund_is_not_given_up(world, place, kind):
    """Its page offers only to look again, and says why; a form sent all the same does nothing."""
    path = await stick(place, world.orders["watched"], kind)
    browser = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    await browser.go(path)
    assert "Only a purchase is given up" in browser.text
    assert "/give-up" not in browser.page.text
    await browser.send(f"{path}/give-up", reason="enough")

    assert 422 == browser.page.status_code
    assert [] == await world.acts(act="saga.")
    [[saga]] = await world.market.orders.list_sagas([SagaQuery()])
    assert "stuck" == saga.state


async def test_what_goes_on_by_itself_is_not_given_up(world):
    """A purchase that waits shows no such form, and answers that it is not stuck."""
    browser = await world.join("fi@rail.example", Role.OPERATOR_FINANCE)
    [[saga]] = await world.market.orders.list_sagas([SagaQuery()])
    path = f"/operator/sagas/{to_serial(saga.id)}"
    await browser.go(path)
    assert "/give-up" not in browser.page.text
    await browser.send(f"{path}/give-up", reason="enough")

    assert 422 == browser.page.status_code
    assert "It is not stuck any more" in browser.text
    assert "paid review" == await world.market.state(world.orders["watched"])


CROWDS = {
    "/operator/reviews": "insert into risk.review (order_id, merchant, amount_minor, currency,"
    " reasons, at) select gen_random_uuid(), $1, 1990, 'CNY', '{}', now()"
    " from generate_series(1, 120)",
    "/operator/sagas": "insert into orders.saga (id, kind, subject, data, state, trace_id,"
    " started_at, due_at) select gen_random_uuid(), 'refund', $1, '{}', 'stuck', '', now(), now()"
    " from generate_series(1, 120)",
    "/operator/unmatched": "insert into payments.capture (id, channel, provider_number, method,"
    " amount_minor, currency, fit, source, out_trade_no, paid_at, at, trace_id)"
    " select gen_random_uuid(), $1, n::text, 'alipay', 1990, 'CNY', 'order_unknown', 'query', '',"
    " now(), now(), '' from generate_series(1, 119) n",
}


@pytest.mark.parametrize("path, kept", [
    ("/operator/reviews", "merchant={merchant}"),
    ("/operator/sagas", "state=stuck"),
    ("/operator/unmatched", "channel=alipay"),
])  # fmt: skip
async def test_each_list_goes_on_page_by_page(world, place, path, kept):
    """120 that wait are shown on three pages, each once, and the filter stays."""
    of = world.market.channel if path == "/operator/unmatched" else world.market.merchant
    owner = await connect_once(place.url)
    await owner.execute(CROWDS[path], of)
    await owner.close()
    kept = kept.format(merchant=to_serial(world.market.merchant))
    browser = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await browser.go(f"{path}?{kept}")
    pages = []
    while True:
        pages.append(re.findall(rf'href="{path}/(\w{{26}})"', browser.page.text))
        onward = re.search(r'href="([^"]+)" rel="next"', browser.page.text)
        if onward is None:
            break
        assert kept in onward[1]
        await browser.go(onward[1].replace("&amp;", "&"))
    shown = [serial for page in pages for serial in page]
    waiting = 121 if path == "/operator/reviews" else 120

    assert [50, 50, waiting - 100] == [len(page) for page in pages]
    assert sorted(set(shown)) == shown


FORMS = {
    "/operator/reviews": Role.OPERATOR_RISK,
    "/operator/unmatched": Role.OPERATOR_FINANCE,
    "/operator/sagas": Role.OPERATOR_FINANCE,
}


async def test_each_desk_is_for_its_roles(world):
    """Support does no finance acts, risk none of them either; a merchant's person sees no desk."""
    people = {
        Role.OPERATOR_SUPPORT: set(),
        Role.OPERATOR_RISK: {"/operator/reviews"},
        Role.OPERATOR_FINANCE: {"/operator/unmatched", "/operator/sagas"},
        Role.OPERATOR_ADMIN: set(FORMS),
    }
    some = to_serial(UUID(int=7))
    for role, allowed in people.items():
        browser = await world.join(f"{role.value}@rail.example", role)
        await browser.go("/operator")
        linked = set(re.findall(r'href="(/operator/[a-z]+)"', browser.page.text))
        assert allowed == linked & set(FORMS)
        for path in FORMS:
            expected = 200 if path in allowed else 403
            assert expected == (await browser.go(path)).status_code
            await browser.go("/operator/approvals")
            sent = await browser.send(f"{path}/{some}", raw=True, decision="x", reason="y")
            assert (sent.status_code == 403) is (path not in allowed)
    owner = await world.join("bo@north.example", Role.OWNER)
    for path in (*FORMS, "/operator", "/operator/approvals"):
        assert 404 == (await owner.go(path)).status_code


@pytest.mark.parametrize("path", [*FORMS, "/operator/approvals"])
async def test_x13_desks_take_no_foreign_forms(world, path):
    """X13: a deed without this browser's token is refused before anything is looked up."""
    browser = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    some = to_serial(UUID(int=7))
    answer = await browser.http.post(f"{path}/{some}", data={"decision": "refund", "reason": "x"})

    assert 403 == answer.status_code
