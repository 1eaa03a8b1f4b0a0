"""What readers want: their hours, and the kinds of letters they have spoken of."""

from collections.abc import Sequence
from datetime import datetime

from vendrail.api.notify import LetterWay
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.db import Transaction
from vendrail.notify.wishes import NONE, Wishes


async def hold(tx: Transaction, reader: bytes) -> None:
    """Let whoever writes of this reader next wait."""
    await tx.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"reader:{reader.hex()}"
    )


async def load(tx: Transaction, readers: Sequence[bytes]) -> dict[bytes, Wishes]:
    """Read what readers want; who has never said is not among them."""
    rows = await tx.fetch(
        "select n.address, r.quiet_from, r.quiet_until, r.zone, r.ways,"
        " array(select w.template from notify.wish w"
        "  where w.address = n.address and not w.is_wanted) as unwanted"
        " from unnest($1::bytea[]) n (address) left join notify.reader r using (address)",
        list(dict.fromkeys(readers)),
    )
    found = {
        row["address"]: Wishes(
            frozenset(row["unwanted"]),
            row["quiet_from"],
            row["quiet_until"],
            row["zone"] or NONE.zone,
            decode(row["ways"] or "{}", dict[str, LetterWay]),
        )
        for row in rows
    }
    return {reader: wishes for reader, wishes in found.items() if wishes != NONE}


async def put_reader(tx: Transaction, reader: bytes, wishes: Wishes) -> None:
    """Keep a reader's hours."""
    await tx.execute(
        "insert into notify.reader (address, quiet_from, quiet_until, zone, ways)"
        " values ($1, $2, $3, $4, $5)"
        " on conflict (address) do update set quiet_from = excluded.quiet_from,"
        " quiet_until = excluded.quiet_until, zone = excluded.zone, ways = excluded.ways",
        reader,
        wishes.quiet_from,
        wishes.quiet_until,
        wishes.zone,
        encode(dict(wishes.ways)).decode(),
    )


async def put_wish(
    tx: Transaction, reader: bytes, template: str, now: datetime, *, is_wanted: bool
) -> None:
    """Keep whether a reader wants letters of a kind, and since when."""
    await tx.execute(
        "insert into notify.wish (address, template, is_wanted, at) values ($1, $2, $3, $4)"
        " on conflict (address, template) do update set is_wanted = excluded.is_wanted,"
        " at = excluded.at",
        reader,
        template,
        is_wanted,
        now,
    )


async def load_wish(tx: Transaction, reader: bytes, template: str) -> tuple[bool, datetime] | None:
    """Read what a reader has said of one kind of letters; None: nothing."""
    row = await tx.fetch_row(
        "select is_wanted, at from notify.wish where address = $1 and template = $2",
        reader,
        template,
    )
    return (row["is_wanted"], row["at"]) if row is not None else None
