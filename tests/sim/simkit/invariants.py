"""What must hold after every step, in one snapshot of the database, whatever is under way."""

from typing import Any
from uuid import UUID

from simkit.actors import Violation
from vendrail.app.audit.books import CHECKS as BOOKS
from vendrail.app.audit.books import TOTALS
from vendrail.app.audit.goods import CHECKS as GOODS

_CHECKED = ("transfers_have_two_sides", "currencies_are_apart", "balances_are_sums",
            "keys_are_sold_once", "stock_is_counted")  # fmt: skip
_LATER = {
    "placed": {"placed", "expired", "cancelled", "delivered", "refunded"},
    "expired": {"expired", "delivered", "refunded"},
    "cancelled": {"cancelled", "delivered", "refunded"},
    "delivered": {"delivered", "refunded"},
    "refunded": {"refunded"},
}


class Invariants:
    """Looks after every step, and remembers what it has seen."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._states: dict[UUID, str] = {}
        self._readable: dict[UUID, UUID] = {}  # Key → its order.

    async def check(self) -> None:
        """Raise where a promise does not hold."""
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            for row in await self._connection.fetch(TOTALS):
                if row["debits_minor"] != row["credits_minor"]:
                    raise Violation(f"Debits are not credits: {dict(row)}")
            for check in (*BOOKS, *GOODS):
                if check.name in _CHECKED:
                    found = await self._connection.fetch(check.finds)
                    if found:
                        raise Violation(f"{check.name}: {[tuple(row) for row in found[:3]]}")
            await self._check_refunds()
            await self._check_states()
            await self._check_keys()

    async def _check_refunds(self) -> None:
        found = await self._connection.fetch(
            "select c.id from payments.capture c join payments.refund r on r.capture_id = c.id"
            " where r.state <> 'failed' group by c.id, c.amount_minor"
            " having sum(r.amount_minor) > c.amount_minor"
        )
        if found:
            raise Violation(f"More goes back than came: {[row['id'] for row in found]}")

    async def _check_states(self) -> None:
        for row in await self._connection.fetch('select id, state from orders."order"'):
            before = self._states.get(row["id"], "placed")
            if row["state"] not in _LATER[before]:
                raise Violation(f"Order {row['id']} went from {before} to {row['state']}")
            self._states[row["id"]] = row["state"]

    async def _check_keys(self) -> None:
        for row in await self._connection.fetch(
            'select a.key, o.id from orders."order" o join catalog.allocation a'
            " on a.id = o.allocation where o.delivered_at is not null and a.key is not null"
        ):
            owner = self._readable.setdefault(row["key"], row["id"])
            if owner != row["id"]:
                raise Violation(f"Key {row['key']} is readable by {owner} and {row['id']}")
        free = await self._connection.fetch("select key from catalog.free_key")
        again = {row["key"] for row in free} & self._readable.keys()
        if again:
            raise Violation(f"Keys that were readable are free again: {again}")
