"""Every page: safe headers, no inline script or style, whole in every language, light to load."""

import gzip
import html
import importlib.util
import json
import re
from html.parser import HTMLParser
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from vendrail.api.orders import OrderState
from vendrail.api.payments import ActionKind, PaymentAction
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import from_serial
from vendrail.web.languages import LANGUAGES, choose, translations

ROOT = Path(__file__).parents[2]
PRODUCT = "/products/"

CARD_FORM = PaymentAction(
    ActionKind.EMBED,
    url="https://cards.example.com/v3/",
    text="stripe",
    fields={
        "key": "pk_1",
        "secret": "pi_1_secret_'\"><b>",
        "account": "",
        "frames": "https://cards.example.com https://*.cards.example.com",
        "calls": "https://api.cards.example.com",
    },
)


async def place(browser, method: str = "alipay") -> str:
    """Place an order as a browser does; give its address."""
    home = await browser.get("/")
    page = await browser.get(re.search(r'href="(/products/\w{26})"', home.text)[1])
    form = page.text.split('action="/orders"', 1)[1].split("</form>", 1)[0]
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    filled = {"sku": "STEAM-50", "quantity": "2", "contact": "a@example.com", "method": method}
    placed = await browser.post("/orders", data=hidden | filled)
    assert 303 == placed.status_code
    return placed.headers["location"].split("?")[0]


async def every_page(browser, market) -> dict[str, str]:
    """Open every page there is, in every state it has."""
    pages = {}

    async def look(name: str, address: str) -> None:
        answer = await browser.get(address)
        pages[name] = answer.text
        assert answer.headers["content-type"].startswith("text/html"), name

    await look("home", "/")
    await look("home.found", "/?q=steam")
    await look("home.nothing", "/?q=zzz")
    await look("shop", "/shops/north-games")
    await look("product", re.search(r'"(/products/\w{26})"', pages["home"])[1])
    await look("help", "/help")
    await look("design", "/design")
    await look("lookup", "/lookup")
    await look("missing", "/products/none")
    await look("closed", "/orders/none")
    address = await place(browser, "alipay_qr")
    id = from_serial(address.split("/")[2])
    await look("order.placed.qr", address)
    for method in ("alipay", "alipay_qr"):
        attempt = re.search(r"pay=(\w{26})", pages["order.placed.qr"])[1]
        await look(f"door.{method}", f"/pay/{address.split('/')[2]}/{attempt}")
    for problem in ("captured", "closed", "other_device", "provider_away"):
        market.action = PaymentAction(ActionKind.NONE, problem=problem)
        await look(f"door.{problem}", f"/pay/{address.split('/')[2]}/{attempt}")
    market.action = PaymentAction(
        ActionKind.FORM, url="https://provider.example.com/pay", fields={"sign": '"><b>'}
    )
    await look("door.form", f"/pay/{address.split('/')[2]}/{attempt}")
    market.action = PaymentAction(ActionKind.INVOKE, text="wechat", fields={"sign": '"><b>'})
    await look("door.invoke", f"/pay/{address.split('/')[2]}/{attempt}?code=1&state=2")
    market.action = CARD_FORM
    await look("door.embed", f"/pay/{address.split('/')[2]}/{attempt}")
    market.action = None
    for state in OrderState:
        for waiting in ("", "review", "restock", "provider"):
            market.step(id, state, waiting=waiting)
            await look(f"order.{state}.{waiting}", address)
    market.deliver(id, "KEY-1", "KEY-2")
    market.step(
        id, OrderState.REFUNDED, "waiting", "refund_asked", "refund_failed", "refunded", "expired"
    )
    await look("order.much", address)
    return pages


