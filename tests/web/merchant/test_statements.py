"""Statements on their page and as files: whatever the form, the lines lead to what is there."""

import csv
import io
import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from pypdf import PdfReader

from vendrail.api.identity import Role
from vendrail.api.ledger import Chart, Ledger, Transfer, TransferCode, TransferId
from vendrail.api.orders import RefundOrder
from vendrail.api.settlement import HoldTerms
from vendrail.kernel.ids import named_id, new_id
from vendrail.web.papers import sheets

GUIDE = Path(__file__).parents[3] / "docs/guides/statements.md"
PARTS = ("available", "pending", "reserve", "frozen", "deposit", "debt")


async def trade(town) -> dict[str, Decimal]:
    """Sell some, give one back; say what the merchant has by part."""
    terms = HoldTerms(
        town.north.merchant, pending_hours=48, reserve_basis_points=1_000, reserve_days=45
    )
    await town.north.settlement.put_hold_terms([terms])
    await town.north.offer("GAME", keys=9)
    await town.sell(town.north, "GAME", 2)
    town.clock.advance(11)
    order = await town.sell(town.north, "GAME")
    refund = RefundOrder(new_id(town.clock.now()), order, 500, "asked", "lin")
    await town.north.orders.refund_orders([refund])
    await town.north.run()
    [held] = await town.north.settlement.read_merchant_balances([(town.north.merchant, "CNY")])
    return {
        "available": Decimal(held.available_minor) / 100,
        "pending": Decimal(held.pending_minor) / 100,
        "reserve": Decimal(held.reserve_minor) / 100,
    }


def number(text) -> Decimal:
    return Decimal(str(text)) if text not in ("", None) else Decimal(0)


async def test_page_and_files_tell_the_same_and_add_up(town, tmp_path):
    """CSV and XLSX hold the same lines; from opening by every line to closing; the page sums so."""
    held = await trade(town)
    town.clock.advance(61)
    browser = await town.join(Role.FINANCE)
    await browser.go("/merchant/statements?month=2026-11")
    page = browser.text
    files = {
        ending: (await browser.http.get(f"/merchant/statements/statement.{ending}?month=2026-11"))
        for ending in ("csv", "xlsx", "json", "pdf")
    }
    opening, *lines, closing = csv.DictReader(io.StringIO(files["csv"].content.decode("utf-8-sig")))
    book = openpyxl.load_workbook(io.BytesIO(files["xlsx"].content))
    head, *cells = book.worksheets[0].iter_rows(values_only=True)
    seal = json.loads(files["json"].content)
    for ending, answer in files.items():
        (tmp_path / f"statement.{ending}").write_bytes(answer.content)
    script = GUIDE.read_text("utf-8").split("```python\n")[1].split("```")[0]
    words = [sys.executable, "-c", script, "statement.csv", "statement.json", seal["public_key"]]
    verified = subprocess.run(words, check=False, cwd=tmp_path, capture_output=True, text=True)
    text = files["csv"].content.decode()
    (tmp_path / "statement.csv").write_text(text.replace(",sale,", ",gift,"), "utf-8")
    forged = subprocess.run(words, check=False, cwd=tmp_path, capture_output=True, text=True)

    for part in PARTS:
        moved = sum(number(each[part]) for each in lines)
        assert number(closing[part]) == number(opening[part]) + moved
        assert held.get(part, 0) == number(closing[part])
    assert number(closing["balance"]) == sum(held.values()) == number(lines[-1]["balance"])
    assert any("2.50 % + CN¥0.10" in each["explanation"] for each in lines), "Fees are explained."
    assert {"1.10"} <= {each["fee"] for each in lines}
    fees = sum(number(each["fee"]) for each in lines)
    assert fees > 0
    assert fees == number(closing["fee"]) == number(cells[-1][4])
    assert f"Fees kept of the month’s sales: CN¥{fees}" in page
    assert f"Closing balance 4 CN¥{held['available']}" in page
    assert len(cells) == len(lines) + 2
    assert head[:4] == ("Time", "Movement", "Explanation", "Number")
    for row, line in zip(cells[1:-1], lines, strict=True):
        assert (line["movement"], line["explanation"]) == row[1:3]
        assert [number(line[part]) for part in PARTS] == [number(each) for each in row[5:11]]
    paper = " ".join(each.extract_text() for each in PdfReader(tmp_path / "statement.pdf").pages)
    told = paper.replace("\u200b", "").replace("\n", " ")
    for line in lines:
        assert line["time"] in told
        assert f"{number(line['balance']):,}" in told
    for words in ("North", "2026-11", "Opening balance", "By reason", "Every movement"):
        assert words in told
    assert "2.50 % + CN¥0.10" in told
    assert f"Fees kept of the month’s sales: {fees}" in told
    assert "The lines are as they were signed.\n" == verified.stdout
    assert "The lines are not those that were signed.\n" == forged.stderr
    assert len(lines) == seal["count"]


