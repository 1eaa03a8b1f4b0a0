"""Letters about payouts that did not arrive: to whom, how often, and of what."""

import pytest
from tests.payouts.conftest import World

from vendrail.api.identity import Actor, ActorKind, Identity, Invitation, LinkUse, Role
from vendrail.api.notify import LetterQuery, Notify
from vendrail.api.payouts import PayoutState, PayoutTerms, PayoutVerdict
from vendrail.kernel.ids import new_id

DAY_S = 24 * 3_600
CLI = Actor(ActorKind.COMMAND_LINE, None, "root (command line)")


async def join(world: World, address: str, role: Role) -> None:
    """Let somebody work for the merchant."""
    identity, now = world.house.api(Identity), world.clock.now()
    invitation = Invitation(new_id(now), address, world.merchant, role, CLI, merchant_name="North")
    [made] = await identity.invite_people([invitation])
    await identity.use_links([LinkUse(made.token, "a quiet lake at dawn", address)])


async def told(world: World) -> int:
    """Tell what is due, more than once; give how many letters there are about payouts."""
    for _ in range(2):
        await world.house.services["payouts"].tell_due()
    [letters] = await world.house.api(Notify).list_letters([LetterQuery()])
    return [each.template for each in letters].count("payout_undelivered")


async def pay_out(world: World, status: str) -> PayoutState:
    """Ask for a payout that ends so; give how it stands."""
    new = world.ask(1_000)
    await world.request(new)
    await world.run()
    if status:
        world.end(new.id, status, "PAYEE_ACCOUNT_CLOSED")
    for _ in range(2):
        await world.later(3_600)
    return await world.state(new)


@pytest.mark.parametrize(
    "status,state", [("REFUND", PayoutState.RETURNED), ("", PayoutState.SUCCEEDED)]
)
async def test_a_bounce_is_told_once_to_who_sees_balances(world: World, status, state) -> None:
    """Money that came back is told by one letter each; money that arrived by none."""
    await join(world, "owner@example.com", Role.OWNER)
    await join(world, "finance@example.com", Role.FINANCE)
    await join(world, "support@example.com", Role.SUPPORT)
    await world.earn(10_000)

    assert state == await pay_out(world, status)
    assert (2 if status else 0) == await told(world)


async def test_of_one_account_a_bounce_is_told_once_a_day(world: World) -> None:
    """A closed account that many payouts come back from fills nobody's mailbox."""
    await join(world, "owner@example.com", Role.OWNER)
    await world.earn(10_000)
    counts = []
    for delay_s in (0, 0, DAY_S):
        await world.later(delay_s)
        assert PayoutState.RETURNED == await pay_out(world, "REFUND")
        counts.append(await told(world))

    assert [1, 1, 2] == counts


async def test_a_declined_payout_is_told(world: World) -> None:
    """Whoever waits for a payout that a person looks at hears that it does not go out."""
    await join(world, "owner@example.com", Role.OWNER)
    await world.payouts.put_terms([PayoutTerms("CNY", 100, 0, 3_000)])
    await world.earn(10_000)
    new = world.ask(4_000)
    await world.request(new)
    await world.run()
    before = await told(world)
    await world.payouts.review_payouts([PayoutVerdict(new.id, False, "ops@example.com", "odd")])
    await world.run()

    assert PayoutState.DECLINED == await world.state(new)
    assert (0, 1) == (before, await told(world))
