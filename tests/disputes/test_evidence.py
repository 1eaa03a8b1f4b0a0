"""Files against disputes: kept sealed, sent once with the answer, and of nobody else."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.disputes.test_answers import answer, opened

from vendrail.api.disputes import (
    DropEvidence,
    EvidenceKind,
    EvidenceQuery,
    PutEvidence,
    PutEvidenceStatus,
)
from vendrail.api.payments.disputes import EvidenceStatus
from vendrail.disputes import decide
from vendrail.disputes.decide import Paper
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id

NOW = datetime(2026, 11, 29, tzinfo=UTC)
PDF = b"%PDF-1.7 the receipt"
PNG = b"\x89PNG\r\n\x1a\n the screen"


def file(world, dispute, kind=EvidenceKind.RECEIPT, content=PDF, name="receipt 7.pdf"):
    """A file of the merchant's."""
    id = new_id(world.clock.now())
    return PutEvidence(id, dispute.id, world.merchant, kind, name, content, "lin@example.com")


async def put(world, *files):
    """Keep files; give how that ended."""
    return await world.disputes.put_evidence(list(files))


async def shown(world, dispute):
    """The names of a dispute's files."""
    [view] = await world.disputes.read_disputes([dispute.id])
    return [each.name for each in view.evidence]


async def test_files_are_kept_sealed_and_sent_with_the_answer(world):
    """What was kept goes to the provider as it was, of each kind one, and no table tells it."""
    dispute = await opened(world)
    first, newer = file(world, dispute), file(world, dispute, content=PDF + b" again")
    screen = file(world, dispute, EvidenceKind.DELIVERY, PNG, "../a/screen.exe")
    statuses = await put(world, first, first, newer, screen)
    query = EvidenceQuery(newer.id, dispute.id, world.merchant)
    [read] = await world.disputes.read_evidence([query])
    async with world.service._db.reading() as tx:
        rows = await tx.fetch("select sealed from disputes.evidence")
    sent = await world.disputes.answer_disputes([answer(world, dispute)])
    [told] = world.told.sent
    late = await put(world, file(world, dispute, EvidenceKind.OTHER))
    gone = await world.disputes.drop_evidence([DropEvidence(newer.id, dispute.id, world.merchant)])

    assert ["kept", "exists", "kept", "kept"] == statuses
    assert (newer.content, "application/pdf") == (read.content, read.media_type)
    assert all(b"receipt" not in row["sealed"] for row in rows)
    assert ["sent"] == sent
    assert [
        ("delivery", "screen.png", "image/png", PNG),
        ("receipt", "receipt 7.pdf", "application/pdf", newer.content),
    ] == [(each.kind, each.name, each.media_type, each.content) for each in told.papers]
    assert ["already_sent"] == late == gone
    assert ["screen.png", "receipt 7.pdf"] == await shown(world, dispute)


async def test_files_stay_while_it_is_not_known_whether_they_were_sent(world):
    """While the provider is away nothing is changed; what it refused may be."""
    dispute = await opened(world)
    await put(world, file(world, dispute))
    world.told.answer = EvidenceStatus.UNKNOWN
    await world.disputes.answer_disputes([answer(world, dispute)])
    during = await put(world, file(world, dispute, EvidenceKind.TALK))
    world.told.answer = EvidenceStatus.REFUSED
    await world.disputes.answer_disputes([answer(world, dispute)])
    after = await put(world, file(world, dispute, EvidenceKind.TALK))

    assert ["already_sent"] == during
    assert ["kept"] == after


async def test_files_of_others_are_not_there(world):
    """Another merchant neither adds, reads nor drops; an operator does; each is of its dispute."""
    dispute, other = await opened(world), await opened(world, "du_2")
    kept = file(world, dispute)
    await put(world, kept)
    stranger = new_id(world.clock.now())
    foreign = replace(file(world, dispute, EvidenceKind.TALK), merchant=stranger)
    operators = replace(file(world, dispute, EvidenceKind.OTHER), merchant=None)
    statuses = await put(world, foreign, operators)
    queries = [
        EvidenceQuery(kept.id, dispute.id, stranger),
        EvidenceQuery(kept.id, other.id, world.merchant),
        EvidenceQuery(kept.id, dispute.id, None),
    ]
    found = await world.disputes.read_evidence(queries)
    dropped = await world.disputes.drop_evidence(
        [
            DropEvidence(kept.id, dispute.id, stranger),
            DropEvidence(kept.id, other.id, world.merchant),
            DropEvidence(kept.id, dispute.id, world.merchant),
        ]
    )

    assert ["dispute_not_found", "kept"] == statuses
    assert [False, False, True] == [each is not None for each in found]
    assert ["dispute_not_found", "evidence_not_found", "dropped"] == dropped


@pytest.mark.parametrize(
    "content", [b"", b"plain words", b"<svg/>", PDF + b"x" * decide.FILE_BYTES_MAX]
)
async def test_what_banks_do_not_take_is_not_kept(world, content):
    """Nothing, texts, drawings and what is too large are refused, whatever their names say."""
    dispute = await opened(world)

    assert ["file_refused"] == await put(world, file(world, dispute, content=content))
    assert [] == await shown(world, dispute)


async def test_two_at_once_do_not_make_too_much(world):
    """Files that are each small enough are refused when they are too large together."""
    dispute = await opened(world)
    large = PDF + b"x" * (decide.FILE_BYTES_MAX - len(PDF))
    files = [file(world, dispute, kind, large) for kind in EvidenceKind]
    statuses = await asyncio.gather(*(put(world, each) for each in files))

    assert [["kept"], ["kept"], ["too_much"], ["too_much"]] == sorted(statuses)


CONTENTS = [b"%PDF-" + b"x" * (size - 5) for size in (9, 900_000, 1_500_000, 2_000_000)]


@given(st.lists(st.tuples(st.sampled_from(EvidenceKind), st.sampled_from(range(4))), max_size=9))
def test_files_never_grow_beyond_what_banks_take(given_files):
    """Whatever is added in whatever order, one of each kind and all together are within bounds."""
    known: dict[str, Paper] = {}
    for kind, which in given_files:
        id, content = new_id(NOW), CONTENTS[which]
        asked = PutEvidence(id, id, None, kind, "a.pdf", content, "x")
        if decide.may_keep(asked, list(known.values())) is PutEvidenceStatus.KEPT:
            known[kind] = Paper(id, kind, len(content))

    assert decide.FILES_BYTES_MAX >= sum(each.size for each in known.values())
