"""Ways to pay: which of those that the platform offers a merchant takes, and what each costs."""

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.payments import MerchantMethod, MethodChoice, MethodChoiceStatus
from vendrail.kernel.ids import to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.merchant.acting import changes, log, log_undone
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_ROOT = "/merchant/methods"
_ACT = "methods.switched"
_SAYS = {
    MethodChoiceStatus.NONE_LEFT: message("Leave one on at least: else nobody could pay you."),
    MethodChoiceStatus.METHOD_UNKNOWN: message("The list has changed meanwhile. Look at it again."),
}


class Methods:
    """A merchant's switches of ways to pay."""

    entries = (Entry(_ROOT, message("Ways to pay"), "card", Permission.SHOP_WRITE),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._payments = desk.apis.payments

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page."""
        return [
            self._desk.get(_ROOT, self.show, Permission.SHOP_WRITE),
            self._desk.post(_ROOT, self.switch, Permission.SHOP_WRITE),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show each way with its switch."""
        return self._page(caller, await self._read(caller))

    async def _read(self, caller: Caller) -> list[MerchantMethod]:
        [methods] = await self._payments.list_merchant_methods([caller.merchant])
        return methods

    def _page(self, caller: Caller, methods: list[MerchantMethod], problem: str = "") -> Page:
        return self._desk.page(
            caller,
            "merchant/methods.html",
            path=_ROOT,
            status=422 if problem else 200,
            methods=methods,
            done=caller.asked("done"),
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def switch(self, caller: Caller) -> Page:
        """Take the list as it was ticked; written to the log before it counts."""
        methods = await self._read(caller)
        off = [each.method for each in methods if f"on.{each.method}" not in caller.form]
        if methods and not any(each.currencies and each.method not in off for each in methods):
            return self._page(caller, methods, _SAYS[MethodChoiceStatus.NONE_LEFT])
        before, after = changes(
            {each.method: _word(is_on=each.is_on) for each in methods},
            {each.method: _word(is_on=each.method not in off) for each in methods},
        )
        if not after:
            return onward(f"{_ROOT}?done=yes")
        subject = f"merchant:{to_serial(caller.merchant)}"
        await log(self._desk, caller, _ACT, subject, before=before, after=after)
        choice = MethodChoice(caller.merchant, off)
        [status] = await self._payments.put_method_choices([choice])
        if status in _SAYS:
            await log_undone(self._desk, caller, _ACT, subject, status)
            return self._page(caller, methods, _SAYS[status])
        return onward(f"{_ROOT}?done=yes")


def _word(*, is_on: bool) -> str:
    return "on" if is_on else "off"