class Inline(HTMLParser):
    """Finds what a Content-Security-Policy without inline script or style would stop."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in = ""

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        self._in = tag if tag in ("script", "style") and "src" not in names else ""
        if tag == "style":
            self.found.append("<style>")
        for name, value in attrs:
            is_script = (value or "").strip().lower().startswith(("javascript:", "data:text"))
            if name == "style" or name.startswith(("on", "hx-on")) or is_script:
                self.found.append(f"<{tag} {name}={value}>")

    def handle_data(self, data):
        if self._in and data.strip():
            self.found.append(data)


async def test_no_page_holds_inline_script_or_style(browser, market):
    """No page needs what the policy forbids: no inline script, style, handler or script address."""
    pages = await every_page(browser, market)

    for name, page in pages.items():
        looker = Inline()
        looker.feed(page)
        assert [] == looker.found, name
    assert len(pages) > 30


async def test_every_page_carries_its_policy(browser, market):
    """Every page says what it may load and where its forms may go, in a header."""
    address = await place(browser)
    for path in ("/", "/help", "/design", "/lookup", "/nothing/here", address):
        answer = await browser.get(path)
        policy = answer.headers["content-security-policy"]

        assert "script-src 'self';" in policy, path
        assert "unsafe" not in policy
        assert "form-action 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "same-origin" == answer.headers["referrer-policy"]
        assert "nosniff" == answer.headers["x-content-type-options"]


async def test_only_the_door_with_a_card_form_lets_its_provider_in(browser, market):
    """Script, frames and calls of that provider and no other, on that page and no other."""
    address = await place(browser)
    page = await browser.get(address)
    door = re.search(r'href="(/pay/[^"]+)"', page.text)[1]
    market.action = CARD_FORM
    answer = await browser.get(door)
    told = dict(
        each.strip().split(" ", 1) for each in answer.headers["content-security-policy"].split(";")
    )
    market.action = replace(CARD_FORM, fields={**CARD_FORM.fields, "frames": "*; script-src *"})
    broken = (await browser.get(door)).headers["content-security-policy"]

    assert "'self' https://cards.example.com" == told["script-src"]
    assert "https://cards.example.com https://*.cards.example.com" == told["frame-src"]
    assert "'self' https://api.cards.example.com" == told["connect-src"]
    assert "payment=(self" in answer.headers["permissions-policy"]
    assert "no-store" == answer.headers["cache-control"]
    assert '?page=hosted"' in answer.text.split("<noscript>")[1]
    for policy in (page.headers["content-security-policy"], broken):
        assert "script-src 'self';" in policy
        assert "frame-src" not in policy


async def test_only_the_form_door_may_post_to_the_provider(browser, market):
    """The page with a provider's form allows exactly that provider, and no page else does."""
    address = await place(browser)
    page = await browser.get(address)
    door = re.search(r'href="(/pay/[^"]+)"', page.text)[1]
    market.action = PaymentAction(
        ActionKind.FORM, url="https://provider.example.com/pay?a=1", fields={"sign": "x"}
    )
    answer = await browser.get(door)

    policy = answer.headers["content-security-policy"]
    assert "form-action 'self' https://provider.example.com;" in policy
    assert '<input type="hidden" name="sign" value="x">' in answer.text


@pytest.mark.parametrize("problem, status", [("captured", 200), ("provider_away", 503)])
async def test_door_says_when_it_cannot_open(browser, market, problem, status):
    """A door that leads nowhere says why, and leads back to the order."""
    address = await place(browser)
    door = re.search(r'href="(/pay/[^"]+)"', (await browser.get(address)).text)[1]
    market.action = PaymentAction(ActionKind.NONE, problem=problem)
    answer = await browser.get(door)

    assert status == answer.status_code
    assert f'href="{address}"' in answer.text


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil",
        "https://a;b/",
        "https://x\r\ny",
        "http://[",
    ],
)
async def test_door_goes_to_web_addresses_only(browser, market, url):
    """Whatever a channel answers, a buyer is sent to a plain web address or nowhere."""
    address = await place(browser)
    door = re.search(r'href="(/pay/[^"]+)"', (await browser.get(address)).text)[1]
    market.action = PaymentAction(ActionKind.REDIRECT, url=url)
    answer = await browser.get(door)

    assert 200 == answer.status_code
    assert "location" not in answer.headers


@pytest.mark.parametrize("tag", [tag for tag in LANGUAGES if tag != "en"])
async def test_nothing_is_left_untranslated(browser, market, tag):
    """In no other language an English text of the catalogue shows on any page."""
    browser.headers["Accept-Language"] = f"{tag},en;q=0.5"
    pages = await every_page(browser, market)
    words = [
        str(message)
        for message, text in translations(tag)._catalog.items()
        if isinstance(message, str) and len(message) > 3 and "%(" not in message
        if text != message
    ]

    assert len(words) > 150
    for name, page in pages.items():
        assert f'<html lang="{tag}"' in page
        texts = set(re.sub(r"<[^>]+>", "\n", page.split("<body", 1)[1]).split("\n"))
        left = {html.unescape(text).strip() for text in texts} & set(words)
        assert set() == left, name


