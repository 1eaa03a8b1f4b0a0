"""Payees through the api: proven by a secret amount, cooled off, told of, and never shown whole."""

import asyncio

from tests.payouts.conftest import World

from vendrail.api.identity import Actor, ActorKind, Identity, Invitation, LinkUse, Role
from vendrail.api.notify import LetterQuery, Notify
from vendrail.api.payouts import PayeeState, PayeeTest, PayoutId, PayoutState
from vendrail.kernel.codec import encode
from vendrail.kernel.ids import new_id

CLI = Actor(ActorKind.COMMAND_LINE, None, "root (command line)")


async def only(world: World):
    """Read the merchant's one payee."""
    [[found]] = await world.payouts.list_payees([world.merchant])
    return found


async def test_an_account_is_proven_by_what_arrives_there(make_world) -> None:
    """Nothing goes to an account until somebody who sees it says how much came."""
    world = await make_world()
    await world.top_up(100_000)
    assert ["created"] == await world.payouts.add_payees([world.new_payee(id=world.payee)])
    await world.earn(10_000)
    assert "payee_unverified" == await world.request(world.ask(1_000))
    assert "not_tested" == await world.prove(world.payee, 11)

    test = await world.test_payee(world.payee)
    sent = world.paid(test)
    [view] = await world.payouts.read_payouts([test])
    assert 11 <= sent <= 99
    assert PayoutState.SUCCEEDED is view.state
    assert 0 == view.amount_minor
    assert "amount_wrong" == await world.prove(world.payee, sent - 1)
    assert "verified" == await world.prove(world.payee, sent)
    assert PayeeState.VERIFIED is (await only(world)).state
    assert "taken" == await world.request(world.ask(1_000))


async def test_a_test_is_the_platforms_money(make_world) -> None:
    """The merchant's balance and its movements tell nothing of the amount."""
    world = await make_world()
    await world.top_up(100_000)
    await world.payouts.add_payees([world.new_payee(id=world.payee)])
    await world.test_payee(world.payee)

    books = await world.books()
    assert "available" not in books
    assert "transit" not in books


async def test_guesses_and_tests_are_few(make_world) -> None:
    """After three wrong answers another test is needed, and there are three of them."""
    world = await make_world()
    await world.top_up(100_000)
    await world.payouts.add_payees([world.new_payee(id=world.payee)])
    for _ in range(3):
        world.clock.advance(24 * 3_600)
        test = await world.test_payee(world.payee)
        for _ in range(3):
            assert "amount_wrong" == await world.prove(world.payee, world.paid(test) + 1)
        assert "too_many" == await world.prove(world.payee, world.paid(test))
    world.clock.advance(24 * 3_600)
    another = PayeeTest(
        PayoutId(new_id(world.clock.now())), world.payee, world.merchant, world.currency
    )

    assert ["tested_too_often"] == await world.payouts.test_payees([another])


