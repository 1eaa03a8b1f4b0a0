"""Disputes are listed and counted for who may see them, and answered once."""

from datetime import timedelta

from tests.disputes.conftest import PRICE

from vendrail.api.disputes import AnswerStatus, DisputeAnswer, DisputeQuery, DisputeState
from vendrail.api.payments.disputes import DisputeOutcome, EvidenceStatus
from vendrail.kernel.ids import new_id

OPEN, LOST = DisputeOutcome.OPEN, DisputeOutcome.LOST


async def opened(world, number="du_1"):
    """Let a dispute be opened; give it."""
    capture = await world.sell()
    world.tell(capture, OPEN, case_number=number)
    await world.run()
    [page] = await world.disputes.list_disputes([DisputeQuery(world.merchant)])
    return page[0]


def answer(world, dispute, text="The key was shown to the buyer at 12:00."):
    """What the merchant says."""
    return DisputeAnswer(dispute.id, world.merchant, text, "lin@example.com")


async def test_an_answer_is_sent_once_and_kept_sealed(world):
    """The provider gets it once; who reads the dispute sees it; the table does not tell."""
    dispute = await opened(world)
    said = answer(world, dispute)
    first = await world.disputes.answer_disputes([said])
    again = await world.disputes.answer_disputes([said])
    [found] = await world.disputes.read_disputes([dispute.id])

    assert [AnswerStatus.SENT] == first
    assert [AnswerStatus.EXISTS] == again
    assert [("du_1", said.text)] == [(each.case_number, each.text) for each in world.told.sent]
    assert (DisputeState.ANSWERED, said.text) == (found.state, found.answer)
    async with world.service._db.reading() as tx:
        [row] = await tx.fetch("select sealed from disputes.answer")
    assert b"key was shown" not in row["sealed"]


async def test_a_provider_that_is_away_is_asked_again_under_the_same_id(world):
    """Nothing is known, nothing is lost: the same answer goes again, and only once counts."""
    dispute = await opened(world)
    world.told.answer = EvidenceStatus.UNKNOWN
    first = await world.disputes.answer_disputes([answer(world, dispute)])
    world.told.answer = EvidenceStatus.SENT
    second = await world.disputes.answer_disputes([answer(world, dispute)])

    assert [AnswerStatus.PROVIDER_AWAY] == first
    assert [AnswerStatus.SENT] == second
    assert 1 == len({each.id for each in world.told.sent})


async def test_who_may_not_answer_is_told_why(world):
    """Strangers, empty words, too late and too early ends are refused, and nothing is sent."""
    dispute = await opened(world)
    stranger = DisputeAnswer(dispute.id, new_id(world.clock.now()), "mine", "x")
    nothing = answer(world, dispute, "  ")
    early = await world.disputes.answer_disputes([stranger, nothing])
    world.clock.advance(8 * 86_400)
    late = await world.disputes.answer_disputes([answer(world, dispute)])

    assert [AnswerStatus.DISPUTE_NOT_FOUND, AnswerStatus.TEXT_MALFORMED] == early
    assert [AnswerStatus.TOO_LATE] == late
    assert [] == world.told.sent


async def test_disputes_are_listed_by_state_a_page_at_a_time(world):
    """Newest first, after a cursor, of one state; another merchant sees none of them."""
    for number in range(3):
        await opened(world, f"du_{number}")
    query = DisputeQuery(world.merchant, disputes_max=2)
    [first] = await world.disputes.list_disputes([query])
    after = DisputeQuery(world.merchant, before=first[-1].id, disputes_max=2)
    lost = DisputeQuery(world.merchant, DisputeState.LOST)
    other = DisputeQuery(new_id(world.clock.now()))
    rest, ended, others = await world.disputes.list_disputes([after, lost, other])
    [figures] = await world.disputes.count_disputes(
        [world.merchant], world.clock.now() - timedelta(days=30)
    )

    assert ["du_2", "du_1"] == [each.case_number for each in first]
    assert ["du_0"] == [each.case_number for each in rest]
    assert ([], []) == (ended, others)
    assert (3, 0, 0) == (figures.open_count, figures.won_count, figures.lost_count)
    assert PRICE == first[0].frozen_minor
