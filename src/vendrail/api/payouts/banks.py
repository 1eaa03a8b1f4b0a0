"""Banks without an API: payouts go there in files, and what they answer is read line by line."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from vendrail.api.payouts.names import PayoutId
from vendrail.kernel.codec import Record


class PayoutChannel(Record, frozen=True):
    """Whatever pays out just now, a channel or a bank, and how payees are named there."""

    channel: UUID
    channel_name: str
    title: str
    payee_kinds: list[str]
    currencies: list[str]


class BankKind(StrEnum):
    """How a bank names accounts, and which file it takes."""

    IBAN = "iban"  # ISO 20022: pain.001.001.09.
    CN_BANK = "cn_bank"  # A table: account, holder, bank, amount.


class Bank(Record, frozen=True):
    """An account of the platform's at a bank that takes files."""

    id: UUID
    name: str  # `bank.` and a word, as `bank.icbc`: what its accounts are named by, as a channel's.
    title: str
    kind: BankKind
    currencies: list[str]
    holder: str
    account: str
    bic: str = ""
    is_open: bool = True
    by: str = ""


class BankStatus(StrEnum):
    """How writing one bank ended. Where several would fit, the first listed is given."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FIELD_MALFORMED = "field_malformed"
    FIXED = "fixed"  # Its name and kind stay as they are.
    NAME_TAKEN = "name_taken"  # Another bank has it.


class BankWaiting(Record, frozen=True):
    """What is reserved at a bank in one currency and in no file yet."""

    bank: UUID
    currency: str
    lines: int
    sum_minor: int


class BankFileRequest(Record, frozen=True):
    """A file that is wanted of what is reserved at a bank; the same id is the same file."""

    id: UUID
    bank: UUID
    currency: str
    sum_minor_max: int  # No more than somebody has agreed to.
    by: str


class BankFile(Record, frozen=True):
    """A file as it stands; its content is made when it is read."""

    id: UUID
    number: int
    bank: UUID
    currency: str
    lines: int
    sum_minor: int
    made_at: datetime
    made_by: str
    carried_at: datetime | None = None  # When somebody said that the bank has it.
    carried_by: str = ""
    open_lines: int = 0  # Whose result is not known.


class BankFileQuery(Record, frozen=True):
    """A page of files, the newest first, before a number (exclusive)."""

    before: int | None = None
    files_max: int = 50


class BankLine(Record, frozen=True):
    """One payout of a file, and what the bank said of it; empty: nothing yet."""

    line: int
    payout: PayoutId
    merchant: UUID
    shown: str
    amount_minor: int
    result: str = ""
    problem: str = ""


class BankLineQuery(Record, frozen=True):
    """A page of a file's lines, after a line (exclusive)."""

    file: UUID
    after: int = 0
    lines_max: int = 100


class BankFileContent(Record, frozen=True):
    """What is carried to the bank."""

    name: str
    media_type: str
    content: bytes


class NewBankAnswer(Record, frozen=True):
    """What a bank said of a file, as it came: a table or pain.002."""

    file: UUID
    content: bytes
    by: str


class BankAnswerStatus(StrEnum):
    """How reading one answer ended. Where several would fit, the first listed is given."""

    READ = "read"
    FILE_NOT_FOUND = "file_not_found"
    TOO_LARGE = "too_large"
    NOT_READABLE = "not_readable"  # Neither a table with `number` and `result`, nor pain.002.
    EMPTY = "empty"


class TakenAnswer(Record, frozen=True):
    """An answer as it was taken: its id, where it could be read."""

    status: BankAnswerStatus
    answer: UUID | None = None


class BankResultStatus(StrEnum):
    """What becomes of one line of an answer. Where several would fit, the first listed is given."""

    NOTED = "noted"
    KNOWN = "known"  # It was said before.
    UNKNOWN = "unknown"  # The bank does not know yet, or it says so in no word that is known.
    NOT_IN_FILE = "not_in_file"
    AMOUNT_WRONG = "amount_wrong"
    DIFFERENT = "different"  # It was said otherwise before, and cannot be both.


