"""The pages in a real browser: three steps to the key, at every width, without a complaint."""

import asyncio
import contextlib
import re
import socket

import pytest
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar
from playwright.async_api import async_playwright

from vendrail.api.payments import ActionKind, PaymentAction
from vendrail.kernel.http import Edge
from vendrail.kernel.ids import from_serial
from vendrail.web.app import build_routes
from vendrail.web.settings import WebSettings

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def free_port() -> int:
    """Find a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.asynccontextmanager
async def served(app, port: int):
    """Serve an application on a port."""
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGI)
    task = asyncio.create_task(server.serve())
    for _ in range(200):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            break
        await asyncio.sleep(0.05)
    yield
    server.stop()
    await task


@pytest.fixture
async def site(standins, market, clock, vault, wakeups, limits, tmp_path):
    """The storefront behind its edge, on a free port; gives its address."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    web = build_routes(
        standins.StandInCatalog(market),
        standins.StandInOrders(market),
        standins.StandInPayments(market),
        vault=vault,
        clock=clock,
        wakeups=wakeups,
        settings=WebSettings(home=tmp_path, public_url=address),
        place_limit=limits,
        lookup_limit=limits,
    )
    options = {"openapi_config": None, "logging_config": None}
    answers = {Exception: web.answer_error}
    app = Edge(Litestar(list(web.handlers), exception_handlers=answers, **options))
    async with served(app, port):
        yield address


