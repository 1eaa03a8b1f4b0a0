"""A month of a marketplace: every kind of event, audited each day, and in the end explained."""

import asyncio
import gc
import os

import pytest
from monthkit.ends import MUST
from monthkit.month import WHOLE, Size, live_through
from monthkit.plans import write

_SHORT = Size(days=2, merchants=9, orders_per_tick=12)
_DAYS_TOLD = os.environ.get("VENDRAIL_SIM_DAYS", "")


@pytest.mark.slow
@pytest.mark.timeout(0)
# A house that was killed has closed nothing: its sockets are found when memory is cleared.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_month_ends_with_every_account_explained(platform_url, tmp_path, seed, is_whole, tell):
    """Whatever happens in a month, each day's audit is clean, and the end is as the banks say."""
    size = _SHORT if not is_whole else WHOLE
    if is_whole and _DAYS_TOLD:
        size = Size(int(_DAYS_TOLD), WHOLE.merchants, WHOLE.orders_per_tick)
    progress = tell if is_whole else lambda _: None

    counted = asyncio.run(live_through(seed, size, platform_url, tmp_path, progress))

    gc.collect()  # Here, where it is known why sockets are still open.
    tell(f"seed {seed}: {size}, {size.orders} orders")
    if is_whole:
        missed = [name for name in MUST if not counted[name]]
        tell(*(f"  {name:52} {count}" for name, count in sorted(counted.items())))
        tell(f"  never happened: {', '.join(missed) or 'none'}")
        assert [] == missed or size.days < WHOLE.days


def test_a_seed_is_a_month():
    """One seed gives one script, whatever the order in which it is read; another gives another."""
    first, again, other = write(7, 24, 10), write(7, 24, 20), write(8, 24, 10)
    plans = [*next(first), *next(first)]

    assert plans == next(again)
    assert plans[:10] != next(other)
