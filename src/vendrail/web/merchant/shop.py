"""A merchant's shop: opened once, then its name, notice and contact as buyers see them."""

from collections import defaultdict
from collections.abc import Sequence

from litestar.handlers import HTTPRouteHandler

from vendrail.api.catalog import MerchantId, PutStatus, Shop, ShopId
from vendrail.api.identity import Permission
from vendrail.api.notify import LetterChoice
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive, to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.merchant.acting import changes, log, read_id
from vendrail.web.merchant.goods import COUNT_WRONG, DONE, slug_of
from vendrail.web.merchant.pictures import WRONG, take_picture
from vendrail.web.merchant.warranties import read_count
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

ACCENTS = ("default", "ocean", "plum", "berry", "amber", "slate")  # Each has its class.
SCHEMES = ("auto", "light", "dark")
_ROOT = "/merchant/shop"
_LETTERS = "/merchant/letters"
_WRONG = message("The name is one line of at most 100 characters, the contact of at most 200.")
_ADDRESS_WRONG = message("The address is made of the letters a to z, digits and hyphens.")
_ADDRESS_TAKEN = message("Another shop has this address: choose another.")
_REFUSED = {
    PutStatus.SLUG_TAKEN: _ADDRESS_TAKEN,
    PutStatus.TEXT_FORBIDDEN: message(
        "The name, notice or contact has a word that the platform does not allow."
    ),
}


