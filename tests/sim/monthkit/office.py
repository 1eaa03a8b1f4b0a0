"""Papers and books: dossiers and tiers, deposits, corrections by two, and days that are closed."""

from datetime import timedelta
from uuid import UUID

from simkit.actors import Violation
from tests.compliance.papers import FIELDS, PICTURE

from monthkit.asking import Asking
from monthkit.market import Merchant
from vendrail.api.compliance import (
    CHECKS,
    COMPANY,
    PERSON,
    AddDocument,
    Compliance,
    DossierDecision,
    DossierId,
    DossierVerdict,
    SaveDossier,
    SubmitDossier,
    TermsChange,
    TierBound,
)
from vendrail.api.identity import Act, Actor, ActorKind, Identity
from vendrail.api.ledger import Chart, CloseQuery, Ledger, Transfer, TransferCode, TransferId
from vendrail.api.settlement import (
    Deposit,
    DepositKind,
    DepositMove,
    DepositTerms,
    MerchantBalance,
    Settlement,
)
from vendrail.kernel.ids import derive, new_id, to_serial

_UNKNOWN_MONTH = 60_000  # What a merchant whom nobody knows may sell in thirty days.
_DEPOSIT, _RETURN_DAYS = 6_000, 2
_LEAST = 100  # Less is not worth paying in.
_FIRST, _SECOND = "op@example.com", "op2@example.com"
_CLOSE_LAG_DAYS = 2


