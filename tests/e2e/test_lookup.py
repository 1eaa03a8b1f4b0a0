"""An order is found again by who bought it, and by nobody else."""

import pytest

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
]


async def buy(buyer, contact: str) -> tuple[str, str]:
    """Buy one key; give the order's number and the key."""
    await buyer.open_product()
    serial = await buyer.place("by page", contact)
    await buyer.confirm()
    return serial, await buyer.read_key()


async def ask_for_code(buyer, contact: str) -> str:
    """Ask for a one-time code; give what the page says, without the address itself."""
    await buyer.page.goto(f"{buyer.site}/lookup")
    await buyer.write("contact", contact)
    await buyer.tap("send a code")
    await buyer.page.locator("#code").wait_for()
    return await read(buyer, contact)


async def send_code(buyer, code: str) -> None:
    """Enter a code."""
    await buyer.write("code field", code)
    await buyer.tap("show orders")


async def read(buyer, contact: str = "") -> str:
    """Read what a page says, but for a contact on it."""
    return (await buyer.page.locator("main").inner_text()).replace(contact or "\0", "@")


@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
async def test_b8_code_to_the_contact_opens_the_order(visit, read_code, language):
    """B8: on another device, a code to the contact shows the order and its key, once."""
    contact = f"found-{language}@example.com".lower()
    serial, key = await buy(await (await visit(language)).enter(), contact)
    other = await (await visit(language)).enter()
    await ask_for_code(other, contact)
    code = read_code(contact)
    await send_code(other, code)
    await other.page.locator("main").get_by_role("link", name="Fogharbour").click()

    assert key == await other.read_key()
    assert other.page.url.endswith(f"/orders/{serial}")
    third = await (await visit(language)).enter()
    await ask_for_code(third, "somebody-else@example.com")
    await third.page.locator("input[name=contact][type=hidden]").evaluate(
        "(field, contact) => { field.value = contact }", contact
    )
    await send_code(third, code)
    await third.page.locator("#code-problem").wait_for()

    assert 0 == await third.page.get_by_text("Fogharbour").count()


async def test_x17_lookup_tells_a_stranger_nothing(visit):
    """X17: known or unknown contact, wrong code: the pages are the same word for word."""
    known, unknown = "victim@example.com", "nobody@example.com"
    serial, key = await buy(await (await visit()).enter(), known)
    stranger = await (await visit()).enter()
    asked = [await ask_for_code(stranger, known)]
    await send_code(stranger, "00000000")
    await stranger.page.locator("#code-problem").wait_for()
    refused = [await read(stranger, known)]
    content = await stranger.page.content()
    asked.append(await ask_for_code(stranger, unknown))
    await send_code(stranger, "00000000")
    await stranger.page.locator("#code-problem").wait_for()
    refused.append(await read(stranger, unknown))

    assert asked[0] == asked[1]
    assert refused[0] == refused[1]
    assert serial not in content
    assert key not in content
    assert "Fogharbour" not in content


async def test_x17_order_number_alone_opens_nothing(visit):
    """X17: an order's number without its secret opens what a number of nothing opens."""
    serial, key = await buy(await (await visit("en-US")).enter(), "owner@example.com")
    stranger = await (await visit("en-US")).enter()
    made_up = f"{serial[:-2]}00"
    for tail in ("", "/keys.txt", "/live", "?key=guessed", "?pay=x"):
        pages = []
        for number in (serial, made_up):
            answer = await stranger.page.goto(f"{stranger.site}/orders/{number}{tail}")
            pages.append((answer.status, await read(stranger)))

            assert key not in await answer.text()
        assert pages[0] == pages[1]
        assert 404 == pages[0][0]
        assert "This order does not open here" in pages[0][1]