class ShopSettings:
    """A merchant's shops."""

    entries = (Entry(_ROOT, message("Shop"), "shop", Permission.SHOP_WRITE),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._catalog = desk.apis.catalog
        self._media = desk.front.settings.home.expanduser() / "media"

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page."""
        return [
            self._desk.get(_ROOT, self.shops, Permission.SHOP_WRITE),
            self._desk.post(_ROOT, self.open, Permission.SHOP_WRITE),
            self._desk.post(_LETTERS, self.choose_letters, Permission.SHOP_WRITE),
            self._desk.post(f"{_ROOT}/{{serial:str}}", self.change, Permission.SHOP_WRITE),
            self._desk.post(
                f"{_ROOT}/{{serial:str}}/logo",
                self.change_logo,
                Permission.SHOP_WRITE,
                is_streamed=True,
            ),
            self._desk.post(
                f"{_ROOT}/{{serial:str}}/logo/remove", self.remove_logo, Permission.SHOP_WRITE
            ),
        ]

    async def shops(self, caller: Caller) -> Page:
        """Show the settings of each shop."""
        return await self._shops(caller)

    async def _own(self, caller: Caller) -> list[Shop]:
        [shops] = await self._catalog.list_shops([MerchantId(caller.merchant)])
        return shops

    async def _shops(
        self, caller: Caller, *, wrong: Shop | None = None, problem: str = "", status: int = 200
    ) -> Page:
        [choices] = await self._desk.apis.notify.read_choices([caller.merchant])
        return self._desk.page(
            caller,
            "merchant/shop.html",
            path=_ROOT,
            status=status,
            choices=choices,
            accents=ACCENTS,
            schemes=SCHEMES,
            shops=await self._own(caller),
            wrong=wrong.id if wrong else None,
            written=defaultdict(str, caller.form),
            done=caller.asked("done"),
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def open(self, caller: Caller) -> Page:
        """Open the first shop; sent again, it is the same shop."""
        if await self._own(caller):
            return onward(_ROOT)
        name, slug = caller.written("name", 200), slug_of(caller.written("address", 64))
        place = caller.membership
        new = Shop(
            ShopId(derive(caller.merchant, "shop")),
            MerchantId(caller.merchant),
            (place.merchant_name if place else "") or name,
            slug,
            name,
            contact=caller.written("contact", 300),
        )
        if not slug:
            return await self._shops(caller, problem=_ADDRESS_WRONG, status=422)
        if any(await self._catalog.read_shops([slug])):
            return await self._shops(caller, problem=_ADDRESS_TAKEN, status=422)
        after = {"address": slug, **_told(new)}
        await log(self._desk, caller, "shop.opened", f"shop:{to_serial(new.id)}", after=after)
        [status] = await self._catalog.put_shops([new])
        if status not in DONE:
            problem = _REFUSED.get(status, _WRONG)
            return await self._shops(caller, problem=problem, status=422)
        return onward(f"{_ROOT}?done={to_serial(new.id)}")

    async def change(self, caller: Caller) -> Page:
        """Change one shop; its address and its owner stay."""
        id = read_id(caller.part("serial"))
        shop = next((each for each in await self._own(caller) if each.id == id), None)
        if shop is None:
            return self._desk.problem(caller.request, 404, caller)
        form = caller.form
        low = form.get("low_stock_max", "").strip()
        wanted = replace(
            shop,
            name=form.get("name", "").strip()[:200],
            contact=form.get("contact", "").strip()[:300],
            notice=form.get("notice", "").replace("\r\n", "\n").strip(),
            is_open=form.get("is_open", "") == "yes",
            low_stock_max=read_count(low) if low else None,
            has_keys_in_letters=form.get("keys_in_letters", "") == "yes",
            theme=_chosen(form.get("theme", ""), ACCENTS, shop.theme),
            scheme=_chosen(form.get("scheme", ""), SCHEMES, shop.scheme),
        )
        if low and wanted.low_stock_max is None:
            return await self._shops(caller, wrong=shop, problem=COUNT_WRONG, status=422)
        return await self._put(caller, shop, wanted)

    async def _put(self, caller: Caller, shop: Shop, wanted: Shop) -> Page:
        """Log and write what has changed of a shop."""
        was, now = changes(_told(shop), _told(wanted))
        if was or now:
            subject = f"shop:{to_serial(shop.id)}"
            await log(self._desk, caller, "shop.changed", subject, before=was, after=now)
        [status] = await self._catalog.put_shops([wanted])
        if status not in DONE:
            problem = "" if status in DONE else _REFUSED.get(status, _WRONG)
            return await self._shops(caller, wrong=shop, problem=problem, status=422)
        return onward(f"{_ROOT}?done={to_serial(shop.id)}")

    async def change_logo(self, caller: Caller) -> Page:
        """Take in the picture that stands at the head of the shop."""
        id = read_id(caller.part("serial"))
        shop = next((each for each in await self._own(caller) if each.id == id), None)
        if shop is None:
            return self._desk.problem(caller.request, 404, caller)
        path = await take_picture(caller, self._media)
        if not path:
            return await self._shops(caller, problem=WRONG, status=422)
        return await self._put(caller, shop, replace(shop, logo=path))

    async def remove_logo(self, caller: Caller) -> Page:
        """Go back to the drawn sign."""
        id = read_id(caller.part("serial"))
        shop = next((each for each in await self._own(caller) if each.id == id), None)
        if shop is None:
            return self._desk.problem(caller.request, 404, caller)
        return await self._put(caller, shop, replace(shop, logo=""))

    async def choose_letters(self, caller: Caller) -> Page:
        """Choose which letters the merchant's staff get."""
        notify = self._desk.apis.notify
        [before] = await notify.read_choices([caller.merchant])
        wanted = [replace(each, is_wanted=each.template in caller.form) for each in before]
        if wanted != before:
            was, now = changes(_told_choices(before), _told_choices(wanted))
            subject = f"merchant:{to_serial(caller.merchant)}"
            await log(self._desk, caller, "letters.chosen", subject, before=was, after=now)
            await notify.choose_letters(wanted)
        return onward(f"{_ROOT}?done=letters#letters")


def _chosen(text: str, known: Sequence[str], before: str) -> str:
    return text if text in known else before


def _told_choices(choices: Sequence[LetterChoice]) -> dict[str, str]:
    return {each.template: "wanted" if each.is_wanted else "not wanted" for each in choices}


def _told(shop: Shop) -> dict[str, str]:
    return {
        "name": shop.name,
        "contact": shop.contact,
        "notice": shop.notice[:500],
        "open": "yes" if shop.is_open else "no",
        "low_stock_max": "" if shop.low_stock_max is None else str(shop.low_stock_max),
        "theme": shop.theme,
        "scheme": shop.scheme,
        "logo": shop.logo,
        "keys_in_letters": "yes" if shop.has_keys_in_letters else "no",
    }
