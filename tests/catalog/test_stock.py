"""The pure side of stock: every move answered, nothing appears or vanishes."""

from collections import Counter
from itertools import product
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.catalog import Allocation, AllocationId, AllocationStatus, KeyId, VariantId
from vendrail.catalog import decide
from vendrail.catalog.decide import Held, Lane, Shelf, Supply
from vendrail.catalog.stock import UNIT, Move, Place, Tally
from vendrail.kernel.errors import Broken

VARIANTS = [UUID(int=n) for n in (1, 2, 3)]
SHELVES = {VARIANTS[0]: Shelf(Supply.KEYS), VARIANTS[1]: Shelf(Supply.KEYS)}


POSSIBLE = {
    ("free", "hold"): "held",
    ("free", "allocate"): "allocated",
    ("free", "void"): "void",
    ("held", "release"): "free",
    ("held", "allocate"): "allocated",
    ("allocated", "undo"): "free",
    ("allocated", "sell"): "sold",
    ("allocated", "void"): "void",
    ("sold", "sell"): "sold",
    ("sold", "void"): "void",
    ("void", "void"): "void",
}


@pytest.mark.parametrize("place, by", list(product(Place, Move)))
def test_every_move_of_every_place_is_answered(place, by):
    """Each pair of place and move leads where it should, or is impossible."""
    if (place, by) in POSSIBLE:
        assert POSSIBLE[place, by] == UNIT.next(place, by)
    else:
        with pytest.raises(Broken, match="cannot meet"):
            UNIT.next(place, by)


def test_what_was_readable_is_never_free_again():
    """From sold and void no chain of moves leads back to free, held or allocated."""
    reached = {Place.SOLD, Place.VOID}
    for _ in Place:
        reached |= {UNIT.next(*pair) for pair in product(reached, Move) if UNIT.is_possible(*pair)}

    assert {Place.SOLD, Place.VOID} == reached


def test_the_diagram_in_the_docs_is_current():
    """docs/concepts/stock.md shows the table as it is."""
    page = Path(__file__).parents[2] / "docs" / "concepts" / "stock.md"

    assert f"```mermaid\n{UNIT.draw()}```" in page.read_text("utf-8")


@given(st.lists(st.tuples(st.sampled_from(Place), st.sampled_from(Move), st.integers(0, 9))))
def test_moves_conserve_units(moves):
    """Whatever moves, the sum over all places stays; a refused move moves nothing."""
    tally = Tally()
    for place, by, count in moves:
        if UNIT.is_possible(place, by):
            tally.move(place, by, count)
        else:
            with pytest.raises(Broken):
                tally.move(place, by, count)

    assert 0 == tally.free + tally.held + tally.allocated + tally.sold + tally.void


@st.composite
def batches(draw_one):
    """Orders that want some quantity of a variant, with holds that fit, do not fit, or lack."""
    news, holds = [], {}
    for number in range(draw_one(st.integers(1, 12))):
        order = UUID(int=1_000 + number)
        variant = draw_one(st.sampled_from(VARIANTS))
        quantity = draw_one(st.integers(1, 3))
        news.append(
            Allocation(AllocationId(UUID(int=2_000 + number)), order, VariantId(variant), quantity)
        )
        if draw_one(st.booleans()):
            holds[order] = Held(
                draw_one(st.sampled_from(VARIANTS[:2])), draw_one(st.integers(1, 3))
            )
    free = {variant: draw_one(st.integers(0, 9)) for variant in VARIANTS[:2]}
    return news, holds, free


def fill(news, holds, free, pool):
    """Do what the service does, on a pool in memory."""
    lanes = {
        variant: Lane(variant, SHELVES.get(variant), free.get(variant, 0)) for variant in VARIANTS
    }
    statuses = decide.plan(lanes, news, dict(holds))
    for lane in lanes.values():
        keys = pool.get(lane.variant, [])
        lane.keys = [keys.pop(0) for _ in range(min(lane.wanted, len(keys)))]
    results, rows = decide.hand_out(lanes, news, statuses)
    for variant, key in decide.spare_keys(lanes.values()):
        pool[variant].append(key)
    return lanes, results, rows


def pool_of(holds, free):
    """Make as many keys as the counters say: free and held."""
    held = Counter()
    for hold in holds.values():
        held[hold.variant] += hold.quantity
    return {
        variant: [KeyId(UUID(int=variant.int * 10_000 + n)) for n in range(count + held[variant])]
        for variant, count in free.items()
    }


@given(batches())
def test_allocation_conserves_units_and_keys(batch):
    """Counters move as the keys do; no key is given twice; all of a quantity or none."""
    news, holds, free = batch
    pool = pool_of(holds, free)
    before = {variant: len(keys) for variant, keys in pool.items()}

    lanes, results, rows = fill(news, holds, free, pool)

    keys = [key for result in results for key in result.keys]
    assert len(keys) == len(set(keys))
    for new, result in zip(news, results, strict=True):
        assert len(result.keys) == (new.quantity if result.status == "allocated" else 0)
    for variant in VARIANTS[:2]:
        tally = lanes[variant].tally
        assert 0 == tally.free + tally.held + tally.allocated
        assert before[variant] - len(pool[variant]) == tally.allocated
        assert len(pool[variant]) == free[variant] + before[variant] - free[variant] + (
            tally.free + tally.held
        )
        assert free[variant] + tally.free >= 0
    assert sorted(new.id for new in news) == sorted({row.id for row in rows})


@given(batches())
def test_a_batch_does_what_its_items_do_one_by_one(batch):
    """One batch gives the same statuses as its items in as many batches."""
    news, holds, free = batch
    _, together, _ = fill(news, holds, dict(free), pool_of(holds, free))

    pool, left, apart = pool_of(holds, free), dict(free), []
    rest = dict(holds)
    for new in news:
        own = {new.order: rest.pop(new.order)} if new.order in rest else {}
        lanes, [result], _ = fill([new], own, left, pool)
        for variant in left:
            left[variant] += lanes[variant].tally.free
        apart.append(result)

    assert [result.status for result in together] == [result.status for result in apart]


@given(batches())
def test_nothing_held_for_others_is_taken(batch):
    """An order whose hold fits is always served, whoever else is in the batch."""
    news, holds, free = batch
    _, results, _ = fill(news, holds, free, pool_of(holds, free))

    for new, result in zip(news, results, strict=True):
        held = holds.get(new.order)
        if held and held.variant == new.variant and held.quantity >= new.quantity:
            assert AllocationStatus.ALLOCATED == result.status


@given(batches())
def test_a_pool_that_is_short_gives_whole_quantities_only(batch):
    """Where the pool holds less than its counters say, spare keys go back and nothing is lost."""
    news, holds, free = batch
    pool = pool_of(holds, free)
    for keys in pool.values():
        del keys[len(keys) // 2 :]
    before = sum(map(len, pool.values()))

    _, results, _ = fill(news, holds, free, pool)

    for new, result in zip(news, results, strict=True):
        assert len(result.keys) in (0, new.quantity)
    assert before == sum(map(len, pool.values())) + sum(len(result.keys) for result in results)


def test_coverage_counts_each_hold_once():
    """Two allocations of one order do not both lean on its one hold."""
    order, variant = UUID(int=9), VARIANTS[0]
    news = [Allocation(AllocationId(UUID(int=n)), order, VariantId(variant), 1) for n in (1, 2)]
    holds = {order: Held(variant, 1)}

    assert decide.are_covered(news[:1], SHELVES, holds)
    assert not decide.are_covered(news, SHELVES, holds)
    assert {order: Held(variant, 1)} == holds
