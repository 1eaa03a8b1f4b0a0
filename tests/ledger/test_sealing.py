"""The sealed journal: chained and signed blocks, proofs that others check, and tampering."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.ledger import Account, BlockCheck, Transfer, TransferCode, TransferId
from vendrail.kernel.db import Database, Retry, connect_once
from vendrail.kernel.ids import new_id
from vendrail.kernel.vault import Vault
from vendrail.ledger import merkle
from vendrail.ledger.service import LedgerService
from vendrail.ledger.settings import LedgerSettings

BANK, SINK = Account("bank", "CNY"), Account("sink", "CNY")
GUIDE = Path(__file__).resolve().parents[2] / "docs/guides/proofs.md"
TWIN = (
    "insert into ledger.transfer (id, subject, at, amount_minor, debit, credit, code)"
    " select gen_random_uuid(), subject, at, amount_minor, debit, credit, code"
    " from ledger.transfer where id = $1"
)
BACK = " select gen_random_uuid(), subject, at - interval '9 days',"
LONG_S = 200.0  # More than anything waits to be sealed.


async def post(ledger, clock, count: int, memo: str = "") -> list[TransferId]:
    """Post transfers of 1, 2, … minor units, one a second."""
    ids = []
    for number in range(1, count + 1):
        id = TransferId(new_id(clock.now()))
        new = Transfer(id, BANK.id, SINK.id, number, TransferCode.PAYOUT, uuid4(), memo=memo)
        await ledger.post_transfers([new])
        ids.append(id)
        clock.advance(1)
    return ids


async def seal_all(service, clock) -> None:
    """Let the sealer look twice, with time in between: then it knows who has ended."""
    for _ in range(4):
        clock.advance(LONG_S)
        while await service.seal():
            pass


@pytest.fixture
async def books(service):
    """A ledger with two accounts."""
    await service.open_accounts([BANK, SINK])
    return service


async def judged(ledger) -> list[BlockCheck]:
    """Check every block there is."""
    head = await ledger.read_head()
    return await ledger.check_blocks(range(1, head.block.number + 1))


@given(st.integers(1, 200), st.data())
def test_every_path_leads_to_the_root_and_no_other(count, data):
    """The path of each leaf gives the tree's root; for another leaf or place it does not."""
    leaves = [merkle.leaf_hash(str(each).encode()) for each in range(count)]
    index = data.draw(st.integers(0, count - 1))
    root, path = merkle.root(leaves), merkle.path(leaves, index)

    assert root == merkle.root_of_path(leaves[index], index, count, path)
    assert root != merkle.root_of_path(merkle.leaf_hash(b"other"), index, count, path)
    if count > 1:
        assert root != merkle.root_of_path(leaves[index], (index + 1) % count, count, path)


def test_the_tree_is_that_of_rfc_6962():
    """The left part is the largest power of two: roots written out by hand for 1, 3 and 7."""

    def node(left, right):
        return merkle.sha256(b"\x01" + left + right).digest()

    a, b, c, d, e, f, g = (merkle.leaf_hash(bytes([each])) for each in range(7))

    assert a == merkle.root([a])
    assert node(node(a, b), c) == merkle.root([a, b, c])
    left, right = node(node(a, b), node(c, d)), node(node(e, f), g)
    assert node(left, right) == merkle.root([a, b, c, d, e, f, g])


async def test_blocks_follow_one_another(ledger, books, clock):
    """Each block begins where the one before ended and names its hash; together they hold all."""
    await post(ledger, clock, 5)
    await seal_all(books, clock)
    await post(ledger, clock, 3)
    await seal_all(books, clock)
    first, second, none = await ledger.read_blocks([1, 2, 3])
    head = await ledger.read_head()

    assert (5, 3, None) == (first.count, second.count, none)
    assert (first.hash, first.last, first.last_us) == (
        second.previous,
        second.after,
        second.after_us,
    )
    assert head.block == second
    assert [BlockCheck.WHOLE] * 2 + [BlockCheck.NOT_FOUND] == await ledger.check_blocks([1, 2, 3])


async def test_what_is_young_is_not_sealed(books, clock):
    """Clocks differ: nothing is sealed before it is as old as they may be apart."""
    await post(books, clock, 2)
    for _ in range(3):
        assert not await books.seal()
    assert None is (await books.read_head()).block


async def test_nothing_is_sealed_past_a_writer(books, books_database, clock):
    """While a transaction that began earlier still runs, what it may write is waited for."""
    await post(books, clock, 2)
    async with books_database.transaction() as slow:
        await slow.fetch_value("select pg_current_xact_id()::text")
        await seal_all(books, clock)
        assert None is (await books.read_head()).block
    await seal_all(books, clock)

    assert 2 == (await books.read_head()).block.count