class Office:
    """Operators and merchants at their papers."""

    def __init__(self, asking: Asking, market: list[Merchant]) -> None:
        self._asking = asking
        self._market = market
        self._doubtful = [each for each in market if each.is_doubtful]
        self._deposited = [each for each in market if each.number % 6 in (2, 3)]
        self._dossiers: dict[UUID, DossierId] = {}

    # Dossiers.

    async def open(self) -> None:
        """Let all but the doubtful be known, then ask everybody; ask some for a deposit."""
        for merchant in self._market:
            if not merchant.is_doubtful:
                await self._hand_in(merchant)
                await self._decide(merchant, DossierDecision.ACCEPT)
        bounds = [TierBound(None, _UNKNOWN_MONTH), TierBound(), TierBound()]
        change = TermsChange(0, True, "CNY", bounds, _FIRST, "simulated")
        [status] = await self._asking.ask(Compliance, "change_terms", [change])
        self._asking.check("tiers", status, {"changed", "unchanged", "changed_since"})
        await self._want_deposits(_DEPOSIT)
        self._asking.pass_s(35)  # Orders remember bounds for a moment.

    async def look(self, day: int) -> None:
        """Ask the doubtful for more, refuse them once, let them be known, and revoke that again."""
        for merchant in self._doubtful:
            match (day + merchant.number) % 12:
                case 4:
                    await self._hand_in(merchant)
                    await self._decide(merchant, DossierDecision.ASK_MORE)
                case 5:
                    await self._hand_in(merchant)
                    await self._decide(merchant, DossierDecision.REFUSE)
                case 6:
                    await self.know(merchant)
                case 11 if merchant.id in self._dossiers:
                    await self._decide(merchant, DossierDecision.REVOKE)
        self._asking.pass_s(35)

    async def know_all(self) -> None:
        """In the end everybody is known: whoever is not could not be paid out."""
        for merchant in self._doubtful:
            await self.know(merchant)

    async def know(self, merchant: Merchant) -> None:
        """Let a merchant be known, unless it is."""
        [standing] = await self._asking.ask(Compliance, "read_standings", [merchant.id])
        if standing.has_payouts:
            return
        await self._hand_in(merchant)
        await self._decide(merchant, DossierDecision.ACCEPT)

    async def _hand_in(self, merchant: Merchant) -> None:
        """Write a dossier whole, or what was missing, and hand it in."""
        tier = COMPANY if merchant.number % 2 else PERSON
        id = self._dossiers.get(merchant.id)
        if id is None or (await self._read(id)).state not in ("draft", "more_asked"):
            id = self._dossiers[merchant.id] = DossierId(new_id(self._asking.now()))
        save = SaveDossier(id, merchant.id, tier, "CN", FIELDS[tier])
        [status] = await self._asking.ask(Compliance, "save_dossiers", [save])
        self._asking.check("dossier", status, {"saved"}, merchant)
        for kind in ("identity", "register_extract")[:tier]:
            document = AddDocument(derive(id, kind), id, merchant.id, kind, PICTURE)
            [status] = await self._asking.ask(Compliance, "add_documents", [document])
            self._asking.check("document", status, {"added", "exists"}, merchant)
        asked = SubmitDossier(id, merchant.id, (await self._read(id)).version)
        [result] = await self._asking.ask(Compliance, "submit_dossiers", [asked])
        # Whose answer was lost had submitted it: the second try finds it so.
        self._asking.check("submit", result.status, {"submitted", "not_their_turn"}, merchant)

    async def _decide(self, merchant: Merchant, decision: DossierDecision) -> None:
        view = await self._read(self._dossiers[merchant.id])
        is_good = decision is DossierDecision.ACCEPT
        verdict = DossierVerdict(
            view.id, view.version, decision, _FIRST, list(CHECKS[view.tier]) if is_good else [],
            [] if is_good else ["other"], "" if is_good else "Something is odd.",
        )  # fmt: skip
        [status] = await self._asking.ask(Compliance, "decide_dossiers", [verdict])
        self._asking.check(f"decide {decision}", status, {"decided", "exists"}, merchant)

    async def _read(self, id: DossierId):
        [view] = await self._asking.ask(Compliance, "read_dossiers", [(id, None)])
        if view is None:
            raise Violation(f"A dossier is gone: {id}")
        return view

    # Deposits.

    async def _want_deposits(self, minor: int) -> None:
        terms = [DepositTerms(m.id, "CNY", minor, _RETURN_DAYS) for m in self._deposited]
        for status in await self._asking.ask(Settlement, "put_deposit_terms", terms):
            self._asking.check("deposit terms", status, {"created", "unchanged"})

    async def move_deposits(self, day: int, *, is_end: bool = False) -> None:
        """Let deposits be paid in, taken for debts, asked back as terms change; at last whole."""
        if is_end:
            await self._want_deposits(0)
        elif day % 8 == 6:
            await self._want_deposits(_DEPOSIT // 3)
        elif day % 8 == 2:
            await self._want_deposits(_DEPOSIT)
        for merchant in self._deposited:
            key = (merchant.id, "CNY")
            [deposit] = await self._asking.ask(Settlement, "read_deposits", [key])
            [balance] = await self._asking.ask(Settlement, "read_merchant_balances", [key])
            await self._move(merchant, deposit, balance)

    async def _move(self, merchant: Merchant, deposit: Deposit, balance: MerchantBalance) -> None:
        paid = min(deposit.missing_minor, balance.available_minor)
        taken = min(deposit.held_minor, balance.debt_minor)
        if paid >= _LEAST:
            await self._move_one(merchant, DepositKind.PAID, paid, {"done", "balance_too_low"})
        if taken:
            await self._move_one(merchant, DepositKind.TAKEN, taken, {"done", "nothing_owed"})
        if deposit.free_minor and deposit.waiting is None and not taken:
            await self._move_one(merchant, DepositKind.RETURNED, deposit.free_minor, {"asked"})

    async def _move_one(
        self, merchant: Merchant, kind: DepositKind, minor: int, may: set[str]
    ) -> None:
        id = new_id(self._asking.now())
        move = DepositMove(id, merchant.id, "CNY", kind, minor, "simulated")
        [status] = await self._asking.ask(Settlement, "move_deposits", [move])
        self._asking.check(f"deposit {kind}", status, may, (merchant.number, minor))

    # Corrections, and closed days.

    async def correct(self, day: int) -> None:
        """Make good to a merchant what was booked wrongly, or the other way: two people agree."""
        merchant = self._market[day % len(self._market)]
        chart = Chart("CNY")
        sides = [chart.platform_fee(), chart.merchant(merchant.id, "available")]
        if day % 2:
            sides.reverse()
        id = TransferId(new_id(self._asking.now()))
        await self._note(id, "proposed", _FIRST)
        await self._note(id, "approved", _SECOND)
        await self._asking.ask(Ledger, "open_accounts", sides)
        new = Transfer(
            id, sides[0].id, sides[1].id, 25 + day, TransferCode.ADJUSTMENT, id,
            memo="T-1: simulated",
        )  # fmt: skip
        [result] = await self._asking.ask(Ledger, "post_transfers", [new])
        may = {"created", "exists", "balance_too_low"}
        self._asking.check("correction", result.status, may, merchant.number)

    async def _note(self, id: TransferId, what: str, name: str) -> None:
        """Write into the log who put it up, and who agreed."""
        by = Actor(ActorKind.PERSON, UUID(int=len(name)), name)
        told = {"transfer": str(id)} if what == "proposed" else {}
        act = Act(
            derive(id, what), by, f"correction.posted.{what}", f"transfer:{to_serial(id)}",
            after=told, reason="simulated",
        )  # fmt: skip
        await self._asking.ask(Identity, "record_acts", [act])

    async def check_closes(self) -> None:
        """All days but the last ones are closed."""
        [closes] = await self._asking.ask(Ledger, "list_closes", [CloseQuery(closes_max=1)])
        closing = await self._asking.ask(Ledger, "read_closing")
        now = self._asking.now().date()
        if closing.day is None or closing.day < now - timedelta(days=_CLOSE_LAG_DAYS):
            raise Violation(f"A day is not closed: {closing} {closes[:1]}")
