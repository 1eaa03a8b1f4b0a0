"""Corrections: what was booked wrongly stands, and a new transfer makes it good, by two people."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import Permission
from vendrail.api.ledger import (
    Account,
    Chart,
    Transfer,
    TransferCode,
    TransferId,
    TransferStatus,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import new_id, to_serial
from vendrail.kernel.money import EXPONENTS, from_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.languages import message
from vendrail.web.operator.deeds import GOOD, Deed, Deeds, Said, back_to
from vendrail.web.operator.files import Files, read_id
from vendrail.web.storefront.front import Page

_PATH = "/operator/corrections"
_POSTED = "correction.posted"
_MERCHANT, _PROVIDER = "merchant", "provider:"
_PLATFORM = ("platform_fee", "channel_cost", "promotion")
_REFERENCE_MAX = 64
_MEMO_MAX = 200  # As the ledger takes it.
_SAID = {
    TransferStatus.CREATED: Said.CORRECTED,
    TransferStatus.EXISTS: Said.EXISTS,
    TransferStatus.EXISTS_DIFFERENT: Said.OTHERWISE,
    TransferStatus.BALANCE_TOO_LOW: Said.BALANCE_TOO_LOW,
}


class Sides(NamedTuple):
    """Out of which account, and into which."""

    debit: Account
    credit: Account


class Corrections:
    """The page on which a correction is put up."""

    entries = (Entry(_PATH, message("Corrections"), "coins", Permission.PAYOUTS_WRITE),)

    def __init__(self, desk: Desk, deeds: Deeds, files: Files) -> None:
        self._desk, self._deeds, self._files = desk, deeds, files
        self._ledger = desk.apis.ledger
        deeds.add(Deed(_POSTED, Permission.PAYOUTS_WRITE, self._post))

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of this page."""
        write = Permission.PAYOUTS_WRITE
        return [
            self._desk.get(_PATH, self.show, write),
            self._desk.post(_PATH, self.put_up, write, is_grave=True),
        ]

    async def show(self, caller: Caller) -> Page:
        """Show the form."""
        return await self._show(caller)

    async def _show(self, caller: Caller, said: Said | None = None) -> Page:
        own = self._desk.front.settings.default_currency
        channels = await self._desk.apis.payments.list_channels()
        used = {currency for each in channels for currency in each.currencies}
        names = ("currency", "from", "to", "merchant", "amount", "reference", "reason")
        return self._desk.page(
            caller,
            "operator/corrections.html",
            status=200 if said is None else 422,
            currencies=[own, *sorted(used - {own})],
            platform=_PLATFORM,
            providers=sorted({each.name for each in channels}),
            names=await self._files.merchant_names(),
            nonce=caller.written("nonce") or to_serial(new_id(self._desk.clock.now())),
            written={name: caller.written(name) for name in names},
            done=self._deeds.said(caller),
            problem=self._deeds.problem(caller, said),
        )

    async def put_up(self, caller: Caller) -> Page:
        """Put a correction up; a second person lets it be booked, today."""
        id, currency = read_id(caller.written("nonce")), caller.written("currency", 3)
        if id is None:
            return self._desk.problem(caller.request, 400, caller)
        told = {
            "transfer": str(id),
            "currency": currency,
            "from": caller.written("from", 64),
            "to": caller.written("to", 64),
            "reference": caller.written("reference", _REFERENCE_MAX),
        }
        if _MERCHANT in (told["from"], told["to"]):
            told["merchant"] = caller.written("merchant", 36)
        if not told["reference"]:
            return await self._show(caller, Said.NO_REFERENCE)
        if await self._sides(told) is None:
            return await self._show(caller, Said.NO_ACCOUNT)
        try:
            amount_minor = from_text(caller.written("amount", 20), currency)
        except Malformed:
            amount_minor = 0
        if amount_minor <= 0:
            return await self._show(caller, Said.NO_GOOD_SUM)
        said = await self._deeds.do(
            caller,
            _POSTED,
            f"transfer:{to_serial(id)}",
            {**told, "amount_minor": str(amount_minor)},
            amount=(amount_minor, currency),
            is_joint=True,
            merchant=read_id(told["merchant"]) if "merchant" in told else None,
        )
        return back_to(_PATH, said) if said in GOOD else await self._show(caller, said)

    async def _sides(self, told: Mapping[str, str]) -> Sides | None:
        """Read both accounts; None: they are none of those that may be corrected, or the same."""
        if told["currency"] not in EXPONENTS or told["from"] == told["to"]:
            return None
        merchant = read_id(told.get("merchant", ""))
        if merchant is not None and merchant not in await self._files.merchant_names():
            return None
        providers = {each.name for each in await self._desk.apis.payments.list_channels()}
        chart = Chart(told["currency"])
        debit, credit = (
            _account(chart, told[side], merchant, providers) for side in ("from", "to")
        )
        return Sides(debit, credit) if debit is not None and credit is not None else None

    async def _post(self, told: Mapping[str, str], _person: str) -> Said:
        """Book it: a transfer of today, whose note says what it corrects, and why."""
        sides = await self._sides(told)
        if sides is None:
            return Said.NO_ACCOUNT
        await self._ledger.open_accounts(list(sides))
        id = TransferId(UUID(told["transfer"]))
        new = Transfer(
            id,
            sides.debit.id,
            sides.credit.id,
            int(told["amount_minor"]),
            TransferCode.ADJUSTMENT,
            id,
            memo=f"{told['reference']}: {told['reason']}"[:_MEMO_MAX],  # The log has all of it.
        )
        [result] = await self._ledger.post_transfers([new])
        return _SAID.get(result.status, Said.NO_ACCOUNT)


def _account(chart: Chart, name: str, merchant: UUID | None, providers: set[str]) -> Account | None:
    """Give an account that people may correct; what services keep in step is not among them."""
    if name == _MERCHANT:
        return chart.merchant(merchant, "available") if merchant is not None else None
    if name.startswith(_PROVIDER):
        channel = name.removeprefix(_PROVIDER)
        return chart.provider(channel) if channel in providers else None
    known = {
        "platform_fee": chart.platform_fee(),
        "channel_cost": chart.platform_channel_cost(),
        "promotion": chart.promotion(),
    }
    return known.get(name)
