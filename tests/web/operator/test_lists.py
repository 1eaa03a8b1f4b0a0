"""The operator's lists as files: by the link of each page, with what the page shows, in the log."""

import csv
import html
import io
import re
from uuid import UUID

import httpx
import pytest
from litestar.exceptions import LitestarException
from tests.web.console.conftest import CLI, SITE, make_app
from tests.web.operator.test_looks import addresses

from vendrail.api.identity import (
    ActQuery,
    Merchant,
    Permission,
    PersonChange,
    Proposal,
    RegistrationChange,
    RegistrationMode,
    Role,
)
from vendrail.api.promotions import Coupon, CouponId, Promotions
from vendrail.kernel.ids import new_id, to_serial
from vendrail.web.console.exports import AT_ONCE, LISTED

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
    assert ["act", "subject", "permission"] == files["approvals"][0][1:4]
    assert ["order.refunded", "order:1", "refunds:write"] == files["approvals"][1][1:4]
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


# Tables of one thing, which its page tells whole, or of what is so at this moment.
ALONE = re.compile(
    r"/operator/(search|system|disputes/.*|orders/.*|payouts/.*|sagas/.*|reviews/.*|unpriced/.*"
    r"|routing/.*|unmatched/.*|verifications/[0-9A-Z]{26}|complaints/.*)"
)


async def test_every_table_can_be_saved(world, place):
    """Below each page with a table is the link to its file, and each such file is one."""
    pages = await addresses(world, place)
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    without, links = [], set()
    for page in pages:
        path = page.partition("?")[0]
        await head.go(page)
        found = re.findall(r'href="([^"]*\.csv[^"]*)"', head.page.text)
        links |= {html.unescape(each) for each in found}
        if "<table" in head.page.text and not found and not ALONE.fullmatch(path):
            without.append(page)
    wrong = []
    for link in sorted(links):
        answer = await head.http.get(link)
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        is_table = answer.headers["content-type"].startswith("text/csv")
        if answer.status_code != 200 or not is_table or len({len(each) for each in rows}) != 1:
            wrong.append((link, answer.status_code))
    settings = ["channels", "routing", "wallets", "payout-terms", "banks", "reserves", "currencies"]

    assert [] == without
    assert [] == wrong
    assert {f"/operator/{each}.csv" for each in settings} <= links


async def test_a_channels_file_has_none_of_its_secrets(world):
    """What a channel is called and takes is told; what it is set to, and secrets, never."""
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    answer = await head.http.get("/operator/channels.csv")
    [row] = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))

    assert "alipay" == row["kind"]
    assert {
        "name", "kind", "title", "currencies", "is_active", "amount_min", "amount_max",
        "confirm_above", "id",
    } == row.keys()  # fmt: skip


async def test_a_file_ends_when_its_taker_may_have_it_no_more(world):
    """A right that is taken away while a long file is written breaks it off within seconds."""
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await world.join("o2@rail.example", Role.OPERATOR_ADMIN)
    [person] = await world.identity.find_people(["ad@rail.example"])
    now = world.house.clock.now()
    many = [Merchant(new_id(now), f"Merchant {each}") for each in range(2 * AT_ONCE)]
    await world.identity.put_merchants(many)
    whole = (await head.http.get("/operator/merchants.csv")).text
    parts: list[bytes] = []

    async def slow(scope, receive, send):
        """Take each part of the file slowly; after the first, the person is locked out."""

        async def take(message):
            await send(message)
            if message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
                world.clock.advance(4)
                if len(parts) == 1:
                    change = PersonChange(person.id, "gone", CLI, is_locked=True)
                    await world.identity.change_people([change])

        await world.app(scope, receive, take)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(slow), base_url=SITE, cookies=head.http.cookies
    ) as taker:
        with pytest.raises(LitestarException):
            await taker.get("/operator/merchants.csv")

    assert whole.count("Merchant ") >= 2 * AT_ONCE
    assert len(b"".join(parts)) < len(whole) // 2