async def test_the_files_of_a_running_month_end_where_nothing_moves_any_more(town):
    """Sums and lines are read one after the other: what is added in between is in neither."""
    await trade(town)
    browser = await town.join(Role.FINANCE)
    answer = await browser.http.get("/merchant/statements/statement.json?month=2026-11")
    until_us = int(json.loads(answer.content)["says"].split("\n")[4])

    assert until_us <= (town.clock.now().timestamp() - 60) * 1_000_000


async def test_each_page_goes_on_where_the_last_one_ended(town):
    """The lines of a long month come in pages, each line once, in the order of time."""
    ledger, chart = town.house.api(Ledger), Chart("CNY")
    capital, available = chart.capital("tests"), chart.merchant(town.north.merchant, "available")
    await ledger.open_accounts([capital, available])
    now = town.clock.now()
    gifts = [
        Transfer(
            TransferId(new_id(now)), capital.id, available.id, number, TransferCode.ADJUSTMENT, id
        )
        for number, id in ((number, new_id(now)) for number in range(1, 54))
    ]
    await ledger.post_transfers(gifts)
    browser = await town.join(Role.FINANCE)
    await browser.go("/merchant/statements")
    first = re.findall(r">\+CN¥(0\.\d\d)<", browser.page.text.partition('id="lines"')[2])
    later = re.search(r'href="([^"]*)" rel="next"', browser.page.text)[1]
    await browser.go(later.replace("&amp;", "&").partition("#")[0])
    second = re.findall(r">\+CN¥(0\.\d\d)<", browser.page.text.partition('id="lines"')[2])

    assert (50, 3) == (len(first), len(second))
    assert {f"0.{number:02}" for number in range(1, 54)} == {*first, *second}
    assert 'rel="next"' not in browser.page.text


async def test_months_reach_from_the_merchants_first_to_this_one(town):
    """No month before the merchant is offered; with years behind it, all can be reached."""
    browser = await town.join(Role.FINANCE)

    async def offered(path="/merchant/statements"):
        await browser.go(path)
        chips = browser.page.text.partition('aria-label="Month"')[2].partition("</nav>")[0]
        return re.findall(r'href="([^"]*)"[^>]*>([^<]*)<', chips.replace("&amp;", "&"))

    first = [name for _, name in await offered()]
    town.clock.advance(400 * 86_400)
    browser = await town.join(Role.FINANCE, email="later@north.example")
    later = await offered()
    older = await offered(later[-1][0])

    assert ["2026-11"] == first
    assert ["2027-12", "2027-01", "Older"] == [name for _, name in (later[0], *later[-2:])]
    assert ["Newest", "2026-12", "2026-11"] == [name for _, name in older]


async def test_a_year_is_offered_where_nothing_tells_when_the_merchant_began(town):
    """An id that was made of a name has no moment in it: its merchant reaches the last year."""
    old = await town.settle("Old", named_id("a merchant by name"))
    browser = await town.join(Role.FINANCE, old)
    await browser.go("/merchant/statements")

    assert {"2026-11", "2026-01", "2025-12"} <= set(re.findall(r"\b20\d\d-\d\d\b", browser.text))


async def test_a_statement_is_the_own_one_and_only_for_who_may(town):
    """Another merchant's month is empty for them; support reads none at all."""
    await trade(town)
    south = await town.join(Role.FINANCE, town.south)
    support = await town.join(Role.SUPPORT)
    theirs = await south.http.get("/merchant/statements/statement.csv?month=2026-11")
    refused = [
        (await support.http.get(f"/merchant/statements{path}")).status_code
        for path in ("", "/statement.csv", "/statement.xlsx", "/statement.pdf", "/statement.json")
    ]

    assert 3 == len(theirs.text.splitlines())
    assert [403] * 5 == refused


@pytest.mark.parametrize(
    "begin", ["=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20"]
)
def test_no_text_of_a_file_is_a_formula(begin):
    """A text that a spreadsheet would run is quoted in CSV, and a plain text in XLSX."""
    bad = f"{begin}HYPERLINK(1)"
    [[told, amount]] = csv.reader(io.StringIO(sheets.csv_text([[bad, Decimal("-1.50")]])))
    book = sheets.Workbook(2)
    book.begin("One", ["A"], [10])
    content = book.add([[bad, Decimal("-1.50")]]) + book.end()
    sheet = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0]

    assert (f"'{bad}", "-1.50") == (told, amount)
    assert ("s", -1.5) == (sheet["A2"].data_type, sheet["B2"].value)
    assert "HYPERLINK(1)" in sheet["A2"].value


def test_a_workbook_goes_on_with_another_sheet_and_says_any_text():
    """A full sheet is followed by one of the same heading; signs that XML has not are left out."""
    book = sheets.Workbook(0, rows_of_sheet_max=100)
    book.begin("Lines <&>", ["No", "What"], [10, 10])
    count = 105
    rows = ([number, "a<b>\x01&\"'单" if number > count - 3 else None] for number in range(count))
    content = book.add(rows) + book.end()
    read = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
    second = list(read.worksheets[1].iter_rows(values_only=True))

    assert ["Lines <&>", "Lines <&> +"] == read.sheetnames
    assert ("No", "What") == second[0]
    assert (count - 1, "a<b>&\"'单") == second[-1]
    assert 7 == len(second)
