"""What a list of a console shows, as CSV: with the filters of the page, whole, and no more held."""

import csv
import html
import io
import re
import tracemalloc

from tests.disputes.rows import add_dispute
from tests.payouts.rows import write_rows
from tests.web.console.conftest import make_app
from tests.web.merchant import test_looks as looks

from vendrail.api.catalog import MerchantId, ShopProductQuery
from vendrail.api.identity import ActQuery, Role
from vendrail.api.settlement import DepositKind, DepositMove, DepositTerms, Settlement
from vendrail.api.support import Party, Side, Support, WriteMessage
from vendrail.kernel.ids import from_serial, new_id, to_serial
from vendrail.web.console.exports import LISTED, export, save

COUPON = re.compile(r"/merchant/coupons/[0-9A-Z]{26}")
WEBHOOK = re.compile(r"/merchant/webhooks/[0-9A-Z]{26}")


async def table(browser, path) -> list[dict[str, str]]:
    """Read a file of a browser's."""
    answer = await browser.http.get(path)

    assert (200, "text/csv; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


async def test_all_batches_are_saved_however_few_come_at_once(town):
    """The catalog gives a hundred at once: the file goes on to the last of them."""
    await town.north.offer("GAME", keys=2)
    for _ in range(100):
        town.clock.advance(1)
        await town.north.stock("GAME", 1)
    query = ShopProductQuery(MerchantId(town.north.merchant))
    [[found]] = await town.north.catalog.list_products([query])
    path = f"/merchant/products/{to_serial(found.product.id)}/stock/batches.csv"
    rows = await table(await town.join(Role.SELLER), path)

    assert [*["1"] * 100, "2"] == [each["added"] for each in rows]


async def test_orders_are_saved_as_their_page_lists_them(town):
    """By state, number and day, for the merchant their own, for the operator all; it is logged."""
    await town.north.offer("GAME", keys=9)
    town.south.numbers = 90_000  # Of payments at the provider: other ones.
    await town.south.offer("ELSE", keys=9)
    sold = await town.sell(town.north, "GAME", 2, contact="=lin@example.com")
    town.clock.advance(1)
    unpaid = (await town.north.place("GAME")).order
    other = await town.sell(town.south, "ELSE")
    seller = await town.join(Role.SUPPORT)
    every = await table(seller, "/merchant/orders.csv")
    placed = await table(seller, "/merchant/orders.csv?state=placed")
    found = await table(seller, f"/merchant/orders.csv?q={to_serial(sold)}")
    early = await table(seller, "/merchant/orders.csv?to=2026-01-01")
    operator = await town.world.join("ann@rail.example", Role.OPERATOR_SUPPORT)
    platform = await table(operator, "/operator/orders.csv?state=delivered")
    payments = await table(operator, "/operator/payments.csv")
    acts = await town.acts(town.north, "order.exported")
    await seller.go("/merchant/orders?state=placed")

    assert [to_serial(unpaid), to_serial(sold)] == [each["order"] for each in every]
    assert [to_serial(unpaid)] == [each["order"] for each in placed]
    assert [to_serial(sold)] == [each["order"] for each in found]
    assert [] == early
    assert {to_serial(town.north.merchant)} == {each["merchant"] for each in every}
    assert {to_serial(other), to_serial(sold)} == {each["order"] for each in platform}
    both = {to_serial(town.north.merchant), to_serial(town.south.merchant)}
    assert both == {each["merchant"] for each in platform}  # As in every other file.
    assert both == {each["merchant"] for each in payments}
    assert ("39.80", "CNY", "'=lin@example.com") == (
        every[1]["amount"], every[1]["currency"], every[1]["contact"]
    )  # fmt: skip
    filters = [each.after for each in acts]
    assert 4 == len(filters)
    assert all(each in filters for each in ({}, {"state": "placed"}, {"to": "2026-01-01"}))
    assert 'href="/merchant/orders.csv?state=placed"' in seller.page.text


async def test_lists_taken_again_and_again_end_before_the_log(town):
    """Beyond the limit of one person no list is given and nothing is written."""
    asked: list[str] = []

    async def two(key: str) -> float:
        asked.append(key)
        return 0.0 if len(asked) <= 2 else 30.0

    town.world.app = make_app(town.house, town.home, act_limit=two)
    owner = await town.join(Role.OWNER)
    lists = (
        "orders",
        "payments",
        "payouts",
        "products",
        "complaints",
        "disputes",
        "deposit",
        "sales",
        "balance",
        "coupons",
        "messages",
        "staff",
        "api-keys",
    )
    paths = [f"/merchant/{name}.csv" for name in lists]
    codes = [(await owner.http.get(path)).status_code for path in paths]
    told = [each.act for each in await town.acts(town.north) if each.act.endswith(".exported")]

    assert [200, 200, *[429] * 11] == codes
    assert 2 == len(told)


async def test_payouts_and_the_log_are_saved_whole(town):
    """All payouts of a merchant, none of another's; the log by who acted."""
    await write_rows(town.house, town.north.merchant)
    finance, south = await town.join(Role.FINANCE), await town.join(Role.FINANCE, town.south)
    payouts = await table(finance, "/merchant/payouts.csv")
    theirs = await table(south, "/merchant/payouts.csv")
    auditor = await town.world.join("ann@rail.example", Role.OPERATOR_ADMIN)
    acts = await table(auditor, "/operator/log.csv?actor=finance@north.example")

    taken = [each.act for each in await town.acts(town.north, "payout.exported")]
    [logged] = await town.world.identity.list_acts([ActQuery(None, 9, act="log.exported")])

    assert ["payout.exported"] == taken
    assert [{"actor": "finance@north.example"}] == [each.after for each in logged]
    assert len(payouts) > 3
    assert [] == theirs
    assert {"finance@north.example"} == {each["who"] for each in acts}
    serial = to_serial(town.north.merchant)
    assert {serial} == {each["merchant"] for each in payouts} == {each["merchant"] for each in acts}


async def test_what_was_paid_is_saved_with_the_filters_of_orders(town):
    """A payment a row, of one's own orders alone; an order that was not paid gives none."""
    await town.north.offer("GAME", keys=9)
    town.south.numbers = 90_000
    await town.south.offer("ELSE", keys=9)
    sold = await town.sell(town.north, "GAME", 2)
    unpaid = (await town.north.place("GAME")).order
    other = await town.sell(town.south, "ELSE")
    seller = await town.join(Role.SUPPORT)
    own = await table(seller, "/merchant/payments.csv")
    none = await table(seller, f"/merchant/payments.csv?q={to_serial(unpaid)}")
    stranger = await table(seller, f"/merchant/payments.csv?q={to_serial(other)}")
    head = await town.world.join("ann@rail.example", Role.OPERATOR_SUPPORT)
    every = await table(head, "/operator/payments.csv")
    found = await table(head, f"/operator/payments.csv?q={to_serial(sold)}")

    assert [(to_serial(sold), "39.80", "CNY", "fits")] == [
        (each["order"], each["amount"], each["currency"], each["fit"]) for each in own
    ]
    assert ([], []) == (none, stranger)
    assert {to_serial(sold), to_serial(other)} == {each["order"] for each in every}
    assert own == found


async def test_each_list_of_a_merchant_is_saved_as_it_is_shown(town, platform_url):
    """By the page's own link: disputes by state, products, movements of the deposit; all logged."""
    now, merchant = town.clock.now(), town.north.merchant
    mine = await add_dispute(platform_url, now, merchant)
    lost = await add_dispute(platform_url, now, merchant, outcome="lost")
    await add_dispute(platform_url, now, town.south.merchant)
    await town.north.offer("GAME", keys=3)
    await town.sell(town.north, "GAME")
    settlement = town.house.api(Settlement)
    await settlement.put_deposit_terms([DepositTerms(merchant, "CNY", 100)])
    move = DepositMove(new_id(now), merchant, "CNY", DepositKind.PAID, 100)
    await settlement.move_deposits([move])
    owner = await town.join(Role.OWNER)
    disputes = await table(owner, "/merchant/disputes.csv")
    ended = await table(owner, "/merchant/disputes.csv?state=lost")
    products = await table(owner, "/merchant/products.csv?q=GAME")
    moves = await table(owner, "/merchant/deposit.csv?currency=CNY")
    complaints = await table(owner, "/merchant/complaints.csv?show=all")
    await owner.go("/merchant/disputes?state=lost")
    acts = await town.acts(town.north, LISTED)

    assert {to_serial(mine), to_serial(lost)} == {each["dispute"] for each in disputes}
    assert [to_serial(lost)] == [each["dispute"] for each in ended]
    assert [("2", "1")] == [(each["free"], each["sold"]) for each in products]
    assert [(to_serial(move.id), "paid", "1.00")] == [
        (each["movement"], each["kind"], each["amount"]) for each in moves
    ]
    assert [] == complaints
    assert 'href="/merchant/disputes.csv?state=lost"' in owner.page.text
    assert ["complaints", "deposit", "disputes", "disputes", "products"] == sorted(
        each.subject.removeprefix("list:") for each in acts
    )
    assert {"state": "lost"} in [each.after for each in acts]


async def test_people_keys_talks_coupons_and_what_was_told_are_saved(town):
    """By the link of each page, with its filter: one's own alone, without secrets, and logged."""
    pages = await looks.addresses(town)
    [endpoint] = {each.partition("?")[0] for each in pages if WEBHOOK.fullmatch(each)}
    [coupon] = [each for each in pages if COUPON.fullmatch(each)]
    [charged] = [each for each in pages if each.startswith("/merchant/complaints/")]
    owner = await town.join(Role.OWNER)
    await owner.go(charged)
    staff = Party(Side.MERCHANT, merchant=town.north.merchant, person="ann")
    order = from_serial(charged.rpartition("/")[2])
    message = WriteMessage(new_id(town.clock.now()), order, staff, "=Hello")
    await town.house.api(Support).write_messages([message])
    await town.world.invite("new@north.example", Role.SUPPORT)
    south, found = await town.join(Role.OWNER, town.south), {}
    for page in ("balance", "coupons", "messages", "staff", "api-keys", coupon, endpoint):
        path = page if page.startswith("/") else f"/merchant/{page}"
        await owner.go(path)
        [link] = re.findall(rf'href="({path}(?!/cal)[/a-z]*\.csv[^"]*)"', owner.page.text)
        found[page] = await table(owner, html.unescape(link))
    given_up = await table(owner, f"{endpoint}/deliveries.csv?state=given_up")
    heard = await table(owner, f"{endpoint}/deliveries.csv?state=heard")
    theirs = [
        (await south.http.get(each)).status_code
        for each in (f"{coupon}/uses.csv", f"{endpoint}/deliveries.csv")
    ]
    other = [await table(south, f"/merchant/{name}.csv") for name in ("coupons", "messages")]
    acts = {each.subject for each in await town.acts(town.north, LISTED)}

    assert all(found.values())
    assert [("owner@north.example", "active"), ("new@north.example", "invited")] == [
        (each["email"], each["state"]) for each in found["staff"]
    ]
    assert [to_serial(order)] == [each["order"] for each in found["messages"]]
    assert ["THEWORDOFTHELONGESTKINDTHEREIS12"] == [each["word"] for each in found["coupons"]]
    assert ["held"] == [each["state"] for each in found[coupon]]
    assert {"robot"} < {each["name"] for each in found["api-keys"]}
    assert not any("secret" in name for each in found["api-keys"] for name in each)
    assert found[endpoint] == given_up + heard or {"waiting"} & {
        e["state"] for e in found[endpoint]
    }
    assert len({each["transfer"] for each in found["balance"]}) == len(found["balance"]) > 2
    assert ([404, 404], [[], []]) == (theirs, other)
    assert {"list:balance", "list:coupons", "list:messages", "list:staff", "list:api-keys"} < acts


async def test_whose_role_has_no_such_list_gets_no_file_of_it(town):
    """A seller has no part in balance, keys of programs or staff, and no file of them."""
    seller = await town.join(Role.SELLER)
    names = ("balance", "api-keys", "staff", "coupons")
    codes = [(await seller.http.get(f"/merchant/{each}.csv")).status_code for each in names]

    assert [403, 403, 403, 200] == codes


async def test_a_list_is_read_page_after_page_until_nothing_is_left():
    """Each page begins after the last thing of the one before; none comes twice, none is lost."""
    asked: list[int | None] = []

    async def read(last: int | None) -> list[int]:
        asked.append(last)
        begin = 0 if last is None else last + 1
        return list(range(begin, min(begin + 3, 7)))

    page = save("numbers", {"number": lambda each: each}, read)
    told = b"".join([part async for part in page.iterator]).decode("utf-8-sig")

    assert ["number", *map(str, range(7))] == told.split()
    assert [None, 2, 5, 6] == asked


async def test_a_file_of_any_size_holds_one_page_in_memory():
    """Of a hundred thousand rows never more than some pages are there at once."""
    row = ["x" * 100, 1]

    async def read(page: int | None):
        number = (page or 0) + 1
        return [row] * 1_000, number if number < 100 else None

    stream = export("big", ["text", "number"], read)
    size, tracemalloc_peak = 0, 0
    tracemalloc.start()
    try:
        async for part in stream.iterator:
            size += len(part)
        tracemalloc_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert size > 10_000_000
    assert tracemalloc_peak < 2_000_000


# Tables of one thing, which its page tells whole, or of forms, or of what is so at this moment.
ALONE = re.compile(
    r"/merchant(/(search|orders/.*|payouts/.*|complaints/.*|disputes/.*|agents/[0-9A-Z]{26}"
    r"|webhooks/.*/deliveries/.*|sales/.*))?"
)


async def test_every_table_can_be_saved(town):
    """Below each page with a table is the link to its file, and each such file is one."""
    pages = [each for each in await looks.addresses(town) if each.startswith("/merchant")]
    owner = await town.join(Role.OWNER)
    without, links = [], set()
    for page in pages:
        await owner.go(page)
        found = re.findall(r'href="([^"]*\.csv[^"]*)"', owner.page.text)
        links |= {html.unescape(each) for each in found}
        is_alone = ALONE.fullmatch(page.partition("?")[0])
        if "<table" in owner.page.text and not found and not is_alone:
            without.append(page)
    wrong = []
    for link in sorted(links):
        answer = await owner.http.get(link)
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        is_table = answer.headers["content-type"].startswith("text/csv")
        is_even = (
            len({len(each) for each in rows}) == 1 or "/statements/" in link
        )  # Has sums below.
        if answer.status_code != 200 or not is_table or not is_even:
            wrong.append((link, answer.status_code))
    settings = ["domains", "methods", "fees", "agents", "agents/floors", "webhooks", "card-sites"]

    assert [] == without
    assert [] == wrong
    assert {f"/merchant/{each}.csv" for each in settings} <= links
    assert any(each.endswith("/stock/batches.csv") for each in links)
