"""Card sites: a merchant's number and key for sites that charge by Epay, and what is not heard."""

from litestar.handlers import HTTPRouteHandler

from vendrail.api.epay import EpayChange, EpayNotice, NoticeState
from vendrail.api.identity import Permission
from vendrail.kernel.ids import to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.smalllists import SmallList, told
from vendrail.web.languages import message
from vendrail.web.merchant.acting import changes, log, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_ROOT = "/merchant/card-sites"
_NOTICES_MAX, _SAVED_MAX = 50, 1_000
_NOTICES = told("order out_trade_no state attempts due_at problem")


class CardSites:
    """The number, the key, the switches, and what sites have not heard."""

    entries = (Entry(_ROOT, message("Card sites"), "bolt", Permission.API_KEYS_WRITE),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._epay = desk.apis.epay
        title, permission = message("Save all as CSV"), Permission.API_KEYS_WRITE
        self.notices = SmallList(_ROOT, ".csv", title, permission, _NOTICES, self._unheard)

    async def _unheard(self, caller: Caller) -> list[EpayNotice]:
        return [
            each
            for state in (NoticeState.GIVEN_UP, NoticeState.WAITING)
            for each in await self._epay.list_epay_notices(caller.merchant, state, _SAVED_MAX)
        ]

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page."""
        desk, write = self._desk, Permission.API_KEYS_WRITE
        return [
            desk.get(_ROOT, self.show, write),
            desk.post(f"{_ROOT}/key", self.make, write, is_grave=True),
            desk.post(_ROOT, self.switch, write, is_grave=True),
            desk.post(f"{_ROOT}/notices/{{serial:str}}", self.tell_again, write),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show the number and its switches, never the key."""
        return await self._show(caller)

    async def _show(self, caller: Caller, secret: str = "") -> Page:
        merchant = caller.merchant
        [account] = await self._epay.read_epay_accounts([merchant])
        unheard = []
        if account is not None:
            for state in (NoticeState.GIVEN_UP, NoticeState.WAITING):
                unheard += await self._epay.list_epay_notices(merchant, state, _NOTICES_MAX)
        return self._desk.page(
            caller,
            "merchant/epay.html",
            path=_ROOT,
            account=account,
            unheard=unheard,
            address=f"{self._desk.front.public_url}/",
            secret=secret,
            done=caller.asked("done"),
        )

    async def make(self, caller: Caller) -> Page:
        """Make a key; it is on this one answer, and nowhere else."""
        [account] = await self._epay.read_epay_accounts([caller.merchant])
        standing = account.keyed_at.isoformat() if account else ""
        if caller.written("standing") != standing:  # The form was sent twice: it was shown then.
            return onward(_ROOT)
        subject = f"merchant:{to_serial(caller.merchant)}"
        await log(self._desk, caller, "card_site.keyed", subject)
        [made] = await self._epay.make_epay_keys([caller.merchant])
        return await self._show(caller, made.key)

    async def switch(self, caller: Caller) -> Page:
        """Open or close the door, and let the key give money back or not."""
        [account] = await self._epay.read_epay_accounts([caller.merchant])
        if account is None:
            return self._desk.problem(caller.request, 404, caller)
        is_open, can_refund = (caller.written(name) == "yes" for name in ("is_open", "can_refund"))
        before, after = changes(
            {"open": _yes(account.is_open), "refunds": _yes(account.can_refund)},
            {"open": _yes(is_open), "refunds": _yes(can_refund)},
        )
        if after:
            subject = f"merchant:{to_serial(caller.merchant)}"
            await log(self._desk, caller, "card_site.switched", subject, before=before, after=after)
            change = EpayChange(caller.merchant, is_open=is_open, can_refund=can_refund)
            await self._epay.change_epay_accounts([change])
        return onward(f"{_ROOT}?done=switched")

    async def tell_again(self, caller: Caller) -> Page:
        """Tell a site again of an order of this merchant's."""
        order = read_id(caller.part("serial"))
        found = [
            each.order
            for state in (NoticeState.GIVEN_UP, NoticeState.WAITING)
            for each in await self._epay.list_epay_notices(caller.merchant, state, _NOTICES_MAX)
        ]
        if order is None or order not in found:
            return self._desk.problem(caller.request, 404, caller)
        await log(self._desk, caller, "card_site.told_again", f"order:{to_serial(order)}")
        await self._epay.retry_epay_notices([order])
        return onward(f"{_ROOT}?done=told")


def _yes(value: bool) -> str:  # noqa: FBT001  # A word for the log.
    return "yes" if value else "no"
