"""Money that moves in files: a bank without an API, and what providers pay us of what they owe."""

import csv
import io
import random
from dataclasses import dataclass, field
from uuid import UUID

from simkit.actors import Violation

from monthkit.asking import Asking
from monthkit.buyers import Agenda
from monthkit.market import PAYOUT_FEE, Merchant
from vendrail.api.ledger import Chart, Ledger
from vendrail.api.payouts import (
    Bank,
    BankFileRequest,
    BankKind,
    BankNote,
    BankResultStatus,
    NewBankAnswer,
    NewPayee,
    NewPayout,
    PayeeId,
    PayeeProof,
    PayeeTest,
    PayoutId,
    PayoutQuery,
    Payouts,
    PayoutState,
    Remittance,
    RemittanceTarget,
    ReserveChange,
    ReserveSource,
)
from vendrail.api.settlement import Settlement
from vendrail.kernel.ids import new_id

NAME = "bank.icbc"
_BANK = UUID(int=0x1CBC)
_BY = "treasury@example.com"
_PAYOUT_MIN = 100
_RESERVE_LOW, _REFILL = 50_000, 200_000
_WAITING_MAX = 200
_MAY_BE_ASKED = {"taken", "exists", "balance_too_low", "in_debt", "payee_cooling"}
# What becomes of a line at the bank, and how often.
_FATES = {"succeeded": 70, "failed": 12, "returned": 10, "unknown": 8}
_PROVIDER_KEEPS = 60  # Of ten thousand, for itself.


@dataclass
class CounterBank:
    """What the bank knows: who was paid how much under which number."""

    paid: dict[str, int] = field(default_factory=dict)

    @property
    def paid_minor(self) -> int:
        """Give what has left our account there."""
        return sum(self.paid.values())