async def test_a_proof_is_checked_with_the_script_of_the_guide(ledger, books, clock, tmp_path):
    """A merchant proves a transfer offline; nothing that differs in anything passes."""
    script = tmp_path / "verify.py"
    script.write_text(re.search(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)[1])
    ids = await post(ledger, clock, 11, memo="a|b")
    await seal_all(books, clock)
    proofs = await ledger.prove_transfers(ids)

    def run(proof, key):
        file = tmp_path / "proof.json"
        file.write_bytes(msgspec.json.encode(proof))
        return subprocess.run(
            [sys.executable, script, file, key], capture_output=True, text=True, check=False
        )

    good = run(proofs[6], proofs[6].public_key)
    assert (0, True) == (good.returncode, good.stdout.startswith("PROVED: 7 minor units, payout"))
    assert 60 >= len(script.read_text().splitlines())
    for wrong in (
        msgspec.structs.replace(proofs[6], says=proofs[6].says.replace("|7|", "|8|")),
        msgspec.structs.replace(proofs[6], index=5),
        msgspec.structs.replace(proofs[6], path=proofs[6].path[:-1]),
        msgspec.structs.replace(proofs[6], path=[*proofs[6].path, "00" * 32]),
        msgspec.structs.replace(
            proofs[6], block=msgspec.structs.replace(proofs[6].block, previous="11" * 32)
        ),
    ):
        assert 1 == run(wrong, proofs[6].public_key).returncode
    assert 1 == run(proofs[6], "22" * 32).returncode


async def test_what_is_not_sealed_has_no_proof(ledger, books, clock):
    """An unknown transfer and one that is not sealed yet have none."""
    [young] = await post(ledger, clock, 1)
    proofs = await ledger.prove_transfers([young, TransferId(uuid4())])

    assert [None, None] == proofs


@pytest.mark.parametrize(
    "change, found",
    [
        (
            "update ledger.transfer set amount_minor = amount_minor + 1 where id = $1",
            "root_differs",
        ),
        ("update ledger.transfer set memo = 'other' where id = $1", "root_differs"),
        ("update ledger.transfer set at = at + interval '1 us' where id = $1", "root_differs"),
        ("delete from ledger.transfer where id = $1", "count_differs"),
        (TWIN, "count_differs"),
    ],
)
async def test_whoever_writes_past_the_ledger_is_found(books, database_url, clock, change, found):
    """A transfer changed, taken out or put in by hand: its block, and no other, tells."""
    await post(books, clock, 4)
    await seal_all(books, clock)
    ids = await post(books, clock, 4)
    await seal_all(books, clock)
    owner = await connect_once(database_url)
    await owner.execute(change, ids[1])
    await owner.close()

    assert [BlockCheck.WHOLE, BlockCheck(found)] == await judged(books)


@pytest.mark.parametrize("column", ["hash", "signature", "previous", "root"])
async def test_a_changed_block_is_found(books, database_url, clock, column):
    """Blocks cannot be written anew without the key: each column is covered."""
    await post(books, clock, 4)
    await seal_all(books, clock)
    owner = await connect_once(database_url)
    await owner.execute(f"update ledger.block set {column} = sha256({column})")
    await owner.close()

    assert [BlockCheck.WHOLE] != await judged(books)


async def test_another_key_is_found(books, books_database, clock, tmp_path):
    """A chain signed with another key than ours is not ours."""
    await post(books, clock, 4)
    await seal_all(books, clock)
    other = LedgerService(books_database, clock, Vault.open(tmp_path), LedgerSettings())

    assert [BlockCheck.SIGNATURE_WRONG] == await judged(other)


async def test_many_transfers_make_whole_blocks(books, clock):
    """A long journal is sealed in blocks of 4,096, with gaps of days in it, and nothing is left."""
    for days in (0, 40, 3):
        clock.advance(days * 86_400)
        for _ in range(2):
            now = clock.now()
            batch = [
                Transfer(TransferId(new_id(now)), BANK.id, SINK.id, 1, TransferCode.PAYOUT, uuid4())
                for _ in range(3_000)
            ]
            await books.post_transfers(batch)
            clock.advance(30)
    await seal_all(books, clock)
    head = await books.read_head()
    blocks = await books.read_blocks(range(1, head.block.number + 1))

    assert 18_000 == sum(block.count for block in blocks)
    assert 4_096 == max(block.count for block in blocks)
    assert {BlockCheck.WHOLE} == set(await judged(books))


async def test_what_is_put_before_the_first_block_is_found(books, database_url, clock):
    """A transfer dated before anything was sealed lies in no block: the first one tells."""
    [id] = await post(books, clock, 1)
    await seal_all(books, clock)
    owner = await connect_once(database_url)
    await owner.execute(TWIN.replace(" select gen_random_uuid(), subject, at,", BACK), id)
    await owner.close()

    assert [BlockCheck.COUNT_DIFFERS] == await judged(books)


class Starved:
    """A database whose connections are all taken for a while, by the clock."""

    def __init__(self, db: Database, clock: Any) -> None:
        self._db = db
        self._clock = clock

    def transaction(self) -> Any:
        """Wait for a connection, then begin."""
        self._clock.advance(21)
        return self._db.transaction()

    def reading(self) -> Any:
        """Read at once."""
        return self._db.reading()


async def test_what_waited_too_long_is_dated_anew(books, books_database, clock, vault):
    """A batch that waited for a connection longer than the sealer allows is not written so."""
    starved = LedgerService(Starved(books_database, clock), clock, vault, LedgerSettings())
    id = TransferId(new_id(clock.now()))
    new = Transfer(id, BANK.id, SINK.id, 1, TransferCode.PAYOUT, uuid4())
    with pytest.raises(Retry):
        await starved.post_transfers([new])

    assert [None] == await books.prove_transfers([id])
    assert ["created"] == [each.status for each in await books.post_transfers([new])]
