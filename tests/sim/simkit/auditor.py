"""The auditor of a run: knows which ends each script allows, and looks at all of them."""

from collections import Counter

from simkit.crowd import ALLOWED, Crowd, Script
from simkit.world import broken_promises, read_standings
from vendrail.kernel.db import connect_once


async def examine(crowd: Crowd, dsn: str) -> Counter:
    """Hold every answered order against what is allowed; give how many ended how."""
    standings = await read_standings(dsn)
    wrong = []
    ends = Counter()
    for id, script in crowd.scripts.items():
        found = standings.get(id)
        end = found and (
            found.state, found.captures, found.given_back, len(found.keys), found.void
        )  # fmt: skip
        ends[f"{script}: {found.state if found else 'lost'}"] += 1
        if end != ALLOWED[script]:
            wrong.append((script, id, end))
    keys = [key for standing in standings.values() for key in standing.keys]
    delivered = [standing for standing in standings.values() if standing.state == "delivered"]
    acknowledged, unmatched = await _read_money(dsn)

    assert [] == wrong[:10], f"{len(wrong)} orders have an end that is not allowed"
    assert set(crowd.scripts) == set(standings)
    assert len(delivered) == len(set(keys)) == len(keys)
    assert len(crowd.keys) == len(set(crowd.keys.values()))
    assert set() == crowd.acknowledged - acknowledged
    assert Counter(crowd.scripts.values())[Script.WRONG] == unmatched
    assert [] == await broken_promises(dsn, may_be_empty=False)
    return ends


async def _read_money(dsn: str) -> tuple[set[str], int]:
    """Read which trades were captured, and how many captures fit nothing."""
    connection = await connect_once(dsn)
    try:
        rows = await connection.fetch("select out_trade_no, fit from payments.capture")
    finally:
        await connection.close()
    return {row["out_trade_no"] for row in rows}, sum(row["fit"] != "fits" for row in rows)
