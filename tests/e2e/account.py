"""The walk goes on through a buyer's account: in, its wallet, its help, one click."""

import asyncio
from collections.abc import Callable

from tests.e2e.buyer import Buyer
from tests.e2e.test_stripe import open_product, type_card
from tests.e2e.walk import Seen, Walk


class AccountWalk(Walk):
    """A buyer who goes everywhere, and then everywhere that only who is signed in may go."""

    def __init__(self, buyer: Buyer, language: str, read_code: Callable[[str], str]) -> None:
        super().__init__(buyer, language)
        self._read_code = read_code

    async def everywhere(self) -> Seen:
        """Walk through every page there is."""
        await super().everywhere()
        await self._sign_in()
        await self._fill_wallet()
        await self._complain(await self._spend_wallet())
        await self._remember()
        await self.go("/account", "account")
        return self.seen

    async def _sign_in(self) -> None:
        """Into an account, by a wrong code and the right one."""
        page, contact = self.page, f"walker-{self.language.lower()}@example.com"
        await self.go("/account/sign-in", "sign in")
        await page.locator("#email").fill(contact)
        await page.locator("form[action='/account/sign-in'] button").click()
        await page.locator("#code").wait_for()
        await self.look("sign-in code sent")
        await self._show_code("0000")
        await page.locator("#problem").wait_for()
        await self.look("wrong sign-in code")
        await self._show_code(await asyncio.to_thread(self._read_code, contact))
        await page.wait_for_url("**/account")
        await self.look("account of somebody new")
        await self.go("/account/sign-in?next=/account", "signed in already")

    async def _show_code(self, code: str) -> None:
        await self.page.locator("#code").fill(code)
        await self.page.locator("form[action='/account/code'] button").click()

    async def _fill_wallet(self) -> None:
        """Money in, at the provider; then every movement."""
        page = self.page
        await self.go("/account/wallet", "wallet of somebody new")
        for amount in ("1", "100"):  # Too little, then enough.
            await page.locator("#amount").fill(amount)
            await self.buyer.choose("by page")
            await page.locator("form[action$='/top-ups'] button[type=submit]").click()
            if amount == "1":
                await page.locator("#problem").wait_for()
                await self.look("top-up refused")
        await page.wait_for_url("**/alipay/cashier/**")
        await self.buyer.confirm()
        await page.wait_for_url("**/orders/**")
        await page.locator(".rail li[data-state=done]").nth(2).wait_for()
        await self.look("top-up")

    async def _spend_wallet(self) -> str:
        """An order paid whole out of the wallet; give its number."""
        buyer, page = self.buyer, self.page
        await buyer.open_product()
        await self.look("product of who is in")
        serial = await buyer.place("by code")
        await self.look("pay by code or wallet")
        await page.locator(f"a[href='/orders/{serial}/wallet']").click()
        await page.locator(f"form[action='/orders/{serial}/wallet'] button").wait_for()
        await self.look("wallet asked")
        await page.locator(f"form[action='/orders/{serial}/wallet'] button").click()
        await buyer.read_key()
        await self.look("delivered from the wallet")
        await self.go("/account/wallet", "wallet")
        return serial

    async def _complain(self, serial: str) -> None:
        """Help with an order: asked for, then a complaint that stands."""
        page = self.page
        await self.go(f"/orders/{serial}/help", "help with an order")
        await page.locator("input[name=kind][value=other]").check()  # No warranty ends it at once.
        await page.locator("#complaint-text").fill("12345")
        await page.locator("form[action$='/complaints'] button[type=submit]").click()
        await page.locator("#case-title").wait_for()
        await self.look("complaint")

    async def _remember(self) -> None:
        """A card is remembered at its provider; then one click, and what is about to be paid."""
        buyer, page = self.buyer, self.page
        await open_product(buyer)
        await buyer.choose("by card")
        await page.locator("input[name=remember]").check()
        await buyer.tap("buy")
        await page.wait_for_url("**/stripe/c/pay/**")
        await type_card(buyer, "4242 4242 4242 4242")
        await buyer.read_key()
        await page.goto(f"{buyer.site}/account")
        await page.get_by_text("•••• 4242").first.wait_for()
        await open_product(buyer)
        await self.look("one click")
        await page.locator("button[formaction='/orders/confirm']").first.click()
        await page.locator("input[name=total_minor]").wait_for(state="attached")
        await self.look("confirm and pay")
