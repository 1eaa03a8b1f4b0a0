"""Merchants find what their own numbers name; what is others' is nowhere."""

from tests.web.console.conftest import make_app

from vendrail.api.identity import Role
from vendrail.api.ledger import Ledger
from vendrail.api.payments import Payments
from vendrail.kernel.ids import to_serial

PATH = "/merchant/search"


async def numbers_of(town, order) -> list[str]:
    """Give numbers that lead to an order: its own, the provider's, those of what moved."""
    [[capture]] = await town.house.api(Payments).read_captures([order])
    [posted] = await town.house.api(Ledger).read_transfers([order])
    moved = [to_serial(each.transfer.id) for each in posted]
    return [to_serial(order), capture.provider_number, *moved]


async def test_own_numbers_are_found_and_others_are_nowhere(town):
    """Each number of a sale leads its merchant to it; to another merchant it does not exist."""
    await town.north.offer("SKU", keys=3)
    order = await town.sell(town.north, "SKU")
    own, other = await town.join(Role.OWNER), await town.join(Role.OWNER, town.south)
    numbers = await numbers_of(town, order)

    for number in numbers[:2]:
        await own.go(f"{PATH}?q={number}")
        assert 200 == own.page.status_code
        assert f'href="/merchant/orders/{to_serial(order)}"' in own.page.text
        assert "In the books" in own.page.text
    for number in numbers:
        await other.go(f"{PATH}?q={number}")
        assert 404 == other.page.status_code
        assert f"Searched for: {number}" in other.page.text
        assert to_serial(order) not in other.page.text.replace(number, "")
    assert f"number:{numbers[0]}" in [each.subject for each in await town.acts(town.north)]


async def test_a_number_copied_from_a_paper_is_found(town):
    """What a PDF puts between the digits, to break a long number anywhere, is not searched for."""
    await town.north.offer("SKU", keys=3)
    order = to_serial(await town.sell(town.north, "SKU"))
    own = await town.join(Role.OWNER)
    await own.go(f"{PATH}?q={'%E2%80%8B'.join(order)}%EF%BB%BF")

    assert 200 == own.page.status_code
    assert f'href="/merchant/orders/{order}"' in own.page.text


async def test_a_person_who_asks_again_and_again_is_turned_away_before_the_log(town):
    """Beyond the limit of one person nothing is looked up or written; another goes on."""
    asked: dict[str, int] = {}

    async def two_each(key: str) -> float:
        asked[key] = asked.get(key, 0) + 1
        return 0.0 if asked[key] <= 2 else 30.0

    town.world.app = make_app(town.house, town.home, act_limit=two_each)
    own, other = await town.join(Role.OWNER), await town.join(Role.OWNER, town.south)
    codes = []
    for number in range(4):
        await own.go(f"{PATH}?q=nothing-{number}")
        codes.append(own.page.status_code)
    await other.go(f"{PATH}?q=nothing")
    told = [each.act for each in await town.acts(town.north)]

    assert ([404, 404, 429, 429], 404) == (codes, other.page.status_code)
    assert 2 == told.count("number.searched")
