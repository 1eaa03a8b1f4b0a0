"""What merchants owe: saved as a file, and told to who owes it, once a day at most."""

from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import PeopleQuery, Permission, Person, PersonState
from vendrail.api.notify import Message, MessageStatus
from vendrail.api.settlement import MerchantDebt
from vendrail.kernel.ids import derive, named_id, to_serial
from vendrail.kernel.locales import amount_text, nearest
from vendrail.kernel.money import to_decimal, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import export
from vendrail.web.operator.deeds import Deeds, Said, back_to
from vendrail.web.operator.files import Files, read_id
from vendrail.web.operator.holding import HoldingDesk
from vendrail.web.papers.sheets import Cell, Rows
from vendrail.web.storefront.front import Page

_PATH = "/operator/settlement"
_COLUMNS = ("merchant", "name", "currency", "owed", "since", "days")


class DebtsDesk:
    """What can be done about debts, beside waiting for the next sale."""

    entries: tuple[Entry, ...] = ()

    def __init__(self, desk: Desk, deeds: Deeds, files: Files, holding: HoldingDesk) -> None:
        self._desk, self._deeds, self._files, self._holding = desk, deeds, files, holding
        self._apis = desk.apis

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        desk, write = self._desk, Permission.PAYOUTS_WRITE
        return [
            desk.get(f"{_PATH}/debts.csv", self.save, Permission.BALANCE_READ),
            desk.post(f"{_PATH}/debts/letters", self.write, write, is_grave=True),
        ]

    async def save(self, caller: Caller) -> Page:
        """Give all debts as CSV, the oldest first; who took them is kept."""
        turned = await self._deeds.log_export(caller, "debt.exported", "debts")
        if turned is not None:
            return turned
        now, names = self._desk.clock.now(), await self._files.merchant_names()
        debts = await self._apis.settlement.list_debts()

        async def read(_: None) -> tuple[Rows, None]:
            rows: list[list[Cell]] = [
                [
                    to_serial(each.merchant),
                    names.get(each.merchant, ""),
                    each.currency,
                    to_decimal(each.debt_minor, each.currency),
                    each.since.isoformat(),
                    (now - each.since).days,
                ]
                for each in debts
            ]
            return rows, None

        return export("debts", _COLUMNS, read)

    async def write(self, caller: Caller) -> Page:
        """Write to everybody who works at a merchant what it owes; twice a day is once."""
        merchant, currency = read_id(caller.written("merchant", 40)), caller.written("currency", 3)
        found = next(
            (
                each
                for each in await self._apis.settlement.list_debts()
                if (each.merchant, each.currency) == (merchant, currency)
            ),
            None,
        )
        if merchant is None or found is None:
            return await self._holding.answer(caller, Said.NOT_FOUND)
        [people] = await self._apis.identity.list_people([PeopleQuery(merchant)])
        readers = [each for each in people if each.state is PersonState.ACTIVE]
        if not readers:
            return await self._holding.answer(caller, Said.NOBODY)
        owed = {"currency": currency, "owed": to_text(found.debt_minor, currency)}
        subject = f"merchant:{to_serial(merchant)}"
        await self._deeds.log(caller, "debt.told", subject, merchant=merchant, after=owed)
        statuses = await self._apis.notify.send_messages(
            [self._letter(found, each) for each in readers]
        )
        is_new = MessageStatus.TAKEN in statuses
        return back_to(_PATH, Said.WRITTEN if is_new else Said.EXISTS)

    def _letter(self, debt: MerchantDebt, person: Person) -> Message:
        today = self._desk.clock.now().date()
        subject: UUID = named_id(f"debt/{debt.merchant}/{debt.currency}/{today}")
        locale = (nearest(person.locale) or "en").replace("-", "_")
        return Message(
            derive(subject, f"{person.id}"),
            person.email,
            "debt_owed",
            person.locale,
            {
                "amount": amount_text(debt.debt_minor, debt.currency, locale),
                "since": f"{debt.since:%Y-%m-%d}",
                "link": f"{self._desk.front.public_url}/merchant/balance",
            },
        )
