"""The audit proves the books: every promise about money and keys, checked in one snapshot.

Each check names what it examined and, by id, everything that breaks its promise. A check that has
examined nothing proves nothing, so zero rows is not ok. Read-only; safe on a running platform.
"""

from collections.abc import Callable
from typing import Any

from vendrail.api.payments import PaymentCaptured, PaymentEvent, UnmatchedRefunded
from vendrail.app.audit import (
    books,
    goods,
    money,
    outgoing,
    promotions,
    saved,
    shares,
    standing,
    telling,
    verification,
    wallets,
)
from vendrail.app.audit.check import Check, Outcome, Report
from vendrail.kernel.codec import decode
from vendrail.kernel.db import connect_once

__all__ = ["CHECKS", "Check", "Outcome", "Report", "audit"]

CHECKS: tuple[Check, ...] = (
    *books.CHECKS,
    *money.CHECKS,
    *shares.CHECKS,
    *outgoing.CHECKS,
    *goods.CHECKS,
    *wallets.CHECKS,
    *saved.CHECKS,
    *telling.CHECKS,
    *promotions.CHECKS,
    *verification.CHECKS,
    *standing.CHECKS,
)

_PENDING_EVENTS_MAX = 20_000
_FINDINGS_MAX = 1_000
_SESSION = {
    "statement_timeout": "0",
    "jit": "off",
    "work_mem": "64MB",  # Sums over millions of rows stay in memory a little longer.
    # Checks read whole tables. Where PostgreSQL has no statistics of them yet, it expects a few
    # rows, and would look up one row for each of a million.
    "enable_nestloop": "off",
}


def _ignore(_what: str, _done: int, _total: int) -> None:
    """Tell nobody how far it is."""


async def audit(dsn: str, told: Callable[[str, int, int], None] = _ignore) -> Report:
    """Run every check in one snapshot, as the owner of all schemas."""
    connection = await connect_once(dsn, application_name="audit", **_SESSION)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            on_their_way = await _captures_on_their_way(connection)
            outcomes: list[Outcome] = []
            for check in CHECKS:
                told("checks", len(outcomes), len(CHECKS))
                outcomes.append(await _run(connection, check, on_their_way))
            totals = await _totals(connection)
            told("checks", len(outcomes), len(CHECKS))
    finally:
        await connection.close()
    return Report(all(outcome.is_ok for outcome in outcomes), outcomes, totals)


async def _run(connection: Any, check: Check, on_their_way: list[Any]) -> Outcome:
    examined = await connection.fetchval(check.examined)
    values = [on_their_way] if "$1" in check.finds else []
    rows = await connection.fetch(
        f"select id, count(*) over () as count from ({check.finds}) as found (id)"  # noqa: S608
        f" order by id limit {_FINDINGS_MAX}",
        *values,
    )
    findings = [row["id"] for row in rows]
    count = rows[0]["count"] if rows else 0
    return Outcome(check.name, check.promise, examined, findings, count)


async def _captures_on_their_way(connection: Any) -> list[Any]:
    """Read the captures whose events lie beyond the cursor: orders has not heard of them yet."""
    rows = await connection.fetch(
        "select e.events from payments.event e, orders.cursor c where c.source = 'payments'"
        " and (e.xid, e.id) > (c.xid, c.id) order by e.xid, e.id limit $1",
        _PENDING_EVENTS_MAX,
    )
    return [
        event.capture.id
        for row in rows
        for event in decode(row["events"], list[PaymentEvent])
        if isinstance(event, (PaymentCaptured, UnmatchedRefunded))
    ]


async def _totals(connection: Any) -> dict[str, dict[str, int]]:
    """Sum debits and credits per currency, for people to see that they are equal."""
    rows = await connection.fetch(books.TOTALS)
    return {
        row["currency"]: {"debits": row["debits_minor"], "credits": row["credits_minor"]}
        for row in rows
    }