@pytest.fixture
async def provider(market, wakeups, site):
    """A provider on another address: a page whose one button pays, and leads back to the shop."""
    port = free_port()

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        headers = [(b"content-type", b"text/html")]
        status, body = 200, b'<meta charset=utf-8><a id="pay" href="/paid">Pay</a>'
        if scope["path"] == "/paid":
            id, order = next(iter(market.orders.items()))
            market.deliver(id, "KEY-IN-BROWSER")
            wakeups.wake(f"order:{id}")
            status = 302
            headers.append((b"location", f"{site}/orders/{order.serial}".encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    address = f"http://127.0.0.1:{port}/"
    market.action = PaymentAction(ActionKind.REDIRECT, url=f"{address}gateway")
    async with served(app, port):
        yield address


@pytest.fixture
async def chromium():
    """Debian's Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.mark.parametrize("scripts", [True, False])
async def test_three_interactions_from_product_to_key(site, provider, chromium, scripts):
    """Fill in and buy, tap pay at the provider, read the key: also with JavaScript off."""
    context = await chromium.new_context(
        java_script_enabled=scripts, locale="zh-CN", viewport={"width": 360, "height": 740}
    )
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    await page.goto(f"{site}/")
    await page.get_by_role("link", name="Steam 充值卡").click()
    await page.get_by_label("邮箱").fill("buyer@example.com")
    await page.get_by_role("button", name="立即支付").click()  # 1
    await page.wait_for_url(f"{provider}**")
    await page.locator("#pay").click()  # 2
    await page.get_by_text("KEY-IN-BROWSER").wait_for()  # 3: only looking.

    assert "/orders/" in page.url
    assert "key=" not in page.url
    assert [] == complaints
    await context.close()


async def test_page_left_open_shows_the_key_by_itself(site, chromium, market, wakeups):
    """Paid on the phone, the key shows on the page left open beside it; copying works."""
    context = await chromium.new_context(locale="en-US")
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site)
    page = await context.new_page()
    await page.goto(f"{site}/")
    await page.get_by_role("link", name="Steam").click()
    await page.get_by_label("E-mail").fill("buyer@example.com")
    for quantity, total in (("5", "240.00"), ("12", "564.00"), ("3", "145.50")):
        await page.get_by_label("Quantity").fill(quantity)
        assert f"CN¥{total}" in await page.get_by_role("button", name="Pay now").inner_text()
    await page.get_by_label("Alipay, scan a code").check()
    await page.get_by_role("button", name="Pay now").click()
    await page.get_by_role("img", name="QR code to pay this order").wait_for()
    id = from_serial(re.search(r"/orders/(\w{26})", page.url)[1])
    market.deliver(id, "KEY-A", "KEY-B", "KEY-C")
    wakeups.wake(f"order:{id}")
    await page.get_by_role("heading", name="Here are your 3 keys").wait_for(timeout=5_000)
    await page.get_by_role("button", name="Copy key 2").click()
    await page.get_by_text("Copied").wait_for()

    assert "KEY-B" == await page.evaluate("navigator.clipboard.readText()")
    await page.get_by_role("button", name="Copy all").click()
    await page.get_by_text("Copied").nth(1).wait_for()
    assert "KEY-A\nKEY-B\nKEY-C" == await page.evaluate("navigator.clipboard.readText()")
    await context.close()


@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_overflows_and_contrast_holds(site, chromium, market, language, scheme):
    """From 320 px up no page scrolls sideways, and text keeps WCAG AA contrast in both themes."""
    context = await chromium.new_context(
        locale=language, color_scheme=scheme, viewport={"width": 320, "height": 640}
    )
    page = await context.new_page()
    await page.goto(f"{site}/")
    product = await page.locator("h3 a").first.get_attribute("href")
    await page.goto(f"{site}{product}")
    await page.locator("#contact").fill("buyer@example.com")
    await page.locator("input[value=alipay_qr]").check()
    await page.locator("form[data-buy] button[type=submit]").first.click()
    await page.wait_for_url("**/orders/**")
    order = re.search(r"(/orders/\w{26})", page.url)[1]
    attempt = re.search(r"pay=(\w{26})", page.url)[1]
    door = f"/pay/{order.split('/')[2]}/{attempt}"
    addresses = ["/", "/shops/north-games", product, order, door]
    addresses += ["/lookup", "/help", "/design", "/nothing", "/orders/none"]
    for address in addresses:
        await page.goto(site + address)
        for width in (320, 768, 1440):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate(IS_FITTING), f"{address} overflows at {width}"
        assert [] == await page.evaluate(FAINT), f"{address} is too faint in {scheme}"
    market.deliver(from_serial(order.split("/")[2]), "K" * 200, "短" * 80)
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.goto(site + order)
    assert await page.evaluate(IS_FITTING)
    assert [] == await page.evaluate(FAINT)
    await context.close()


async def test_keyboard_alone_buys(site, chromium, market):
    """Everything can be reached and seen by keyboard: skip link, choices, buying."""
    context = await chromium.new_context(locale="en-US")
    page = await context.new_page()
    await page.goto(f"{site}/")
    await page.keyboard.press("Tab")
    assert "Skip to content" == await page.evaluate("document.activeElement.textContent")
    product = await page.locator("h3 a").first.get_attribute("href")
    await page.goto(site + product)
    await page.locator("input[name=sku]:checked").focus()
    outline = "getComputedStyle(document.activeElement.closest('.choice')).outlineStyle"
    await page.keyboard.press("ArrowDown")
    assert "solid" == await page.evaluate(outline)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.type("buyer@example.com")
    market.action = PaymentAction(ActionKind.NONE, problem="provider_away")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/pay/**")

    assert ["STEAM-100"] == [view.sku for view in market.orders.values()]
    await context.close()


IS_FITTING = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"

# Panels that hide a part of what is in them: it does not overflow the page, and nobody can read it.
# Two frames pass first: right after a change of width, what moves calmly is still on its way.
CUT = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
  .then(() => [...document.querySelectorAll("main .panel")]
  .filter((each) => getComputedStyle(each).overflowX === "hidden")
  .filter((each) => each.scrollWidth > each.clientWidth + 1)
  .map((each) => each.innerText.slice(0, 80)))"""
# What can be pressed, and is covered by something else where it is pressed.
COVERED = """() => [...document.querySelectorAll(
    "main :is(a, button, summary, input, select, textarea)")]
  .filter((each) => each.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
  .filter((each) => !each.closest("[inert]"))
  .filter((each) => {
    each.scrollIntoView({ block: "center", inline: "center" });
    const box = each.getClientRects()[0];
    if (!box || box.width < 4 || box.height < 4) return false;
    const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    if (!top || each.contains(top)) return false;
    return !each.labels || ![...each.labels].some((label) => label.contains(top));
  })
  .map((each) => each.outerHTML.slice(0, 160))"""
# Every visible text against the first opaque background behind it, composited as it is painted.
FAINT = """() => {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => {
      const s = v / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (!text || box.width < 2 || box.height < 2 || style.visibility === 'hidden') continue;
    if (element.closest('svg, [disabled], .sr-only, .skip, :has(> :disabled)')) continue;
    const back = behind(element);
    const front = over(rgba(style.color), back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight, 10) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) faint.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return faint;
}"""
