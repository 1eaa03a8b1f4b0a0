"""Disputes are listed and counted for who may see them, and answered once."""

import asyncio
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


async def test_of_two_answers_at_once_one_is_sent_and_kept(world):
    """Whoever comes while an answer is on its way sends nothing else; what is kept was sent."""
    dispute = await opened(world)
    said = [answer(world, dispute, text) for text in ("It was used.", "It was never sold.")]
    first, second = [asyncio.create_task(world.disputes.answer_disputes([each])) for each in said]
    send, meant = world.told.send_evidence, [first, second]

    async def wait(evidence):
        """Let the provider take an answer when the other has been judged."""
        mine = first if evidence[0].text == said[0].text else second
        others = [task for task in meant if task is not mine]
        meant.clear()
        if others:
            await asyncio.wait(others)
        return await send(evidence)

    world.told.send_evidence = wait
    statuses = [await first, await second]
    [found] = await world.disputes.read_disputes([dispute.id])

    assert ["on_its_way", "sent"] == sorted(status for [status] in statuses)
    assert [found.answer] == [each.text for each in world.told.sent]


async def test_what_may_have_arrived_is_not_said_in_other_words(world):
    """While nobody knows whether it arrived, only the same words go; after a refusal, any."""
    dispute = await opened(world)
    first, other = answer(world, dispute), answer(world, dispute, "Other words.")
    statuses = []
    for end, said in [
        (EvidenceStatus.UNKNOWN, first),
        (EvidenceStatus.SENT, other),
        (EvidenceStatus.REFUSED, first),
        (EvidenceStatus.SENT, other),
    ]:
        world.told.answer = end
        statuses += await world.disputes.answer_disputes([said])
    [found] = await world.disputes.read_disputes([dispute.id])

    assert ["provider_away", "on_its_way", "provider_refused", "sent"] == statuses
    assert [first.text] * 2 + [other.text] == [each.text for each in world.told.sent]
    assert other.text == found.answer


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
