"""The operator's lists as files: by the link of each page, with what the page shows, in the log."""

import csv
import html
import io
import re
from uuid import UUID

from tests.web.console.conftest import CLI, make_app
from tests.web.operator.test_looks import addresses

from vendrail.api.identity import (
    ActQuery,
    Permission,
    Proposal,
    RegistrationChange,
    RegistrationMode,
    Role,
)
from vendrail.api.promotions import Coupon, CouponId, Promotions
from vendrail.kernel.ids import new_id, to_serial
from vendrail.web.console.exports import LISTED

LISTS = {
    "/operator/approvals": "proposal",
    "/operator/bank-files": "file",
    "/operator/closes": "day",
    "/operator/complaints?show=all": "complaint",
    "/operator/coupons": "coupon",
    "/operator/disputes": "dispute",
    "/operator/goods": "subject",
    "/operator/merchants": "merchant",
    "/operator/orders": "order",
    "/operator/payouts?view=all": "payout",
    "/operator/people": "email",
    "/operator/registration": "application",
    "/operator/remittances": "number",
    "/operator/reviews": "order",
    "/operator/sagas?state=all": "saga",
    "/operator/unmatched": "payment",
    "/operator/verifications": "dossier",
}

# Where nothing is in the small marketplace; each has a file that says so.
EMPTY = {
    "/operator/approvals",
    "/operator/complaints",
    "/operator/coupons",
    "/operator/registration",
}


async def test_each_list_is_saved_by_its_own_link_with_all_that_it_shows(world, place):
    """Every number in the file is one, none twice, what the page links to is in it, it is kept."""
    await addresses(world, place)
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    counts = {}
    for path, key in LISTS.items():
        await head.go(path)
        root = path.partition("?")[0]
        [link] = re.findall(rf'href="({root}\.csv[^"]*)"', head.page.text) or [None]
        if link is None:  # Nothing to show, nothing to save.
            continue
        shown = set(re.findall(rf'href="{root}/([0-9A-Z]{{26}})"', head.page.text))
        shown.discard(to_serial(UUID(int=0)))  # The platform's own terms.
        answer = await head.http.get(html.unescape(link))
        rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        numbers = [each[key] for each in rows]
        named = {value for each in rows for value in each.values()}

        assert len(numbers) == len(set(numbers)), path
        assert shown <= named, path
        counts[root] = len(rows)
    [acts] = await world.identity.list_acts([ActQuery(None, 50, act=LISTED)])

    assert {each.partition("?")[0] for each in LISTS} - EMPTY <= set(counts)
    assert all(counts.values())
    assert len(counts) - 2 == len(acts)  # Orders and payouts have acts of their own.


async def test_what_is_put_up_taken_off_or_asked_for_is_saved(world):
    """Coupons of all merchants with what they take off; who applied; what a second one decides."""
    now, merchant = world.house.clock.now(), world.market.merchant
    coupon = Coupon(CouponId(new_id(now)), merchant, "=Winter", "CNY", permyriad=1_250, word="SNOW")
    await world.house.api(Promotions).put_coupons([coupon])
    policy = RegistrationChange(RegistrationMode.APPROVAL, "Be fair.", CLI, "a start")
    await world.identity.change_registration([policy])
    proposal = Proposal(
        new_id(now), "order.refunded", "order:1", {"a": "b"}, Permission.REFUNDS_WRITE, "why", CLI
    )
    await world.identity.propose_acts([proposal])
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    files = {}
    for name in ("coupons", "approvals", "registration", "people", "suggestions"):
        answer = await head.http.get(f"/operator/{name}.csv")
        files[name] = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    await head.go("/operator/coupons")

    assert ["'=Winter", "SNOW", "yes", "", "1250"] == files["coupons"][1][:5]
    assert ["order.refunded", "order:1"] == files["approvals"][1][1:3]
    assert "b" not in files["approvals"][1]
    assert [1, 2] == [len(files["registration"]), len(files["people"])]
    assert "email" in files["registration"][0]
    assert 'href="/operator/coupons.csv"' in head.page.text


async def test_who_may_not_see_a_list_may_not_save_it(world):
    """Support has no part in payouts, and no file of them."""
    support = await world.join("bo@rail.example", Role.OPERATOR_SUPPORT)
    answers = [
        (await support.http.get(f"/operator/{each}.csv")).status_code
        for each in ("payouts", "remittances", "verifications", "disputes")
    ]

    assert [403, 403, 403, 200] == answers


async def test_lists_taken_again_and_again_end_before_the_log(world, place, tmp_path):
    """Beyond the limit of one person no list is given and nothing is written."""
    await addresses(world, place)
    asked: list[str] = []

    async def two(key: str) -> float:
        asked.append(key)
        return 0.0 if len(asked) <= 2 else 30.0

    world.app = make_app(world.house, tmp_path, act_limit=two)
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    names = (
        *(path.partition("?")[0] for path in LISTS),
        "/operator/log",
        "/operator/settlement/debts",
    )
    codes = [(await head.http.get(f"{name}.csv")).status_code for name in names]
    [acts] = await world.identity.list_acts([ActQuery(None, 99)])

    assert [200, 200, *[429] * (len(names) - 2)] == codes
    assert 2 == len([each for each in acts if each.act.endswith(".exported")])
