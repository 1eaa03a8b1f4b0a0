"""`vendrail close`: days closed and shown at the command line."""

import asyncio

from tests.app.conftest import reopened

from vendrail.api.ledger import Ledger


def test_a_day_is_closed_and_shown(place, provider):
    """`run` closes the next day or says why not; `list` and `show` tell what it was."""

    async def pass_days() -> str:
        async with reopened(place.url, place.home, provider) as market:
            day = (await market.house.api(Ledger).read_closing()).day
            ledger = market.house.services["ledger"]
            for _ in range(3):
                market.clock.advance(600)
                while await ledger.seal():
                    pass
            return str(day)

    day = asyncio.run(pass_days())
    early = place.json("close", "run", exit_code=1)
    place.sql("update ledger.account set opened_at = opened_at - interval '2 days'")
    unknown = place.cli("close", "show", day, exit_code=2)
    done = place.json("close", "run")
    again = place.json("close", "run", done["day"])
    listed = place.json("close", "list")
    shown = place.json("close", "show", done["day"])
    acts = place.sql(
        "select document ->> 'subject' as subject from identity.act"
        " where act like 'books.%' order by id"
    )

    assert {"day": day, "status": "not_over"} == early
    assert "not closed" in unknown.output
    assert "closed" == done["status"]
    assert done["day"] < day
    assert "exists" == again["status"]
    assert [done["day"]] == [each["day"] for each in listed]
    assert listed[0]["digest"] == shown["close"]["digest"]
    assert [] == shown["items"]
    assert [f"day:{day}"] * 2 == [each["subject"] for each in acts][:2]
