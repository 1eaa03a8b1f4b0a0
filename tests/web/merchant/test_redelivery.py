"""Bad keys are replaced and letters sent again, from both consoles, over real services."""

import asyncio

import pytest

from vendrail.api.identity import Role
from vendrail.api.notify import LetterQuery, Notify
from vendrail.api.orders import OrderQuery
from vendrail.kernel.ids import new_id, to_serial


async def buy(town, sku="GAME", quantity=1, **more):
    """Let somebody buy of the merchant; give the placement."""
    placed = await town.north.place(sku, quantity, **more)
    await town.north.pay(placed.order, quantity=quantity)
    await town.north.run()
    return placed


async def read(town, placed):
    """Read an order with its keys, as its buyer."""
    query = OrderQuery(placed.order, placed.secret, with_items=True)
    [view] = await town.north.orders.read_orders([query])
    return view


async def come(town, placed, role=Role.SUPPORT):
    """Let somebody open the page of an order; give the browser and the address."""
    root = "/operator" if role.value.startswith("operator_") else "/merchant"
    path = f"{root}/orders/{to_serial(placed.order)}"
    is_operator = role.value.startswith("operator_")
    join = town.world.join("ann@rail.example", role) if is_operator else town.join(role)
    browser = await join
    await browser.go(path)
    return browser, path


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.OPERATOR_SUPPORT])
async def test_a_bad_key_is_replaced_and_its_buyer_sees_it(town, read_field, role):
    """Staff name the key by its number; the buyer's page shows the new one, and the old as void."""
    await town.north.offer("GAME", keys=4)
    placed = await buy(town, quantity=2)
    before = await read(town, placed)
    browser, path = await come(town, placed, role)
    fields = {"nonce": read_field(browser, "nonce"), "seen": read_field(browser, "seen")}
    await browser.send(f"{path}/replace", positions="2", reason="It is used up", **fields)
    said = browser.text
    await browser.send(f"{path}/replace", positions="2", reason="It is used up", **fields)
    after = await read(town, placed)
    buyer = town.world.browser()
    await buyer.go(f"/orders/{to_serial(placed.order)}?key={placed.secret}")
    kept = await buyer.http.get(f"/orders/{to_serial(placed.order)}/keys.txt")
    acts = await town.acts(town.north, "keys.")

    assert "Replaced. The buyer's page" in said
    assert "It is used up" in said
    assert before.items[0] == after.items[0]
    assert before.items[1] != after.items[1]
    assert f"{after.items[0]}\n{after.items[1]}\n" == kept.text
    assert f">{before.items[1]}</del>" in buyer.page.text
    assert all(key in buyer.page.text for key in after.items)
    assert "1 key was replaced by a new one" in buyer.text
    assert not [key for key in (*before.items, *after.items) if key in browser.page.text]
    assert ("keys.replaced", {"keys": "2"}, "It is used up") == (
        acts[0].act,
        acts[0].after,
        acts[0].reason,
    )
    [stock] = await town.north.catalog.count_stock(["GAME"])
    assert (1, 2, 1) == (stock.free, stock.sold, stock.void)


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"positions": "1", "reason": ""}, "the reason is kept"),
        ({"positions": "", "reason": "dud"}, "Write which keys"),
        ({"positions": "first", "reason": "dud"}, "Write which keys"),
        ({"positions": "3", "reason": "dud"}, "Write which keys"),
        ({"positions": "1", "reason": "dud", "seen": "1"}, "Somebody else"),
        ({"positions": "1, 2", "reason": "dud"}, "nothing was changed"),
    ],
)
async def test_what_cannot_be_replaced_changes_nothing(town, read_field, fields, said):
    """Wrong numbers, no reason, a page that is old, an empty stock: said, and nothing is done."""
    await town.north.offer("GAME", keys=3)
    placed = await buy(town, quantity=2)
    before = await read(town, placed)
    browser, path = await come(town, placed)
    sent = {"nonce": read_field(browser, "nonce"), "seen": "0", **fields}
    await browser.send(f"{path}/replace", **sent)

    assert 422 == browser.page.status_code
    assert said in browser.text
    assert before == await read(town, placed)


async def test_fifty_forms_at_once_replace_one_key(town, read_field):
    """However often and from whomever the complaint comes in, one key leaves the stock for it."""
    await town.north.offer("GAME", keys=60)
    placed = await buy(town)
    first, path = await come(town, placed)
    second = await town.join(Role.OWNER)
    await second.go(path)
    nonces = [to_serial(new_id(town.clock.now())) for _ in range(25)]

    answers = await asyncio.gather(
        *(
            browser.send(f"{path}/replace", raw=True, nonce=nonce, seen="0", reason="dud")
            for browser in (first, second)
            for nonce in nonces
        )
    )
    [stock] = await town.north.catalog.count_stock(["GAME"])

    assert {303, 422} == {answer.status_code for answer in answers}
    assert 2 == [answer.status_code for answer in answers].count(303)  # One form, sent by both.
    assert (58, 1, 1) == (stock.free, stock.sold, stock.void)


async def test_the_letter_is_sent_again_a_few_times(town, read_field):
    """It leaves once for each form, thrice a day at most, and the log keeps who asked for it."""
    await town.north.offer("GAME", keys=2)
    placed = await buy(town, contact="lin@example.com")
    browser, path = await come(town, placed)
    nonce = read_field(browser, "nonce")
    await browser.send(f"{path}/letter", nonce=nonce)
    said = browser.text
    await browser.send(f"{path}/letter", nonce=nonce)
    for _ in range(2):
        await browser.go(path)
        await browser.send(f"{path}/letter", nonce=read_field(browser, "nonce"))
    assert 200 == browser.page.status_code
    await browser.go(path)
    await browser.send(f"{path}/letter", nonce=read_field(browser, "nonce"))
    query = LetterQuery(subject=placed.order)
    [letters] = await town.house.api(Notify).list_letters([query])

    assert "The letter leaves within moments." in said
    assert (422, 3) == (browser.page.status_code, len(letters))
    assert "as often as it may be" in browser.text
    assert "letter.repeated" in {act.act for act in await town.acts(town.north)}


async def test_who_may_not_help_sees_no_forms(town):
    """A seller's page of an order offers neither, and neither form is taken from them."""
    await town.north.offer("GAME", keys=2)
    placed = await buy(town)
    browser, path = await come(town, placed, Role.SELLER)
    page = browser.page.text
    fields = {"nonce": to_serial(new_id(town.clock.now())), "seen": "0", "reason": "dud"}
    token = {"form_token": browser.token()}
    for part in ("replace", "letter"):
        answer = await browser.http.post(f"{path}/{part}", data={**fields, **token})
        assert 403 == answer.status_code

    assert f"{path}/replace" not in page
    assert f"{path}/letter" not in page
    assert [] == (await read(town, placed)).replaced


async def test_a_telephone_is_offered_no_letter(town):
    """Where no letter can go, none is offered, and a form that asks for one is refused."""
    await town.north.offer("GAME", keys=2)
    placed = await buy(town, contact="+86 138 0013 8000")
    browser, path = await come(town, placed)
    offered = f"{path}/letter" in browser.page.text
    await browser.send(f"{path}/letter", nonce=to_serial(new_id(town.clock.now())))

    assert (False, 422) == (offered, browser.page.status_code)
