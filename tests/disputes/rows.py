"""Disputes for pages: rows as the service writes them."""

from datetime import timedelta

from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import new_id


async def add_dispute(url, now, merchant, order=None, outcome="open", **changes):
    """Write a dispute; give its id."""
    id = new_id(now)
    row = {
        "id": id,
        "capture": id,
        "channel": id,
        "channel_name": "stripe",
        "case_number": f"du_{id.hex[-12:]}",
        "provider_number": f"pi_{id.hex[-12:]}",
        "order_id": order,
        "merchant": merchant,
        "amount_minor": 1_990,
        "captured_minor": 1_990,
        "currency": "CNY",
        "fee_minor": 1_500,
        "reason": "fraudulent",
        "outcome": outcome,
        "step": "frozen" if outcome == "open" else "ended",
        "price_minor": 1_990,
        "price_currency": "CNY",
        "frozen_minor": 1_990,
        "opened_at": now,
        "answer_by": now + timedelta(days=7),
        "ended_at": None if outcome == "open" else now,
        "due_at": now,
        **changes,
    }
    names = ", ".join(row)
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    owner = await connect_once(url)
    try:
        await owner.execute(
            f"insert into disputes.dispute ({names}) values ({places})",
            *row.values(),
        )
    finally:
        await owner.close()
    return id