async def test_tests_that_are_asked_for_at_once_are_few_too(make_world) -> None:
    """Of twenty asked for at once by two processes, three are sent; the merchant's day counts."""
    world, other = await make_world(), await make_world()
    await world.top_up(100_000)
    payees = [
        world.new_payee(),
        world.new_payee(account="other@example.com"),
    ]
    assert ["created"] * 2 == await world.payouts.add_payees(payees)
    asked = [
        PayeeTest(PayoutId(new_id(world.clock.now())), payee.id, world.merchant, world.currency)
        for payee in payees * 10
    ]
    answers = await asyncio.gather(
        *(
            house.payouts.test_payees([each])
            for number, each in enumerate(asked)
            for house in [(world, other)[number // 2 % 2]]
        )
    )
    said = [status for [status] in answers]

    assert (3, 17) == (said.count("taken"), said.count("tested_too_often"))


async def test_an_account_whose_test_came_back_is_proven_no_longer(world: World) -> None:
    """Nothing more goes there, what waits comes back, and another test proves it again."""
    [first] = [each.test for each in (await world.payouts.list_payees([world.merchant]))[0]]
    [[found]] = [await world.payouts.list_reserves()]
    await world.earn(found.there_minor)
    waiting = world.ask(found.there_minor)
    await world.top_up(-1)
    assert "taken" == await world.request(waiting)
    await world.run()
    assert PayoutState.READY == await world.state(waiting)
    world.end(first, "REFUND", "PAYEE_ACCOUNT_CLOSED")
    await world.later(3_600)
    await world.later(3_600)

    assert PayeeState.UNVERIFIED is (await only(world)).state
    assert "payee_unverified" == await world.request(world.ask(1_000))
    assert "not_tested" == await world.prove(world.payee, world.paid(first))
    assert PayoutState.DECLINED == await world.state(waiting)
    assert (found.there_minor, 0) == (await world.books())["available"]
    await world.top_up(100_000)
    await world.run()
    assert 0 == world.paid(waiting.id)
    again = await world.test_payee(world.payee)
    assert "verified" == await world.prove(world.payee, world.paid(again))
    assert "taken" == await world.request(world.ask(1_000))


async def test_another_account_cools_off(world: World) -> None:
    """An account beside the first is paid a day after it was added, and not before."""
    await world.earn(10_000)
    other = world.new_payee(account="thief@example.com")
    assert ["created"] == await world.payouts.add_payees([other])
    test = await world.test_payee(other.id)
    assert "verified" == await world.prove(other.id, world.paid(test))

    assert "payee_cooling" == await world.request(world.ask(1_000, payee=other.id))
    assert "taken" == await world.request(world.ask(1_000))
    world.clock.advance(24 * 3_600)
    assert "taken" == await world.request(world.ask(1_000, payee=other.id))


async def test_the_first_account_cools_off_where_there_is_money(make_world) -> None:
    """Who comes into a merchant's account that has earned waits with the first payee as well."""
    world = await make_world()
    await world.earn(10_000)
    await world.be_verified()

    assert "payee_cooling" == await world.request(world.ask(1_000))
    world.clock.advance(24 * 3_600)
    assert "taken" == await world.request(world.ask(1_000))


async def test_closing_and_adding_does_not_shorten_it(world: World) -> None:
    """Who closes the first account and adds another waits as long."""
    assert [True] == await world.payouts.close_payees([(world.payee, world.merchant)])
    assert [False] == await world.payouts.close_payees([(world.payee, world.merchant)])
    assert "payee_not_found" == await world.request(world.ask(1_000))
    await world.payouts.add_payees([world.new_payee()])

    assert (await only(world)).usable_at > world.clock.now()


async def test_what_is_no_account_is_not_added(world: World) -> None:
    """Kind, shape and name are looked at; the same account is there once."""
    add = world.payouts.add_payees
    stranger = new_id(world.clock.now())

    assert ["way_unknown"] == await add([world.new_payee(channel=stranger)])
    assert ["way_unknown"] == await add([world.new_payee(kind="openid")])
    assert ["account_malformed"] == await add([world.new_payee(account="not an account")])
    assert ["account_malformed"] == await add([world.new_payee(kind="user_id", account="2088")])
    assert ["name_missing"] == await add([world.new_payee(account="x@example.com", name=" ")])
    assert ["exists"] == await add([world.new_payee()])
    assert ["exists_different"] == await add([world.new_payee(id=world.payee, name="李四")])
    many = [world.new_payee(account=f"{each}@example.com") for each in range(5)]
    assert ["created"] * 4 + ["too_many"] == await add(many)


async def test_nothing_shows_an_account_whole(world: World) -> None:
    """Neither what is read nor what is stored has it; only a provider is told."""
    told = encode(await world.payouts.list_payees([world.merchant])).decode()
    rows = await dump(world)

    assert "se***@example.com" in told
    for text in (told, rows):
        assert "seller@example.com" not in text
        assert "张三" not in text


async def dump(world: World) -> str:
    """Give all that is stored of payees."""
    async with world.house.databases["payouts"].reading() as tx:
        return str([dict(row) for row in await tx.fetch("select * from payouts.payee")])


async def test_people_are_told_of_a_new_account(world: World) -> None:
    """Everybody who works there gets one letter about it, and one when a test comes back."""
    identity, clock = world.house.api(Identity), world.clock
    service, notify = world.house.services["payouts"], world.house.api(Notify)
    await service.tell_due()
    invitation = Invitation(
        new_id(clock.now()), "owner@example.com", world.merchant, Role.OWNER, CLI,
        merchant_name="North",
    )  # fmt: skip
    [made] = await identity.invite_people([invitation])
    await identity.use_links([LinkUse(made.token, "a quiet lake at dawn", "Owner")])
    await world.payouts.add_payees([world.new_payee(account="new@example.com")])
    for _ in range(2):
        await service.tell_due()

    [payees] = await world.payouts.list_payees([world.merchant])
    [test] = [each.test for each in payees if each.test]
    world.end(test, "REFUND", "PAYEE_ACCOUNT_CLOSED")
    await world.later(3_600)
    await world.later(3_600)
    for _ in range(2):
        await service.tell_due()

    [letters] = await notify.list_letters([LetterQuery()])
    templates = [each.template for each in letters]
    assert (1, 1) == (templates.count("payee_added"), templates.count("payee_doubted"))