class Treasury:
    """Whoever carries files to the bank, and books what providers pay."""

    def __init__(self, seed: int, asking: Asking, market: list[Merchant], agenda: Agenda) -> None:
        self._seed = seed
        self._asking = asking
        self._agenda = agenda
        self._own = [each for each in market if each.number % 6 == 5]
        self._payees: dict[UUID, PayeeId] = {}
        self._answers = 0
        self.counter = CounterBank()

    async def open(self) -> None:
        """Open the account at the bank, and prove merchants' accounts at it."""
        bank = Bank(
            _BANK, NAME, "ICBC", BankKind.CN_BANK, ["CNY"], "Vendrail Ltd", "1234567890123", by=_BY
        )
        [status] = await self._asking.ask(Payouts, "put_banks", [bank])
        self._asking.check("bank", status, {"created", "unchanged"})
        await self._fill()
        for merchant in self._own:
            await self._prove(merchant)

    async def _prove(self, merchant: Merchant) -> None:
        """Add an account at the bank, and prove it by a test that went there in a file."""
        payee, test = (new_id(self._asking.now()) for _ in range(2))
        account = f"12020202199001{merchant.number:04} 工商银行"
        new = NewPayee(
            PayeeId(payee), merchant.id, _BANK, "cn_bank", account, "张三", "owner@example.com"
        )
        [status] = await self._asking.ask(Payouts, "add_payees", [new])
        self._asking.check("payee at a bank", status, {"created", "exists"})
        asked = PayeeTest(PayoutId(test), PayeeId(payee), merchant.id, "CNY")
        [status] = await self._asking.ask(Payouts, "test_payees", [asked])
        self._asking.check("payee test", status, {"taken", "exists"})
        await self._asking.turn()
        [(number, minor)] = await self._carry()
        await self._say({number: ("succeeded", minor)})
        await self._asking.turn()
        proof = PayeeProof(PayeeId(payee), merchant.id, minor)
        [status] = await self._asking.ask(Payouts, "verify_payees", [proof])
        self._asking.check("payee proof", status, {"verified"})
        self._payees[merchant.id] = PayeeId(payee)

    # Payouts in files.

    async def work(self, slot: int, *, are_paid: bool) -> None:
        """Let some ask for money at the bank, and carry there what waits for a file."""
        for merchant in self._own if are_paid else ():
            dice = random.Random(f"bank {self._seed} {self._agenda.tick} {merchant.number}")
            if dice.random() < 0.25:
                await self._ask(merchant, dice.choice((0.2, 0.5, 0.9)))
        if slot % 4 != 1:
            return
        await self._fill()
        await self._asking.turn()
        for number, minor in await self._carry():
            dice = random.Random(f"line {self._seed} {number}")
            (fate,) = dice.choices(list(_FATES), list(_FATES.values()))
            self._plan(number, minor, fate, dice)

    async def _ask(self, merchant: Merchant, share: float) -> None:
        [balance] = await self._asking.ask(
            Settlement, "read_merchant_balances", [(merchant.id, "CNY")]
        )
        minor = int(balance.available_minor * share) - PAYOUT_FEE
        if minor < _PAYOUT_MIN:
            return
        id, payee = PayoutId(new_id(self._asking.now())), self._payees[merchant.id]
        new = NewPayout(id, merchant.id, payee, minor, "CNY", by="owner@example.com")
        [status] = await self._asking.ask(Payouts, "request_payouts", [new])
        self._asking.check("payout to a bank", status, _MAY_BE_ASKED, (merchant.number, minor))

    async def _carry(self) -> list[tuple[str, int]]:
        """Make a file of what waits, carry it there; give its lines as the bank reads them."""
        request = BankFileRequest(new_id(self._asking.now()), _BANK, "CNY", 10**9, _BY)
        [file] = await self._asking.ask(Payouts, "make_files", [request])
        if file is None:
            return []
        await self._asking.ask(Payouts, "carry_files", [(file.id, _BY)])
        [content] = await self._asking.ask(Payouts, "read_contents", [file.id])
        told = list(csv.DictReader(io.StringIO(content.content.decode("utf-8-sig"))))
        lines = [(each["number"], int(each["amount"].replace(".", ""))) for each in told]
        if (file.lines, file.sum_minor) != (len(lines), sum(minor for _, minor in lines)):
            raise Violation(f"A file is not what it says it is: {file} {lines}")
        self._file = file.id
        self._asking.tally["bank: files carried"] += 1
        return lines

    def _plan(self, number: str, minor: int, fate: str, dice: random.Random) -> None:
        """Write down what the bank will say of a line, and when."""
        file = self._file

        def later(ticks: int, result: str) -> None:
            said = {number: (result, minor)}
            self._agenda.later(ticks, lambda: self._say(said, file))

        first = dice.randint(1, 6)
        if fate == "unknown":
            later(first, "处理中")
        if fate == "returned":
            later(first, "succeeded")
            later(first + dice.randint(1, 30), "returned")
        else:
            later(first + 2, "succeeded" if fate == "unknown" else fate)

    async def _say(self, said: dict[str, tuple[str, int]], file: UUID | None = None) -> None:
        """The bank answers; a person looks at it, and notes it twice."""
        self._answers += 1
        rows = [("number", "result", "amount", "problem")]
        for number, (result, minor) in said.items():
            rows.append(
                (number, result, f"{minor // 100}.{minor % 100:02}", f"no. {self._answers}")
            )
            self.counter.paid[number] = minor if result == "succeeded" else 0
        content = "\r\n".join(",".join(row) for row in rows).encode()
        answer = NewBankAnswer(file or self._file, content, _BY)
        [taken] = await self._asking.ask(Payouts, "take_answers", [answer])
        self._asking.check("bank's answer", taken.status, {"read"})
        note = BankNote(taken.answer, _BY, 10**9)
        for _ in range(2):
            [noted] = await self._asking.ask(Payouts, "note_answers", [note])
        for line in noted.lines:
            self._asking.tally[f"bank: said {line.result or 'nothing'}"] += 1
            may = {BankResultStatus.NOTED} if line.result else {BankResultStatus.UNKNOWN}
            self._asking.check("bank's line", line.status, may, line)

    async def _fill(self) -> None:
        """Fill our account at the bank: little is left for files, or something waits for more."""
        reserves = await self._asking.ask(Payouts, "list_reserves")
        free = sum(each.free_minor for each in reserves if each.channel_name == NAME)
        query = PayoutQuery(states=[PayoutState.READY], payouts_max=_WAITING_MAX)
        [waiting] = await self._asking.ask(Payouts, "list_payouts", [query])
        wanted = sum(each.amount_minor for each in waiting if each.channel_name == NAME)
        if free > _RESERVE_LOW + wanted:
            return
        minor, id = _REFILL + wanted, new_id(self._asking.now())
        change = ReserveChange(id, NAME, "CNY", minor, ReserveSource.OWNER, "simulated", _BY)
        [status] = await self._asking.ask(Payouts, "change_reserves", [change])
        self._asking.check("reserve at a bank", status, {"done", "exists"})

    # What providers pay.

    async def book(self, day: int) -> None:
        """Book what providers have paid of what they owe, and what they kept; once."""
        target = RemittanceTarget.BANK if day % 3 == 1 else RemittanceTarget.RESERVE
        await self._book("alipay", day, target)
        await self._book("stripe", day, RemittanceTarget.BANK)

    async def _book(self, name: str, day: int, target: RemittanceTarget) -> None:
        owed = await self._owed_minor(name)
        gross = owed * 6 // 10
        if gross < _PAYOUT_MIN:
            return
        settled = Remittance(
            name, f"S{day:03}", "CNY", gross, gross * _PROVIDER_KEEPS // 10_000, target,
            self._asking.now().date(), _BY, "statement",
        )  # fmt: skip
        [status] = await self._asking.ask(Payouts, "book_remittances", [settled])
        self._asking.check("remittance", status, {"booked", "exists"}, settled)
        [status] = await self._asking.ask(Payouts, "book_remittances", [settled])
        self._asking.check("remittance again", status, {"exists"}, settled)
        beyond = Remittance(
            name, f"B{day:03}", "CNY", owed + 1, 0, target, settled.paid_on, _BY, "too much"
        )
        [status] = await self._asking.ask(Payouts, "book_remittances", [beyond])
        self._asking.check("remittance beyond", status, {"more_than_owed"}, beyond)

    async def _owed_minor(self, name: str) -> int:
        account = Chart("CNY").provider(name)
        [balance] = await self._asking.ask(Ledger, "read_balances", [account.id])
        return 0 if balance is None else -balance.credit_minor
