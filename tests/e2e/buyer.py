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
        "steps": ["已下单", "已支付", "已托管", "已交付", "已结算"],
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
        "steps": ["Ordered", "Paid", "Held", "Delivered", "Settled"],
    },
    "zh-TW": {
        "contact": "電子郵件",
        "buy": "立即付款",
        "by page": "支付寶",
        "by code": "支付寶掃碼",
        "by wechat": "微信支付",
        "by card": "信用卡、Apple Pay 或 Google Pay",
        "by paynow": "PayNow 掃碼",
        "by qq": "QQ 錢包",
        "by wechat code": "微信支付掃碼",
        "use": "使用此方式",
        "code": "支付此訂單的 QR Code",
        "copy": "複製第 1 組序號",
        "copied": "已複製",
        "orders": "我的訂單",
        "send a code": "寄送驗證碼",
        "code field": "驗證碼",
        "show orders": "查看訂單",
        "steps": ["已下單", "已付款", "已保管", "已交付", "已結算"],
    },
    "ja-JP": {
        "contact": "メールアドレス",
        "buy": "今すぐ支払う",
        "by page": "Alipay",
        "by code": "Alipay（コードをスキャン）",
        "by wechat": "WeChat Pay",
        "by card": "カード、Apple Pay、Google Pay",
        "by paynow": "PayNow（コードをスキャン）",
        "by qq": "QQウォレット",
        "by wechat code": "WeChat Pay（コードをスキャン）",
        "use": "この方法を使う",
        "code": "この注文を支払うQRコード",
        "copy": "キー1をコピー",
        "copied": "コピーしました",
        "orders": "マイ注文",
        "send a code": "コードを送信",
        "code field": "コード",
        "show orders": "注文を表示",
        "steps": ["注文済み", "支払い済み", "お預かり中", "お届け済み", "精算済み"],
    },
    "ko-KR": {
        "contact": "이메일",
        "buy": "지금 결제",
        "by page": "알리페이",
        "by code": "알리페이 QR 결제",
        "by wechat": "위챗페이",
        "by card": "카드, Apple Pay 또는 Google Pay",
        "by paynow": "PayNow QR 결제",
        "by qq": "QQ 지갑",
        "by wechat code": "위챗페이 QR 결제",
        "use": "이 수단 사용",
        "code": "이 주문을 결제하는 QR 코드",
        "copy": "1번 키 복사",
        "copied": "복사됨",
        "orders": "내 주문",
        "send a code": "코드 보내기",
        "code field": "코드",
        "show orders": "주문 보기",
        "steps": ["주문됨", "결제됨", "보관 중", "전달됨", "정산됨"],
    },
    "es-ES": {
        "contact": "Correo electrónico",
        "buy": "Pagar ahora",
        "by page": "Alipay",
        "by code": "Alipay, escanear un código",
        "by wechat": "WeChat Pay",
        "by card": "Tarjeta, Apple Pay o Google Pay",
        "by paynow": "PayNow, escanear un código",
        "by qq": "Monedero QQ",
        "by wechat code": "WeChat Pay, escanear un código",
        "use": "Usar esta forma",
        "code": "Código QR para pagar este pedido",
        "copy": "Copiar la clave 1",
        "copied": "Copiado",
        "orders": "Mis pedidos",
        "send a code": "Enviar un código",
        "code field": "Código",
        "show orders": "Mostrar pedidos",
        "steps": ["Pedido realizado", "Pagado", "En custodia", "Entregado", "Liquidado"],
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
