"""A buyer with a browser: does what a person does, and counts how often."""

import re

from playwright.async_api import Locator, Page

CONTACT = "buyer@example.com"
PRODUCT = "雾港远航"
KEY = re.compile(r"[0-9A-Z]{4,6}(-[0-9A-Z]{4,6})+")
WORDS = {
    "zh-CN": {
        "contact": "邮箱",
        "buy": "立即支付",
        "by page": "支付宝",
        "by code": "支付宝扫码",
        "by wechat": "微信支付",
        "by card": "银行卡、Apple Pay 或 Google Pay",
        "by paynow": "PayNow 扫码",
        "by qq": "QQ钱包",
        "by wechat code": "微信扫码支付",
        "use": "使用此方式",
        "code": "此订单的支付二维码",
        "copy": "复制第 1 个卡密",
        "copied": "已复制",
        "orders": "我的订单",
        "send a code": "发送验证码",
        "code field": "验证码",
        "show orders": "查看订单",
        "steps": ["已下单", "已支付", "已托管", "已交付", "已放款"],
    },
    "en-US": {
        "contact": "E-mail",
        "buy": "Pay now",
        "by page": "Alipay",
        "by code": "Alipay, scan a code",
        "by wechat": "WeChat Pay",
        "by card": "Card, Apple Pay or Google Pay",
        "by paynow": "PayNow, scan a code",
        "by qq": "QQ Wallet",
        "by wechat code": "WeChat Pay, scan a code",
        "use": "Use this way",
        "code": "QR code to pay this order",
        "copy": "Copy key 1",
        "copied": "Copied",
        "orders": "My orders",
        "send a code": "Send a code",
        "code field": "Code",
        "show orders": "Show orders",
        "steps": ["Ordered", "Paid", "Held", "Delivered", "Released"],
    },
}

# Where a buyer pays who chose a way that leads to its provider.
CASHIERS = {
    "by page": "**/alipay/cashier/**",
    "by wechat": "**/epay/pay/**",
    "by qq": "**/epay2/pay/**",
    "USDT": "**/epusdt/pay/**",
    "by card": "**/stripe/c/pay/**",
}


class Buyer:
    """One person, one tab, one language."""

    def __init__(self, page: Page, site: str, language: str) -> None:
        self.page = page
        self.site = site
        self.words = WORDS[language]
        self.interactions = 0

    async def open_product(self, title: str = PRODUCT) -> None:
        """Go from the front page to a product; what comes after it is counted."""
        await self.page.goto(self.site)
        await self.page.get_by_role("link", name=title).click()
        await self.page.get_by_label(self.words["contact"]).wait_for()
        self.interactions = 0

    async def write(self, label: str, text: str) -> None:
        """Fill in one field."""
        self.interactions += 1
        await self.page.get_by_role("textbox", name=self.words.get(label, label)).fill(text)

    async def choose(self, label: str) -> None:
        """Choose one of several."""
        self.interactions += 1
        name = self.words.get(label, label)
        await self.page.get_by_label(name, exact=True).check()

    async def tap(self, name: str) -> None:
        """Press one button."""
        self.interactions += 1
        await self.page.get_by_role("button", name=self.words.get(name, name)).click()

    async def place(self, way: str, contact: str = CONTACT) -> str:
        """Order what is on the page, and come as far as a way to pay; give the order's number."""
        await self.write("contact", contact)
        await self.choose(way)
        await self.tap("buy")
        if way in CASHIERS:
            await self.page.wait_for_url(CASHIERS[way])
            found = re.search(r"\b([0-9A-Z]{26})\d\d\b", await self.page.content())
        else:
            await self.page.wait_for_url("**/orders/**")
            found = re.search(r"/orders/([0-9A-Z]{26})", self.page.url)
        assert found, self.page.url
        return found[1]

    async def confirm(self) -> None:
        """Tap "pay" in the provider's wallet."""
        await self.tap("确认付款")

    @property
    def keys(self) -> Locator:
        """What is delivered on the order's page."""
        return self.page.locator("#keys code")

    async def read_key(self, timeout_ms: float = 15_000) -> str:
        """Look at the key, once it is there."""
        await self.keys.first.wait_for(timeout=timeout_ms)
        return await self.keys.first.inner_text()