def test_catalogues_are_complete():
    """Every text is translated in every language, and nothing in a catalogue is stale."""
    loader = SourceFileLoader("messages_script", str(ROOT / "scripts/messages"))
    script = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("messages_script", loader)
    )
    loader.exec_module(script)
    wanted = {message.id for message in script.gather() if message.id}

    for tag in LANGUAGES:
        if tag == "en":
            continue
        path = script.WEB / f"locale/{tag.replace('-', '_')}/LC_MESSAGES/messages.po"
        with path.open("rb") as file:
            catalogue = script.read_po(file, locale=tag.replace("-", "_"))
        assert [] == script.open_texts(catalogue)
        assert wanted == {message.id for message in catalogue if message.id}
        for message in catalogue:
            if not message.id:
                continue
            assert not set('<>&"') & set("".join(message.id))
            ids = message.id if isinstance(message.id, tuple) else (message.id,)
            texts = message.string if isinstance(message.string, tuple) else (message.string,)
            # Where a language counts as English does, each form has the names of its own.
            sources = ids if len(ids) == len(texts) else (" ".join(ids),) * len(texts)
            for source, text in zip(sources, texts, strict=True):
                names = set(re.findall(r"%\((\w+)\)s", source))
                assert names == set(re.findall(r"%\((\w+)\)s", text)), message.id
                assert not set('<>&"') & set(text), "Texts are written into pages as they are."


@pytest.mark.parametrize(
    "chosen, accepted, expected",
    [
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("", "zh-TW,zh;q=0.9,en;q=0.8", "zh-Hant"),
        ("", "zh-Hant-HK,en;q=0.8", "zh-Hant"),
        ("", "zh-Hans-HK,en;q=0.8", "zh-Hans"),
        ("", "fr,ja-JP;q=0.8,en;q=0.3", "ja"),
        ("", "ko-KR,ko;q=0.9", "ko"),
        ("", "es-419,es;q=0.9,en;q=0.8", "es"),
        ("ko", "es", "ko"),
        ("", "en-GB,en;q=0.9", "en"),
        ("", "fr,en;q=0.3,zh;q=0.4", "zh-Hans"),
        ("en", "zh", "en"),
        ("xx", "", "zh-Hans"),
        ("", "en;q=0, zh;q=bad", "zh-Hans"),
        ("", "," * 5000, "zh-Hans"),
    ],
)
def test_language_is_chosen_by_cookie_then_browser(chosen, accepted, expected):
    """What was chosen counts, then what the browser accepts, then the default."""
    assert expected == choose(chosen, accepted, "zh-Hans").tag


async def test_language_and_theme_are_kept(browser):
    """The switches set a cookie and lead back to the same page, never to another site."""
    switched = await browser.get("/language/zh-Hans?next=/help")
    dark = await browser.get("/theme/dark?next=/help%3Fa=1")
    page = await browser.get("/help")

    assert (303, "/help") == (switched.status_code, switched.headers["location"])
    assert "/help?a=1" == dark.headers["location"]
    assert '<html lang="zh-Hans" data-theme="rail-dark">' in page.text
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil"):
        answer = await browser.get("/theme/auto", params={"next": elsewhere})
        assert "/" == answer.headers["location"]


async def test_prices_are_written_in_each_language(browser):
    """Amounts come from minor units, in the manner of the language."""
    english = await browser.get("/")
    chinese = await browser.get("/", headers={"Accept-Language": "zh"})

    assert "CN¥48.50" in english.text
    assert "¥48.50" in chinese.text
    assert "CN¥48.50" not in chinese.text


async def test_search_gives_the_part_that_changes(browser):
    """Asked by htmx, the list comes alone; asked by a browser, the whole page comes."""
    part = await browser.get("/?q=steam", headers={"HX-Request": "true"})
    whole = await browser.get("/?q=steam")

    assert part.text.lstrip().startswith('<section id="products"')
    assert "<html" in whole.text
    assert "eShop" not in part.text


