"""Numbers: what payments know under one, whoever gave it."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.kernel.ids import to_serial
from vendrail.kernel.numbers import Found, FoundKind, by_number, check, ids_in
from vendrail.payments.accounts import Accounts
from vendrail.payments.attempts import out_trade_no, read_out_trade_no
from vendrail.payments.store import numbers as store
from vendrail.payments.store.base import Row, Store

_HASH_LENGTH_MIN = 40  # No chain's hash is shorter; less would find more than one transaction.


class Numbers:
    """Finds attempts, captures, refunds and what was seen on chains."""

    def __init__(self, base: Store, accounts: Accounts) -> None:
        self._store = base
        self._accounts = accounts

    async def find(self, numbers: Sequence[str]) -> list[list[Found]]:
        """Find what numbers name, in one reading."""
        check(numbers)
        ids = list(ids_in(numbers).values())
        own = {each: pair for each in numbers if (pair := read_out_trade_no(each.upper()))}
        hashes = [each for each in numbers if len(each) >= _HASH_LENGTH_MIN]
        channels: list[UUID] = list(await self._accounts.all())
        found: list[tuple[str | UUID, Found]] = []
        async with self._store.reading() as tx:
            for row in await store.find_attempts(tx, list(own.values()), ids, numbers):
                pair = row["order_id"], row["number"]
                told = _told(FoundKind.ATTEMPT, row, out_trade_no(*pair), "opened_at")
                written = [each for each, said in own.items() if said == pair]
                found += [(key, told) for key in (*written, row["id"], row["key"])]
            for row in await store.find_captures(tx, channels, numbers, ids):
                told = _told(FoundKind.CAPTURE, row, row["provider_number"], "paid_at")
                found += [(key, told) for key in (row["provider_number"], row["id"])]
            for row in await store.find_refunds(tx, ids):
                serial = to_serial(row["id"])
                found.append((row["id"], _told(FoundKind.REFUND, row, serial, "asked_at")))
            if hashes:
                for row in await store.find_sightings(tx, channels, hashes):
                    found.append((row["key"], _arrival(row)))
        return by_number(numbers, found)


def _told(kind: FoundKind, row: Row, number: str, moment: str) -> Found:
    merchants = (row["merchant"],) if row["merchant"] else ()
    return Found(kind, row["id"], number, row[moment], row["order_id"], merchants)


def _arrival(row: Row) -> Found:
    merchants = (row["merchant"],) if row["merchant"] else ()
    id = row["attempt_id"] or row["refund_id"]
    return Found(FoundKind.ARRIVAL, id, row["number"], row["at"], row["order_id"], merchants)
