"""What risk promises: limits hold at once and across processes, and the first answer stays."""

import asyncio

import pytest

from vendrail.api.risk import (
    ListEntry,
    ListKind,
    ReviewQuery,
    RiskAnswer,
    RiskDecision,
    RiskLimits,
    Verdict,
    VerdictStatus,
    subject_hash,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed
from vendrail.orders.service.seals import Seals
from vendrail.risk.service import RiskService
from vendrail.risk.settings import RiskSettings

TIGHT = RiskLimits(
    review_orders_per_buyer=2,
    refuse_orders_per_buyer=4,
    review_orders_per_address=3,
    refuse_orders_per_address=0,
    review_orders_per_device=3,
    refuse_orders_per_device=0,
    review_amount_per_buyer_minor=1_000,
    refuse_amount_per_buyer_minor=5_000,
)
ALLOW, REVIEW, REFUSE = RiskDecision.ALLOW, RiskDecision.REVIEW, RiskDecision.REFUSE


async def test_an_ordinary_order_is_allowed(world):
    """Nothing known, nothing exceeded: allowed, with no reason given."""
    question = world.question("a@example.com", address="1.2.3.4", device="d")

    assert [RiskAnswer(ALLOW)] == await world.risk.screen_orders([question])
    assert [RiskAnswer(ALLOW)] == await world.risk.assess_payments([question])
    assert [] == await world.risk.assess_payments([])
    assert [] == await world.risk.screen_orders([])


async def test_orders_of_one_batch_see_each_other(world):
    """In one batch: the third order of a buyer is reviewed, the fifth refused."""
    await world.risk.put_limits(TIGHT)
    questions = [world.question("a@example.com", 10) for _ in range(6)]

    answers = await world.risk.assess_payments(questions)

    assert [ALLOW, ALLOW, REVIEW, REVIEW, REFUSE, REFUSE] == [a.decision for a in answers]
    assert ["orders_per_buyer"] == answers[2].reasons
    assert ["orders_per_buyer"] == answers[5].reasons


async def test_weighing_tells_what_will_be_said_and_counts_nothing(world):
    """Weighed however often, an order is answered as it is when it is paid: counts, lists, sums."""
    await world.risk.put_limits(TIGHT)
    await world.risk.put_list_entries([ListEntry("contact:b@example.com", ListKind.REVIEWED)])
    mails = ("a@example.com", "b@example.com", "c@example.com")
    told, said = [], []
    for number in range(6):
        for mail in mails:
            amount = 600 if mail == "c@example.com" else 10
            question = world.question(mail, amount, device=f"d{number}{mail}")
            for _ in range(2):
                [weighed] = await world.risk.weigh_orders([question])
                told.append(weighed)
            said += 2 * await world.risk.assess_payments([question])

    assert said == told
    assert {ALLOW, REVIEW, REFUSE} == {each.decision for each in told}


async def test_a_batch_answers_as_its_items_one_by_one(world, make_database, clock, vault):
    """Whatever is asked, a batch gives what its items give one after another."""
    await world.risk.put_limits(TIGHT)
    questions = [
        world.question(
            ("a@example.com", "b@example.com", "")[number % 3],
            130 * (number % 5 + 1),
            ("CNY", "USD")[number % 2],
            address=("", "1.1.1.1", "2.2.2.2")[number % 3],
            device=("x", "")[number % 2],
        )
        for number in range(24)
    ]
    batch = await world.risk.assess_payments(questions)
    async with world.db.transaction() as tx:
        for table in ("assessment", "velocity", "review", "excess"):
            await tx.execute(f"delete from risk.{table}")
    single = [(await world.risk.assess_payments([question]))[0] for question in questions]

    assert single == batch
    assert {ALLOW, REVIEW, REFUSE} == {answer.decision for answer in batch}


async def test_the_first_answer_is_kept(world):
    """Asked again, also within one batch, an order gets its first answer and is counted once."""
    await world.risk.put_limits(TIGHT)
    first = world.question("a@example.com", 10)
    for _ in range(5):
        assert [ALLOW, ALLOW] == await world.assess(first, replace(first, amount_minor=9_999))
    await world.risk.put_list_entries([ListEntry("contact:a@example.com", ListKind.BLOCKED)])
    second = world.question("a@example.com", 10)

    assert [ALLOW, REFUSE] == await world.assess(first, second)
    async with world.db.reading() as tx:
        slots = await tx.fetch_value("select slots from risk.velocity")
    assert 2 == slots[2]


async def test_amounts_count_within_a_currency(world):
    """A buyer's amounts of a day are added up, each currency for itself."""
    await world.risk.put_limits(
        replace(TIGHT, review_orders_per_buyer=0, refuse_orders_per_buyer=0)
    )

    def ask(amount, currency="CNY"):
        return world.question("a@example.com", amount, currency)

    assert [ALLOW, ALLOW, REVIEW, ALLOW] == await world.assess(
        ask(600), ask(400), ask(1), ask(1_000, "USD")
    )
    answers = await world.risk.assess_payments([ask(3_999), ask(1), ask(1, "USD")])
    assert [REVIEW, REFUSE, REVIEW] == [answer.decision for answer in answers]
    assert ["amount_per_buyer"] == answers[1].reasons


async def test_addresses_and_devices_have_limits_of_their_own(world):
    """Many buyers from one address or device are reviewed; what is not known counts nothing."""
    await world.risk.put_limits(TIGHT)
    by_address = [world.question(f"{n}@example.com", 1, address="9.9.9.9") for n in range(4)]
    by_device = [world.question(f"d{n}@example.com", 1, device="tablet") for n in range(4)]
    unknown = [world.question() for _ in range(9)]

    assert [ALLOW] * 3 + [REVIEW] == await world.assess(*by_address)
    assert [ALLOW] * 3 + [REVIEW] == await world.assess(*by_device)
    assert [ALLOW] * 9 == await world.assess(*unknown)


async def test_a_day_later_counting_begins_anew(world):
    """Orders count for at least 24 hours and at most 25, also across midnight."""
    await world.risk.put_limits(replace(TIGHT, refuse_orders_per_buyer=0))
    world.clock.advance(15 * 3_600 + 1_800)  # 23:30
    await world.assess(*(world.question("a@example.com", 10) for _ in range(2)))

    for wait_s in (3_600, 12 * 3_600, 11 * 3_600 - 60):
        world.clock.advance(wait_s)
        assert [REVIEW] == await world.assess(world.question("a@example.com", 10))
    world.clock.advance(25 * 3_600)
    assert [ALLOW] == await world.assess(world.question("a@example.com", 10))


async def test_fifty_at_once_never_exceed_a_limit(world, clock, vault):
    """50 orders of one buyer at once, through two services: exactly two are allowed."""
    await world.risk.put_limits(TIGHT)
    other = RiskService(world.db, vault, clock, RiskSettings())
    questions = [world.question("a@example.com", 10, address="7.7.7.7") for _ in range(50)]

    answers = await asyncio.gather(
        *(
            (world.risk if number % 2 else other).assess_payments([question])
            for number, question in enumerate(questions)
        )
    )

    decisions = [answer.decision for [answer] in answers]
    assert (2, 2, 46) == tuple(decisions.count(each) for each in (ALLOW, REVIEW, REFUSE))


async def test_one_order_asked_fifty_times_at_once_has_one_answer(world, clock, vault):
    """The same orders in overlapping batches from two services: one answer each, counted once."""
    await world.risk.put_limits(TIGHT)
    other = RiskService(world.db, vault, clock, RiskSettings())
    questions = [world.question(f"{n % 3}@example.com", 10) for n in range(12)]
    batches = [questions[n % 5 : n % 5 + 7][:: 1 if n % 2 else -1] for n in range(50)]

    results = await asyncio.gather(
        *(
            (world.risk if number % 2 else other).assess_payments(batch)
            for number, batch in enumerate(batches)
        )
    )

    told: dict = {}
    for batch, answers in zip(batches, results, strict=True):
        for question, answer in zip(batch, answers, strict=True):
            assert told.setdefault(question.order, answer) == answer
    async with world.db.reading() as tx:
        rows = await tx.fetch("select slots from risk.velocity")
    assert 11 == len(told) == sum(row["slots"][2] for row in rows)


async def test_who_has_reached_a_hard_limit_cannot_place(world):
    """Screening refuses who is over a hard limit, as long as that holds; it writes nothing."""
    await world.risk.put_limits(TIGHT)
    question = world.question("a@example.com", 10)
    await world.assess(*(world.question("a@example.com", 10) for _ in range(3)))
    assert [ALLOW] == await world.screen(question)
    await world.assess(world.question("a@example.com", 10))

    assert [REFUSE, ALLOW] == await world.screen(question, world.question("b@example.com", 10))
    assert [REFUSE] == await world.screen(world.question("c@example.com", 5_001))
    async with world.db.reading() as tx:
        assert 4 == await tx.fetch_value("select count(*) from risk.assessment")
    world.clock.advance(25 * 3_600)
    assert [ALLOW] == await world.screen(question)


async def test_lists_decide(world):
    """Blocked is refused at once, reviewed goes to a person, trusted passes soft limits only."""
    await world.risk.put_limits(TIGHT)
    entries = [
        ListEntry("contact: Bad@Example.com ", ListKind.BLOCKED, "chargebacks"),
        ListEntry("address:6.6.6.6", ListKind.BLOCKED),
        ListEntry("device:lab", ListKind.REVIEWED),
        ListEntry("contact:+86 138-0000-0000", ListKind.TRUSTED),
    ]
    assert [True] * 4 == await world.risk.put_list_entries(entries)
    assert [False, True, False] == await world.risk.put_list_entries(
        [entries[0], ListEntry("contact:x@y.zz", ListKind.TRUSTED), entries[3]]
    )
    bad = world.question("bad@example.com")
    near = world.question("n@example.com", address="6.6.6.6")
    lab = world.question("l@example.com", device="lab")
    friends = [world.question("+8613800000000", 10) for _ in range(5)]

    assert [REFUSE, REFUSE, ALLOW, ALLOW] == await world.screen(bad, near, lab, friends[0])
    assert [REFUSE, REFUSE, REVIEW] == await world.assess(bad, near, lab)
    assert [ALLOW] * 4 + [REFUSE] == await world.assess(*friends)
    removed = await world.risk.remove_list_entries(["contact:bad@example.com", "device:nobody"])
    assert [True, False] == removed
    assert [ALLOW] == await world.screen(bad)
    async with world.db.reading() as tx:
        kept = await tx.fetch("select subject from risk.list_entry")
    assert not any("example" in row["subject"] or "6.6.6.6" in row["subject"] for row in kept)


async def test_other_processes_hear_of_changes_within_a_second(world, clock, vault):
    """Limits and lists put here hold there a second later."""
    other = RiskService(world.db, vault, clock, RiskSettings())
    question = world.question("a@example.com", 10)
    assert ALLOW == (await other.screen_orders([question]))[0].decision
    await world.risk.put_list_entries([ListEntry("contact:a@example.com", ListKind.BLOCKED)])
    clock.advance(1)

    assert REFUSE == (await other.screen_orders([question]))[0].decision


async def test_a_verdict_takes_the_place_of_a_review(world):
    """A person releases or refuses, once; the order's answer is theirs from then on."""
    await world.risk.put_limits(TIGHT)
    questions = [world.question("a@example.com", 10) for _ in range(4)]
    await world.assess(*questions)
    allowed, third, fourth = (questions[at].order for at in (0, 2, 3))
    [waiting] = await world.risk.list_reviews([ReviewQuery()])
    assert sorted([third, fourth]) == [review.order for review in waiting]
    assert [[]] == await world.risk.list_reviews([ReviewQuery(third)])
    assert 1 == len(
        (await world.risk.list_reviews([ReviewQuery(world.merchant, reviews_max=1)]))[0]
    )

    statuses = await world.risk.settle_reviews(
        [
            Verdict(third, ALLOW, "operator", "known"),
            Verdict(third, ALLOW, "operator", "known"),
            Verdict(third, REFUSE, "other", "no"),
            Verdict(fourth, REFUSE, "operator", "stolen card"),
            Verdict(allowed, REFUSE, "operator", "late"),
            Verdict(fourth, REVIEW, "operator", "hm"),
        ]
    )

    assert [
        VerdictStatus.SETTLED,
        VerdictStatus.EXISTS,
        VerdictStatus.EXISTS_DIFFERENT,
        VerdictStatus.SETTLED,
        VerdictStatus.REVIEW_NOT_FOUND,
        VerdictStatus.DECISION_MALFORMED,
    ] == statuses
    assert [ALLOW, ALLOW, ALLOW, REFUSE] == await world.assess(*questions)
    assert [[]] == await world.risk.list_reviews([ReviewQuery()])


async def test_senseless_limits_and_subjects_are_malformed(world):
    """Limits below zero, soft above hard, and subjects that name nobody change nothing."""
    for limits in (
        RiskLimits(review_orders_per_buyer=-1),
        RiskLimits(review_orders_per_buyer=501, refuse_orders_per_buyer=500),
    ):
        with pytest.raises(Malformed):
            await world.risk.put_limits(limits)
    for subject in ("a@example.com", "contact:", "phone:123", "contact:  "):
        with pytest.raises(Malformed):
            await world.risk.put_list_entries([ListEntry(subject, ListKind.BLOCKED)])
    assert [] == await world.risk.put_list_entries([])
    assert [] == await world.risk.remove_list_entries([])


async def test_old_counts_are_forgotten(world):
    """Counts of days that no longer matter are deleted; answers stay."""
    question = world.question("a@example.com", 10)
    await world.assess(question)
    assert not await world.service.forget()
    world.clock.advance(5 * 86_400)
    assert not await world.service.forget()

    async with world.db.reading() as tx:
        assert 0 == await tx.fetch_value("select count(*) from risk.velocity")
        assert 1 == await tx.fetch_value("select count(*) from risk.assessment")


async def test_orders_and_risk_hash_alike(world):
    """Lists find whom orders asks about: both hash contacts, addresses and devices the same way."""
    seals = Seals(world.db, world.vault, world.clock)

    for kind in ("address", "device"):
        assert subject_hash(world.vault, kind, "x") == seals.trace_hash(kind, "x")
    contact = subject_hash(world.vault, "contact", "a@example.com")
    assert contact == seals.contact_hash("a@example.com").hex()
