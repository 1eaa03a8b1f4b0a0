"""What sells, and until when keys last: from real sales, on the merchant's own pages."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from tests.web.merchant.test_card_sites import asked

from vendrail.api.catalog import LowStock, ProductId
from vendrail.api.identity import Role
from vendrail.api.orders import SalePart, SaleParts
from vendrail.kernel.ids import new_id
from vendrail.web.console.exports import LISTED
from vendrail.web.merchant.forecast import daily, running

NOW = datetime(2026, 11, 30, tzinfo=UTC)
VARIANT = UUID(int=7)


async def test_sales_are_told_by_product_way_and_hour(town):
    """Only one's own that were delivered; the three lists and the file add up to the same."""
    await town.north.offer("GAME", keys=9)
    await town.north.offer("CARD", keys=9)
    town.south.numbers = 90_000
    await town.south.offer("ELSE", keys=9)
    await town.sell(town.north, "GAME", 2)
    await town.sell(town.north, "CARD")
    await town.sell(town.south, "ELSE")
    await town.north.place("GAME")
    town.clock.advance(1)
    seller = await town.join(Role.SELLER)
    await seller.go("/merchant/sales?days=7")
    page = seller.page.text
    answer = await seller.http.get("/merchant/sales.csv?days=7")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    sums = {
        by: sum(Decimal(each["sold"]) for each in rows if each["by"] == by)
        for by in ("product", "method", "hour")
    }
    await seller.go("/merchant/sales?days=7&currency=USD")
    acts = await town.acts(town.north, LISTED)

    assert ["GAME", "CARD"] == [each["sku"] for each in rows if each["by"] == "product"]
    assert dict.fromkeys(("product", "method", "hour"), Decimal("59.70")) == sums
    assert ("Product GAME – One" in page, "ELSE" in page) == (True, False)
    assert page.count('width="1000" height="6"') == 2  # The longest of each list fills its bar.
    assert ["list:sales"] == [each.subject for each in acts]


async def test_what_a_card_site_sells_has_a_line_of_its_own_and_no_stock(town):
    """Charges have no product: they are summed together, and the first page stands."""
    [made] = await town.epay.make_epay_keys([town.north.merchant])
    [charged] = await town.epay.take_epay_requests([asked(made.account.pid, made.key, "N-2")])
    await town.north.pay(charged.order, amount_minor=100)
    await town.north.run()
    town.clock.advance(1)
    owner = await town.join(Role.OWNER)
    await owner.go("/merchant/sales")
    sales = owner.text
    await owner.go("/merchant")

    assert "Orders of card sites" in sales
    assert (200, True) == (owner.page.status_code, "Running out" in owner.text)


async def test_a_shop_without_sales_says_so(town):
    """Nothing sold is a sentence, not an empty chart."""
    seller = await town.join(Role.SELLER)
    await seller.go("/merchant/sales")

    assert "Nothing sold in these days" in seller.text
    assert "<rect" not in re.sub(r"(?s)^.*<main", "", seller.page.text)


async def test_what_sells_fast_is_told_before_it_is_low(town):
    """Twenty keys of which ten went in a week last two more; what does not sell is not told."""
    await town.north.offer("FAST", keys=30)
    await town.north.offer("SLOW", keys=30)
    for _ in range(10):
        await town.sell(town.north, "FAST")
    town.clock.advance(60)
    seller = await town.join(Role.OWNER)
    await seller.go("/merchant")
    home = seller.text
    await seller.go("/merchant/products")

    assert "FAST" in home
    assert "20 left about 14 days" in " ".join(home.split())
    assert "SLOW" not in home
    assert "about 14 days" in " ".join(seller.text.split())


@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=2), st.integers(1, 28))
def test_the_faster_window_counts_and_no_window_is_shorter_than_a_day(sold, age):
    """A pace is never below what either window says, and never what an hour would say."""
    windows = [
        SaleParts(
            NOW - timedelta(days=min(age, days)),
            [SalePart(str(VARIANT), count, count, count, 0)],
            [],
            [],
        )
        for count, days in zip(sold, (7, 28), strict=True)
    ]
    pace = daily(windows, NOW)[VARIANT]

    assert pace == max(sold[0] / min(age, 7), sold[1] / min(age, 28))
    hour = [SaleParts(NOW - timedelta(hours=1), windows[0].variants, [], [])]
    assert sold[0] == daily(hour, NOW)[VARIANT]


def test_what_is_sold_out_comes_first_and_what_is_low_is_told_without_a_pace():
    """The order is of need: none left, then few days, then what nobody has bought of late."""
    product = ProductId(new_id(NOW))
    low = [LowStock(sku, sku, product, free, 0) for sku, free in (("SOME", 3), ("NONE", 0))]

    assert ["NONE", "SOME"] == [each.sku for each in running([], low, {})]
