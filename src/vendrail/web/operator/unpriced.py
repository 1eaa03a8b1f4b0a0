"""Money on chains whose worth nobody knows: shown with its sender, and ended by a person's word."""

from collections.abc import Mapping
from urllib.parse import quote

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.payments.deposits import (
    UnpricedArrival,
    UnpricedQuery,
    UnpricedStatus,
    UnpricedVerdict,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import from_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import read_id
from vendrail.web.storefront.front import Page

PATH = "/operator/unpriced"
_DESK = "/operator/unmatched"
_PRICED = "unmatched.priced"
_SAID = {
    UnpricedStatus.COUNTED: Said.COUNTED,
    UnpricedStatus.EXISTS: Said.EXISTS,
    UnpricedStatus.EXISTS_DIFFERENT: Said.OTHERWISE,
    UnpricedStatus.NOT_FOUND: Said.NOT_FOUND,
    UnpricedStatus.RATE_KNOWN: Said.RATE_KNOWN,
    UnpricedStatus.NOT_FINAL: Said.NOT_FINAL,
    UnpricedStatus.AMOUNT_OUT_OF_RANGE: Said.NO_WORTH,
    UnpricedStatus.ADDRESS_MALFORMED: Said.NO_ADDRESS,
}


class Unpriced:
    """The pages of such money, reached from the unmatched desk."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._desk, self._deeds = desk, deeds
        self._payments = desk.apis.payments
        deeds.add(Deed(_PRICED, Permission.UNMATCHED_WRITE, self._run))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        one = f"{PATH}/{{channel:str}}/{{number:str}}"
        return [
            self._desk.get(one, self.show, Permission.UNMATCHED_WRITE),
            self._desk.post(one, self.price, Permission.UNMATCHED_WRITE, is_grave=True),
        ]

    async def _find(self, caller: Caller) -> UnpricedArrival | None:
        channel, number = read_id(caller.part("channel")), caller.part("number")
        if channel is None or not number:
            return None
        [found] = await self._payments.list_unpriced([UnpricedQuery(channel, number, 1)])
        return found[0] if found else None

    async def show(self, caller: Caller) -> Page:
        """Show the money, and ask what it is worth."""
        arrival = await self._find(caller)
        if arrival is None:
            return back_to(_DESK, Said.NOT_FOUND)
        return self._show(caller, arrival)

    def _show(self, caller: Caller, arrival: UnpricedArrival, said: Said | None = None) -> Page:
        return self._desk.page(
            caller,
            "operator/unpriced.html",
            path=_DESK,
            status=200 if said is None else 422,
            arrival=arrival,
            onto=path_of(arrival),
            worth=caller.written("worth", 20),
            refund_to=caller.written("refund_to", 100),
            reason=caller.written("reason"),
            problem=self._deeds.problem(caller, said),
        )

    async def price(self, caller: Caller) -> Page:
        """Count the money as what is said; much, or for another address, with a second person."""
        arrival = await self._find(caller)
        if arrival is None:
            return back_to(_DESK, Said.NOT_FOUND)
        try:
            amount_minor = from_text(caller.written("worth", 20), arrival.currency)
        except Malformed:
            amount_minor = 0
        refund_to, person = caller.written("refund_to", 100), caller.person.email
        trial = UnpricedVerdict(
            arrival.channel, arrival.number, amount_minor, refund_to, person, "", is_trial=True
        )
        [status] = await self._payments.price_arrivals([trial])
        if status is not UnpricedStatus.COUNTED:  # Nobody is asked to approve what cannot be done.
            return self._show(caller, arrival, _SAID[status])
        payload = {
            "channel": arrival.channel_name,
            "number": arrival.number,
            "amount_minor": str(amount_minor),
            "currency": arrival.currency,
            "refund_to": refund_to,
        }
        said = await self._deeds.do(
            caller,
            _PRICED,
            f"arrival:{arrival.number}",
            payload,
            amount=(amount_minor, arrival.currency),
            is_joint=refund_to.lower() not in {"", arrival.source.lower()},
            before={"units": arrival.units, "asset": arrival.asset, "source": arrival.source},
        )
        return back_to(_DESK, said) if said in GOOD else self._show(caller, arrival, said)

    async def _run(self, told: Mapping[str, str], person: str) -> Said:
        known = {each.name: each.id for each in await self._payments.list_channels()}
        channel = known.get(told["channel"])
        if channel is None:
            return Said.NOT_FOUND
        verdict = UnpricedVerdict(
            channel,
            told["number"],
            int(told["amount_minor"]),
            told["refund_to"],
            person,
            told["reason"],
        )
        [status] = await self._payments.price_arrivals([verdict])
        return _SAID[status]


def path_of(arrival: UnpricedArrival) -> str:
    """Say where such money is looked at."""
    return f"{PATH}/{to_serial(arrival.channel)}/{quote(arrival.number, safe=':')}"