async def test_first_load_is_light(browser, web):
    """The first page with style and scripts is at most 60 kB on the wire, compressed."""
    answer = await browser.get("/", headers={"Accept-Encoding": "gzip"})
    weight = len(gzip.compress(answer.content, 4))
    assert "gzip" == answer.headers["content-encoding"]
    addresses = re.findall(r'(?:href|src)="(/assets/[^"]+)"', answer.text)
    for address in set(addresses):
        asset = await browser.get(address, headers={"Accept-Encoding": "gzip"})
        assert 200 == asset.status_code, "Build the assets first: make assets."
        assert "immutable" in asset.headers["cache-control"]
        weight += len(gzip.compress(asset.content, 9))

    assert weight <= 60 * 1024


async def test_pictures_cannot_run_anything(browser, tmp_path):
    """A picture is served with a policy that stops scripts, even where it is an SVG."""
    (tmp_path / "media").mkdir()
    (tmp_path / "media/a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "media/out").symlink_to("/etc")
    (tmp_path / "media/page.html").write_text("<script>alert(1)</script>")
    answer = await browser.get("/media/a.svg")
    page = await browser.get("/media/page.html")

    assert "sandbox" in answer.headers["content-security-policy"]
    assert "nosniff" == answer.headers["x-content-type-options"]
    assert "application/octet-stream" == page.headers["content-type"]
    assert page.headers["content-disposition"].startswith("attachment")
    for path in ("..%2f..%2fetc/passwd", "out/passwd", "none.svg", "%00.svg", ""):
        assert 404 == (await browser.get(f"/media/{path}")).status_code, path


@pytest.mark.parametrize(
    "agent,offered",
    [
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0", ["alipay", "alipay_qr"]),
        ("Mozilla/5.0 (iPhone) Mobile/15E148 Safari/604.1", ["alipay", "alipay_qr"]),
        ("Mozilla/5.0 (iPhone) AlipayClient/10.7.80 Mobile/15E148", ["alipay"]),
    ],
)
async def test_ways_to_pay_are_those_that_work_in_the_browser(browser, agent, offered):
    """A code to scan off one's own screen is offered outside of wallets, and not inside."""
    browser.headers["user-agent"] = agent
    home = await browser.get("/")
    page = await browser.get(re.search(r'"(/products/\w{26})"', home.text)[1])

    assert offered == re.findall(r'name="method" value="(\w+)"', page.text)


async def test_inside_a_wallet_that_takes_no_way_it_is_said_where_to_go(browser):
    """Where none of the ways works, all are shown, and a note says to open another browser."""
    browser.headers["user-agent"] = "Mozilla/5.0 (iPhone) MicroMessenger/8.0.60 Mobile/15E148"
    home = await browser.get("/")
    page = await browser.get(re.search(r'"(/products/\w{26})"', home.text)[1])
    placed = await browser.get(await place(browser, "alipay"))

    assert ["alipay", "alipay_qr"] == re.findall(r'name="method" value="(\w+)"', page.text)
    for each in (page, placed):
        assert "None of these works inside this app." in each.text


async def test_a_link_opened_in_another_browser_offers_what_opens_there(browser):
    """The code of a desk is not shown inside Alipay: there the wallet's own way is offered."""
    address = await place(browser, "alipay_qr")
    desk = await browser.get(address)
    browser.headers["user-agent"] = "Mozilla/5.0 (iPhone) AlipayClient/10.7.80 Mobile/15E148"
    inside = await browser.get(address)

    assert "QR code to pay this order" in desk.text
    assert "QR code to pay this order" not in inside.text
    assert "Choose how to pay" in inside.text
    assert ["alipay"] == re.findall(r'name="method" value="(\w+)"', inside.text)


async def test_what_a_wallet_is_handed_is_in_the_page_and_harmless(browser, market):
    """The fields lie in the page as data; whatever they hold, they end no attribute."""
    address = await place(browser)
    order = await browser.get(address)
    attempt = re.search(r"pay=(\w{26})|/pay/\w{26}/(\w{26})", order.text)
    fields = {"paySign": "\"'><script>alert(1)</script>", "appId": "wx1"}
    market.action = PaymentAction(ActionKind.INVOKE, text="wechat", fields=fields)
    door = await browser.get(f"/pay/{address.split('/')[2]}/{attempt[1] or attempt[2]}")
    told = re.search(r'data-bridge="wechat" data-fields="([^"]*)"', door.text)[1]

    assert fields == json.loads(html.unescape(told))
    assert "<script>alert" not in door.text