class BankAnswerLine(Record, frozen=True):
    """One line of an answer, as the bank wrote it, and what becomes of it."""

    line: int
    number: str
    result: str  # `succeeded`, `failed` or `returned`; empty: none of them.
    problem: str
    told_amount: str  # As the bank wrote it; empty: it did not.
    status: BankResultStatus
    payout: PayoutId | None = None
    amount_minor: int = 0


class BankAnswer(Record, frozen=True):
    """An answer that was read; nothing has come of it before it is noted."""

    id: UUID
    file: UUID
    read_at: datetime
    read_by: str
    lines: list[BankAnswerLine]
    noted_at: datetime | None = None
    noted_by: str = ""
    back_before_minor: int = 0  # What merchants have again by this file's answers noted so far.

    @property
    def back_minor(self) -> int:
        """Give what merchants have again once it is noted: the failed and the returned."""
        back = (each for each in self.lines if each.result in ("failed", "returned"))
        return sum(e.amount_minor for e in back if e.status is not BankResultStatus.KNOWN)

    @property
    def back_whole_minor(self) -> int:
        """Give what merchants have again of the whole file then; zero: this adds nothing to it."""
        return self.back_before_minor + self.back_minor if self.back_minor else 0


class BankNote(Record, frozen=True):
    """An answer that is to be noted, with no more going back of its file than was agreed to."""

    answer: UUID
    by: str
    back_minor_max: int  # Of the whole file, as `back_whole_minor`.


class Banks(Protocol):
    """Payouts that leave in files."""

    async def list_ways(self) -> list[PayoutChannel]:
        """List all that pays out now: channels, then banks."""
        ...

    async def put_banks(self, banks: Sequence[Bank]) -> list[BankStatus]:
        """Write banks; closed ones take no new payees."""
        ...

    async def list_banks(self) -> list[Bank]:
        """List banks by name, closed ones too."""
        ...

    async def list_waiting(self) -> list[BankWaiting]:
        """List what waits for a file."""
        ...

    async def make_files(self, requests: Sequence[BankFileRequest]) -> list[BankFile | None]:
        """Put what is reserved into files: it counts as sent. None: nothing was there."""
        ...

    async def carry_files(self, files: Sequence[tuple[UUID, str]]) -> list[bool]:
        """Note that banks have files, each (file, by); false: it was known, or there is no such."""
        ...

    async def list_files(self, queries: Sequence[BankFileQuery]) -> list[list[BankFile]]:
        """List files, the newest first."""
        ...

    async def read_files(self, files: Sequence[UUID]) -> list[BankFile | None]:
        """Read files as they stand."""
        ...

    async def list_lines(self, queries: Sequence[BankLineQuery]) -> list[list[BankLine]]:
        """List what lies in files, in its order."""
        ...

    async def read_contents(self, files: Sequence[UUID]) -> list[BankFileContent | None]:
        """Read files' contents: accounts are told whole here. The same to the byte, always."""
        ...

    async def take_answers(self, answers: Sequence[NewBankAnswer]) -> list[TakenAnswer]:
        """Read what banks say and keep it; the same content is the same answer."""
        ...

    async def read_answers(self, answers: Sequence[UUID]) -> list[BankAnswer | None]:
        """Read answers: before they are noted, what would become of each line just now."""
        ...

    async def list_answers(self, files: Sequence[UUID]) -> list[list[BankAnswer]]:
        """List files' answers, the newest first, without their lines."""
        ...

    async def note_answers(self, notes: Sequence[BankNote]) -> list[BankAnswer | None]:
        """Note answers and let the books follow; twice changes nothing.

        One by which more would go back than was agreed to is given as it stands: not noted.
        """
        ...
