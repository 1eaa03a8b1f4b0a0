"""Deposits in both consoles: asked by an operator, paid by the owner, taken by two people."""

import re

from tests.web.console.conftest import make_app

from vendrail.api.identity import Identity, Role
from vendrail.api.notify import Notify
from vendrail.api.settlement import ChargebackPosting, ChargebackStep, Settlement
from vendrail.kernel.ids import new_id, to_serial

PATH = "/merchant/deposit"


async def earn(town):
    """Let the merchant earn something."""
    await town.north.offer("STEAM-50")
    await town.sell(town.north, "STEAM-50")


async def owe(town, amount_minor):
    """Let the merchant owe so much beyond what it has."""
    settlement = town.house.api(Settlement)
    [there] = await settlement.read_merchant_balances([(town.north.merchant, "CNY")])
    id, whole = new_id(town.clock.now()), there.available_minor + amount_minor
    step, merchant = ChargebackStep.FEE_PASSED_ON, town.north.merchant
    fee = ChargebackPosting(id, step, id, merchant, "alipay", whole, "CNY")
    assert [True] == await settlement.post_chargebacks([fee])


async def deposit_of(town):
    """Read how the merchant's deposit stands."""
    [found] = await town.house.api(Settlement).read_deposits([(town.north.merchant, "CNY")])
    return found


async def test_a_deposit_is_asked_paid_taken_and_asked_back(town, read_field):
    """Each step is in the log and told once; taking wants two; the merchant sees why it was."""
    service = town.house.services["settlement"]
    telling = service.deposit_telling(town.house.api(Identity), town.house.api(Notify))
    town.world.app = make_app(town.house, town.home, second_person_above_minor=500)
    await earn(town)
    owner = await town.join(Role.OWNER)
    first = await town.world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    other = await town.world.join("be@rail.example", Role.OPERATOR_ADMIN)
    desk = f"/operator/merchants/{to_serial(town.north.merchant)}/deposit"
    await first.go(desk)
    await first.send(desk, amount="8.00", days="7", reason="sells for the first time")
    assert "?currency=CNY&said=" in str(first.page.url)
    await owner.go(PATH)
    paying = {"nonce": read_field(owner, "nonce"), "currency": "CNY", "amount": "8"}
    await owner.send(f"{PATH}/pay", **paying)
    await owner.send(f"{PATH}/pay", **paying)
    paid = await deposit_of(town)
    await owner.send(f"{PATH}/pay", **paying | {"amount": "3 yuan"})
    assert 1 == owner.page.text.count('value="3 yuan"')  # What was typed stands in its own form.
    await owe(town, 300)
    await first.go(desk)
    nonce = read_field(first, "nonce")
    await first.send(f"{desk}/take", amount="5.00", nonce=nonce, reason="fees of a dispute")
    assert "A second person must approve it" in first.text
    assert 800 == (await deposit_of(town)).held_minor
    await other.go("/operator/approvals")
    [approval] = set(re.findall(r'action="(/operator/approvals/\w{26})"', other.page.text))
    await other.send(approval, decision="approve")
    await owner.go(PATH)
    seen = owner.text
    assert not await telling.tell_due()
    assert await town.world.letters("owner@north.example")
    await first.go(desk)
    await first.send(desk, amount="1.00", days="7", reason="trusted now")
    await owner.go(PATH)
    back = {"nonce": read_field(owner, "nonce"), "currency": "CNY", "amount": "4"}
    await owner.send(f"{PATH}/return", **back)
    kept = await deposit_of(town)
    acts = [act.act for act in await town.acts(town.north, "deposit")]
    await telling.tell_due()
    await town.world.letters("owner@north.example")
    town.clock.advance(7 * 86_400)
    await service.move_due_deposits()
    for _ in range(2):
        await telling.tell_due()
    letters = [each["subject"] for each in await town.world.letters("owner@north.example")]

    assert [
        "A deposit of CN¥8.00 is asked of your shop",
        "CN¥3.00 was taken of your deposit",
        "A deposit of CN¥1.00 is asked of your shop",
        "CN¥4.00 of your deposit is back",
    ] == [each for each in letters if "deposit" in each]
    assert (800, 800, 0) == (paid.held_minor, paid.wanted_minor, paid.missing_minor)
    assert "fees of a dispute" in seen
    assert (500, 400) == (kept.held_minor, kept.waiting.amount_minor)
    assert "comes back to your balance" in owner.text
    assert {"deposit.paid", "deposit.asked_back", "deposit_terms.changed"} <= set(acts)


async def test_what_cannot_be_is_said_and_moves_nothing(town, read_field):
    """Too much, nothing, without terms, by a seller: refused; operators take nothing unowed."""
    town.world.app = make_app(town.house, town.home, second_person_above_minor=500)
    await earn(town)
    owner, seller = await town.join(Role.OWNER), await town.join(Role.SELLER)
    head = await town.world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await owner.go(PATH)
    nonce = read_field(owner, "nonce") if 'name="nonce"' in owner.page.text else ""
    fields = {"nonce": nonce or to_serial(new_id(town.clock.now())), "currency": "CNY"}
    told = []
    for amount in ("1.00", "0", "x"):
        await owner.send(f"{PATH}/pay", amount=amount, **fields)
        told.append(owner.page.status_code)
    desk = f"/operator/merchants/{to_serial(town.north.merchant)}/deposit"
    await head.go(desk)
    for days, amount in (("366", "1"), ("x", "1"), ("1", "-1"), ("1", "x")):
        await head.send(desk, amount=amount, days=days, reason="why")
        told.append(head.page.status_code)
    asked = head.page.text
    await head.send(f"{desk}/take", amount="1", nonce=fields["nonce"], reason="why")
    told.append(head.page.status_code)
    await seller.go("/merchant")

    assert [422] * 8 == told
    assert 'value="x"' in asked
    assert ">why</textarea>" in asked
    assert "The merchant owes nothing" in head.text
    assert 403 == (await seller.http.get(PATH)).status_code
    assert 0 == (await deposit_of(town)).held_minor
