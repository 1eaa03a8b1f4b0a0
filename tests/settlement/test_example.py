"""The worked example in docs/concepts/settlement.md is what really happens."""

from pathlib import Path

from vendrail.api.settlement import FeeTerms

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "settlement.md"


def read_example() -> list[dict[str, int]]:
    """Read the last table of the page: after each step, what each account holds."""
    lines = PAGE.read_text("utf-8").rpartition("\n| step |")[2].splitlines()
    names = [cell.strip() for cell in lines[0].strip(" |").split("|")]
    rows = [line.strip(" |").split("|")[1:] for line in lines[2:] if line.startswith("|")]
    return [dict(zip(names, map(int, row), strict=True)) for row in rows]


async def test_the_worked_example_holds(world):
    """Each step of the page, done, leaves the accounts as the page says."""
    terms = FeeTerms(world.merchant, "CNY", 290, 30, 50, is_fee_refunded=True)
    await world.settlement.put_fee_terms([terms])
    world.clock.advance(11)
    sale = world.sale(9_999)
    first = world.refund(sale, 3_333, "first")
    second = world.refund(sale, 6_666, "second", refunded_minor=3_333)
    other = world.sale(5_000)

    async def fail_second():
        await world.settlement.return_refunds([second])
        await world.service.recover_debts()

    steps = [
        lambda: world.settlement.book_captures([sale.booking]),
        lambda: world.settlement.split_sales([sale]),
        lambda: world.spend(9_000),
        lambda: world.settlement.open_refunds([first]),
        lambda: world.settlement.pay_refunds([first]),
        lambda: world.settlement.split_sales([other]),
        lambda: world.settlement.open_refunds([second]),
        fail_second,
    ]
    example = read_example()

    assert len(steps) == len(example)
    for step, expected in zip(steps, example, strict=True):
        await step()
        actual = await world.balances()
        assert expected == {name: actual.get(name, 0) for name in expected}
