"""One walk through every page of the storefront, and what is seen at each stop."""

import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from playwright.async_api import Page
from tests.e2e.buyer import CONTACT, Buyer

from vendrail.kernel.locales import nearest
from vendrail.web.languages import translations

ROOT = Path(__file__).resolve().parents[2]
MARKET = ROOT / "src/vendrail/app/demo/market.toml"
AXE = ROOT / "node_modules/axe-core/axe.min.js"
WIDTHS = (320, 768, 1440, 3840)
# What is the same in every language: names of ours and of the web's.
NAMES = re.compile(
    r"Vendrail|REST|API|CSV|USDT|USDC|English|简体中文|繁體中文|日本語|한국어|Español|[\w.-]+@[\w.-]+|zzzz"
    r"|\b(?:CNY|USD|EUR|GBP|HKD|JPY|KRW|SGD|MYR|THB|AUD|CAD)\b"
    r"|(?:订单|訂單|注文|주문|Order|Pedido) ?[0-9A-Z]{6}"
    r"|…[0-9A-Z]{6}\b"  # Ends of numbers.
    r"|(?:Headless)?Chrome|Linux|visa •••• \d{4}"
)
# What people of the East write in Latin letters too.
WIDE = re.compile(
    r"CN¥|QR ?(?:Code|コード|코드)?|Alipay|WeChat Pay|PayNow|PromptPay|Apple Pay|Google Pay|QQ"
    r"|JavaScript|Cookie|PDF|MB"
)
LATIN, HAN, KANA = r"[A-Za-z]{2,}", r"[\u4e00-\u9fff]", r"[\u3040-\u30ff]"
HANGUL = r"[\uac00-\ud7a3]"
FOREIGN = {
    "zh-CN": re.compile(f"{LATIN}|{KANA}|{HANGUL}"),
    "zh-TW": re.compile(f"{LATIN}|{KANA}|{HANGUL}"),
    "en-US": re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"),
    "ja-JP": re.compile(f"{LATIN}|{HANGUL}"),
    "ko-KR": re.compile(f"{LATIN}|{HAN}|{KANA}"),
    "es-ES": re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"),
}
CJK = re.compile("zh|ja|ko")
# The character sets that have no Chinese characters but those of the language.
CHARSETS = {"zh-CN": "gb2312", "zh-TW": "cp950", "ja-JP": "cp932"}

IS_FITTING = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"

# Everything that is read out or shown, but keys, numbers of orders and links, and what stands on
# the keys of a keyboard.
TEXTS = """() => {
  const found = [document.title];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    if (text && !walker.currentNode.parentElement.closest('code, kbd, noscript')) found.push(text);
  }
  for (const name of ['title', 'alt', 'placeholder', 'aria-label'])
    for (const element of document.querySelectorAll(`[${name}]`))
      found.push(element.getAttribute(name));
  return found.filter((text) => text);
}"""

# A colour half way through a transition is nobody's colour; a spinner never ends.
AT_REST = """async () => {
  const isEnding = (each) => each.effect.getComputedTiming().endTime !== Infinity;
  const moving = () => document.getAnimations().filter(isEnding);
  while (moving().length) await Promise.allSettled(moving().map((each) => each.finished));
}"""

GRAVE = """async () => (await axe.run(document, { resultTypes: ['violations'] })).violations
  .filter((each) => ['serious', 'critical'].includes(each.impact))
  .map((each) => `${each.id}: ${each.nodes.map((node) => node.html).join(' ').slice(0, 300)}`)"""


@dataclass
class Seen:
    """What was not as it should be, each with the page and the place."""

    stops: list[str] = field(default_factory=list)
    overflowing: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    grave: list[str] = field(default_factory=list)


@cache
def goods() -> tuple[str, list[str]]:
    """Give what merchants wrote: it is in their language, whatever the page's is."""
    text = MARKET.read_text("utf-8")
    market = tomllib.loads(text)
    names = [each["name"] for kind in ("merchant", "shop") for each in market[kind]]
    for product in market["product"]:
        names += [product["title"], product.get("category", "")]
        names += [each.get("title", "") for each in product["variants"]]
    longest_first = sorted({name for name in names if name}, key=len, reverse=True)
    return re.sub(r"[*`>|\s]", "", text), longest_first


def strange_words(text: str, language: str) -> str:
    """Give what of a text is in another language than its page's; mostly nothing."""
    written, names = goods()
    if re.sub(r"[*`>|\s]", "", text) in written:
        return ""
    for name in names:
        text = text.replace(name, "")
    left = NAMES.sub("", text)
    if CJK.search(language):
        left = WIDE.sub("", left)
    is_strange = FOREIGN[language].search(left) or text in english(language)
    return text if is_strange or not _is_written(left, language) else ""


def _is_written(text: str, language: str) -> bool:
    """Whether all Chinese characters of a text are ones that its language writes."""
    try:
        "".join(re.findall(HAN, text)).encode(CHARSETS.get(language, "utf-8"))
    except UnicodeEncodeError:
        return False
    return True


