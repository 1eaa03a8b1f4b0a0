"""Statements: whatever moved between a merchant's parts, the lines lead from opening to closing."""

import random
from collections import Counter
from datetime import timedelta
from hashlib import sha256
from uuid import UUID, uuid4

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from vendrail.api.ledger import (
    Chart,
    StatementLinesQuery,
    StatementQuery,
    Transfer,
    TransferCode,
    TransferId,
    TransferKind,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id

OURS, OTHER = UUID(int=7), UUID(int=8)
CHART = Chart("CNY")
CODES = (TransferCode.SALE, TransferCode.REFUND, TransferCode.FREEZE, TransferCode.RELEASE)


def part_of(account, merchant=OURS) -> str:
    """Name a merchant's part by the account's name; empty: it is not theirs."""
    words = account.name.split(":")
    return words[2] if words[:2] == ["merchant", str(merchant)] else ""


async def live(service, clock, seed):
    """Let money move for some days; give what was posted, as (moment, transfer, debit, credit)."""
    chance = random.Random(seed)
    due = [clock.now() + timedelta(hours=hours) for hours in (3, 3, 90)]
    accounts = [
        CHART.held(OURS),
        CHART.platform_fee(),
        CHART.merchant(OTHER, "available"),
        Chart("USD").merchant(OURS, "available"),
        Chart("USD").held(OURS),
        *(CHART.merchant(OURS, part) for part in ("available", "frozen", "debt", "deposit")),
        *(CHART.bucket(OURS, part, at) for part in ("pending", "reserve") for at in due),
    ]
    await service.open_accounts(accounts)
    posted = []
    for _ in range(40):
        clock.advance(chance.choice([0, 0, 1, 600, 40_000]))
        pairs = [chance.sample(accounts, 2) for _ in range(chance.randint(1, 6))]
        batch = [
            Transfer(
                TransferId(new_id(clock.now())),
                debit.id,
                credit.id,
                chance.randint(1, 500),
                chance.choice(CODES),
                uuid4(),
                chance.choice([TransferKind.SINGLE] * 5 + [TransferKind.PENDING]),
            )
            for debit, credit in pairs
        ]
        results = await service.post_transfers(batch)
        for pair, each, result in zip(pairs, batch, results, strict=True):
            if result.is_done:
                posted.append((clock.now(), each, *pair))
    held = [each for each in posted if each[1].kind is TransferKind.PENDING]
    for _, each, debit, credit in held[::2]:
        id, subject = TransferId(new_id(clock.now())), each.subject
        post = Transfer(id, debit.id, credit.id, 0, each.code, subject, TransferKind.POST, each.id)
        [result] = await service.post_transfers([post])
        assert result.is_done
        posted.append((clock.now(), post, debit, credit))
    return posted


async def read_all(ledger, query, lines_max):
    """Read a statement's lines page by page."""
    lines, after = [], None
    while True:
        [page] = await ledger.read_statement_lines([StatementLinesQuery(query, after, lines_max)])
        assert len(page.lines) <= lines_max
        lines += page.lines
        after = page.next
        if after is None:
            return lines


def moved(lines) -> Counter:
    """Add up by part what lines moved."""
    sums = Counter()
    for line in lines:
        sums[line.source] -= line.amount_minor
        sums[line.target] += line.amount_minor
    return Counter({part: minor for part, minor in sums.items() if part and minor})


@pytest.mark.parametrize("seed", range(4))
async def test_lines_lead_from_opening_to_closing_and_to_the_balances(ledger, service, clock, seed):
    """In each stretch of time, with pages of any size; the last closing is what the books hold."""
    begin = clock.now()
    posted = await live(service, clock, seed)
    end = clock.now() + timedelta(seconds=1)
    cuts = [begin, begin + (end - begin) / 3, posted[len(posted) // 2][0], end]
    before = Counter()
    for since, until in zip(sorted(cuts), sorted(cuts)[1:], strict=False):
        query = StatementQuery(OURS, "CNY", since, until)
        [statement] = await ledger.read_statements([query])
        lines = await read_all(ledger, query, 1 + seed * 3)
        opening, closing = Counter(statement.opening), Counter(statement.closing)

        assert before == Counter({part: each for part, each in opening.items() if each})
        opening.update(moved(lines))
        assert +opening == +closing
        assert -opening == -closing
        assert len(lines) == statement.count
        assert sum(each.fee_minor for each in lines) == statement.fees_minor
        assert lines == sorted(lines, key=lambda each: (each.at, each.transfer))
        before = Counter({part: each for part, each in closing.items() if each})
    expected = {
        (each.id, part_of(debit), part_of(credit))
        for _, each, debit, credit in posted
        if each.kind is not TransferKind.PENDING
        and (part_of(debit) or part_of(credit))
        and debit.currency == "CNY"
    }
    lines = await read_all(ledger, StatementQuery(OURS, "CNY", begin, end), 50)
    available, debt = (CHART.merchant(OURS, part).id for part in ("available", "debt"))
    balances = await ledger.read_balances([available, debt])

    assert expected == {(each.transfer, each.source, each.target) for each in lines}
    assert expected, "Something moved."
    assert [before["available"], before["debt"]] == [each.credit_minor for each in balances]


async def test_a_sale_is_told_with_what_was_kept_of_its_price_once(ledger, service, clock):
    """The fee and the channel's cost of an order stand at its first line, whatever parts it has."""
    due = CHART.bucket(OURS, "pending", clock.now() + timedelta(hours=3))
    held, available = CHART.held(OURS), CHART.merchant(OURS, "available")
    accounts = [held, available, due, CHART.platform_fee(), CHART.platform_channel_cost()]
    await service.open_accounts(accounts)
    order, begin = uuid4(), clock.now()
    legs = [
        (available, 80, TransferCode.SALE),
        (due, 10, TransferCode.SALE),
        (CHART.platform_fee(), 7, TransferCode.FEE),
        (CHART.platform_channel_cost(), 3, TransferCode.CHANNEL_COST),
    ]
    await service.post_transfers(
        [
            Transfer(TransferId(new_id(clock.now())), held.id, account.id, minor, code, order)
            for account, minor, code in legs
        ]
    )
    query = StatementQuery(OURS, "CNY", begin, clock.now() + timedelta(seconds=1))
    lines = await read_all(ledger, query, 10)
    [statement] = await ledger.read_statements([query])

    assert 10 == statement.fees_minor
    assert [10, 0] == [each.fee_minor for each in lines]
    assert {"available": 80, "pending": 10} == dict(moved(lines))


async def test_a_signed_statement_is_proven_by_its_lines(ledger, service, clock, books_database):
    """Digest and signature fit what the lines say; a line that is changed gives another digest."""
    begin = clock.now()
    await live(service, clock, 9)
    query = StatementQuery(OURS, "CNY", begin, clock.now() + timedelta(seconds=1))
    [seal] = await ledger.sign_statements([query])
    lines = await read_all(ledger, query, 100)
    text = "".join(
        f"{int(each.at.timestamp()) * 10**6 + each.at.microsecond}|{each.transfer}|{each.code}|"
        f"{each.source}|{each.target}|{each.amount_minor}\n"
        for each in lines
    )
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(seal.public_key))
    key.verify(bytes.fromhex(seal.signature), seal.says.encode())
    async with books_database.transaction() as tx:
        await tx.execute(
            "update ledger.transfer set amount_minor = amount_minor + 1 where id = $1",
            lines[3].transfer,
        )
    [changed] = await ledger.sign_statements([query])

    assert sha256(text.encode()).hexdigest() == seal.digest
    assert (len(lines), seal.digest) == (seal.count, seal.says.splitlines()[-1])
    assert changed.digest != seal.digest
    with pytest.raises(InvalidSignature):
        key.verify(bytes.fromhex(seal.signature), changed.says.encode())


async def test_a_statement_of_nothing_is_empty_and_a_wrong_one_is_refused(ledger, clock):
    """Who has no accounts has no lines; an end before the beginning is refused."""
    now = clock.now()
    query = StatementQuery(uuid4(), "CNY", now, now + timedelta(days=30))
    [statement] = await ledger.read_statements([query])
    lines = await read_all(ledger, query, 10)

    assert ({}, {}, [], []) == (statement.opening, statement.closing, statement.sums, lines)
    with pytest.raises(Malformed):
        await ledger.read_statements([StatementQuery(OURS, "CNY", now, now)])
