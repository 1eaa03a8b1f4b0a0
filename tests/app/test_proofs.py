"""The sealed journal from the command line: its head, its proofs, and the audit of all of it."""

import asyncio
import json

from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import to_serial


def seal(place, provider) -> None:
    """Let minutes pass for the ledger, so that all there is becomes sealed."""

    async def work() -> None:
        async with place.market(provider) as market:
            ledger = market.house.services["ledger"]
            for _ in range(4):
                market.clock.advance(200)
                await ledger.seal()

    asyncio.run(work())


def test_the_audit_hashes_the_sealed_journal_anew(place, provider):
    """With `--proofs` it proves the blocks too; whoever changed a memo is found, by the block."""
    nothing = place.json("audit", "--proofs", exit_code=1)
    seal(place, provider)
    whole = place.json("audit", "--proofs")

    async def change() -> None:
        owner = await connect_once(place.url)
        await owner.execute(
            "update ledger.transfer set memo = 'x' where id = (select last_id from ledger.block)"
        )
        await owner.close()

    asyncio.run(change())
    found = place.json("audit", "--proofs", exit_code=1)

    assert 0 == nothing["counts"]["blocks_are_whole"]
    assert (True, 1) == (whole["ok"], whole["counts"]["blocks_are_whole"])
    assert ["1: root_differs"] == found["findings"]["blocks_are_whole"]


def test_the_audit_hashes_closed_days_anew(place, provider):
    """With `--proofs` it proves closed days too, where there are any; a changed sum is found."""
    seal(place, provider)
    place.sql("update ledger.account set opened_at = opened_at - interval '2 days'")
    day = place.json("close", "run")["day"]
    whole = place.json("audit", "--proofs")
    place.sql("update ledger.close set signature = sha512('x')")
    found = place.json("audit", "--proofs", exit_code=1)

    assert (True, 1) == (whole["ok"], whole["counts"]["closes_are_whole"])
    assert {"closes_are_whole": [f"{day}: signature_wrong"]} == found["findings"]


def test_proofs_of_an_order_are_written(place, provider):
    """Each transfer of an order has its proof, by the block that the head tells; before, none."""
    serial = to_serial(place.orders["sold"])
    early = place.cli("ledger", "prove", serial, exit_code=2)
    assert None is place.json("ledger", "head")["block"]
    seal(place, provider)
    head = place.json("ledger", "head")
    proofs = [json.loads(each) for each in place.cli("ledger", "prove", serial).stdout.splitlines()]

    assert "younger than" in early.output
    assert {"capture", "sale", "fee"} <= {each["says"].split("|")[13] for each in proofs}
    assert [head["block"]] * len(proofs) == [each["block"] for each in proofs]
    assert {head["public_key"]} == {each["public_key"] for each in proofs}
    assert head["block"]["hash"] in place.cli("ledger", "head").stdout.replace("\n", "")