@cache
def english(language: str) -> frozenset[str]:
    """Give the English texts that the language says otherwise."""
    if language == "en-US":
        return frozenset()
    said = translations(nearest(language))._catalog.items()
    return frozenset(text for text, words in said if isinstance(text, str) and words != text)


class Walk:
    """A buyer who goes everywhere and looks closely."""

    def __init__(self, buyer: Buyer, language: str) -> None:
        self.buyer = buyer
        self.page: Page = buyer.page
        self.language = language
        self.seen = Seen()

    async def look(self, name: str, *, is_translated: bool = True) -> None:
        """Look at the page as it is now, at every width."""
        self.seen.stops.append(name)
        for width in WIDTHS:
            await self.page.set_viewport_size({"width": width, "height": 800})
            if not await self.page.evaluate(IS_FITTING):
                self.seen.overflowing.append(f"{name} at {width}")
        await self.page.set_viewport_size({"width": 320, "height": 640})
        if is_translated:
            texts = await self.page.evaluate(TEXTS)
            strange = [strange_words(text, self.language) for text in texts]
            self.seen.foreign += [f"{name}: {words}" for words in strange if words]
        await self.page.evaluate(AXE.read_text("utf-8"))
        await self.page.evaluate(AT_REST)
        self.seen.grave += [f"{name}: {each}" for each in await self.page.evaluate(GRAVE)]

    async def go(self, path: str, name: str, *, is_translated: bool = True) -> None:
        """Open a page of the site and look at it."""
        await self.page.goto(f"{self.buyer.site}{path}")
        await self.look(name, is_translated=is_translated)

    async def everywhere(self) -> Seen:
        """Walk through every page there is."""
        await self.go("/", "home")
        await self.go("/?q=zzzz", "nothing found")
        await self.go("/shops/shanlan-games", "shop")
        await self.go("/help", "help")
        await self.go("/design", "design", is_translated=False)  # It names colours.
        await self.go("/nothing-here", "not found")
        await self.go("/orders/01M83F0CEGE319NSG4W98Y6GAX", "closed")
        await self._buy()
        await self._find()
        await self._read_letters()
        return self.seen

    async def _buy(self) -> None:
        buyer, page = self.buyer, self.page
        await buyer.open_product()
        await self.look("product")
        await buyer.write("contact", "no address")
        await buyer.tap("buy")
        await page.locator("#problem").wait_for()
        await self.look("product refused")
        serial = await buyer.place("by code")
        await self.look("pay by code")
        (attempt,) = re.findall(r"pay=(\w{26})", page.url)
        await self.go(f"/pay/{serial}/{attempt}", "door")
        await page.goto(f"{buyer.site}/orders/{serial}")
        await buyer.choose("by page")
        await buyer.tap("use")
        await page.wait_for_url("**/alipay/cashier/**")
        await self.look("wallet", is_translated=False)  # It is the provider's.
        wallet = page.url
        await self.go(f"/orders/{serial}", "pay by page")
        await page.goto(wallet)
        await buyer.confirm()
        await buyer.read_key()
        await page.locator("main summary").click()
        await self.look("delivered")
        await self.go(f"/pay/{serial}/{attempt}", "door of a paid order")
        await buyer.open_product()
        await buyer.place("by wechat")
        await self.look("other wallet", is_translated=False)
        await buyer.open_product()
        await buyer.place("by wechat code")
        await self.look("pay by another code")
        await buyer.open_product()
        serial = await buyer.place("by code")
        await page.locator("form[action$='/cancel'] button").click()
        await page.locator("a[href^='/products/']").wait_for()
        await self.look("cancelled")

    async def _read_letters(self) -> None:
        """The mailbox of the demo: what letters say is in their readers' language."""
        page = self.page
        await page.goto(f"{self.buyer.site}/mailbox")
        while not await page.locator("a[href^='/mailbox/']").count():
            await page.wait_for_timeout(200)
            await page.reload()
        await self.look("mailbox", is_translated=False)
        letter = await page.locator("a[href^='/mailbox/']").first.get_attribute("href")
        await self.go(f"{letter}", "letter", is_translated=False)
        await self.go(f"{letter}?text", "letter as text", is_translated=False)

    async def _find(self) -> None:
        buyer, page = self.buyer, self.page
        await self.go("/lookup", "lookup")
        await buyer.write("contact", CONTACT)
        await buyer.tap("send a code")
        await page.locator("#code").wait_for()
        await self.look("code sent")
        await buyer.write("code field", "0000")
        await buyer.tap("show orders")
        await page.locator("#code-problem").wait_for()
        await self.look("wrong code")
        await page.locator("#link").fill("no link")
        await page.locator("form[action='/lookup/link'] button").click()
        await page.locator("#link-problem").wait_for()
        await self.look("wrong link")
