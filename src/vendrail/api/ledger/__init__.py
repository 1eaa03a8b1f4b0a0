"""The ledger: value moves between two accounts; it never appears and never vanishes.

Accounts and transfers, double entry, immutable, one currency an account (TigerBeetle's model).
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Literal, NewType, Protocol
from uuid import UUID

from vendrail.api.ledger.closes import Close as Close
from vendrail.api.ledger.closes import CloseDay as CloseDay
from vendrail.api.ledger.closes import CloseItem as CloseItem
from vendrail.api.ledger.closes import CloseItemQuery as CloseItemQuery
from vendrail.api.ledger.closes import CloseQuery as CloseQuery
from vendrail.api.ledger.closes import Closes
from vendrail.api.ledger.closes import CloseSheet as CloseSheet
from vendrail.api.ledger.closes import CloseSum as CloseSum
from vendrail.api.ledger.closes import ClosingStatus as ClosingStatus
from vendrail.api.ledger.closes import NextClose as NextClose
from vendrail.api.ledger.statements import Statement as Statement
from vendrail.api.ledger.statements import StatementLine as StatementLine
from vendrail.api.ledger.statements import StatementLinesQuery as StatementLinesQuery
from vendrail.api.ledger.statements import StatementPage as StatementPage
from vendrail.api.ledger.statements import StatementPlace as StatementPlace
from vendrail.api.ledger.statements import StatementQuery as StatementQuery
from vendrail.api.ledger.statements import StatementSeal as StatementSeal
from vendrail.api.ledger.statements import StatementSum as StatementSum
from vendrail.api.ledger.sums import AccountSum as AccountSum
from vendrail.api.ledger.sums import EntrySum as EntrySum
from vendrail.kernel.codec import Record
from vendrail.kernel.ids import named_id
from vendrail.kernel.numbers import Numbered

AccountId = NewType("AccountId", UUID)
TransferId = NewType("TransferId", UUID)


@lru_cache(maxsize=1 << 17)
def account_id(name: str, currency: str) -> AccountId:
    """Give the id of an account of the chart, always the same: `held:<merchant>` in `CNY`."""
    return AccountId(named_id(f"{name}/{currency}"))


class AccountLimit(StrEnum):
    """What an account may never do, counting what is pending (pessimistically)."""

    NONE = "none"  # Receivables, fees, held:*: kept as deltas, rolled up, never a lock.
    DEBITS_WITHIN_CREDITS = "debits_within_credits"  # Owed to someone: never below zero.
    CREDITS_WITHIN_DEBITS = "credits_within_debits"  # Owned by us: never overpaid.


class Account(Record, frozen=True):
    """One account of the chart; `name` and `currency` give its id by `account_id`."""

    name: str
    currency: str
    limit: AccountLimit = AccountLimit.NONE
    is_listed: bool = True  # False for the busiest: no index of entries; `read_entries` walks back.

    @property
    def id(self) -> AccountId:
        """The account's id: derived, so that nobody has to look it up."""
        return account_id(self.name, self.currency)


MerchantPart = Literal["available", "pending", "frozen", "reserve", "debt", "deposit"]
BucketPart = Literal["pending", "reserve"]


@lru_cache(maxsize=1 << 17)
def _account(
    form: str, owner: UUID | str, currency: str, limit: AccountLimit, *, is_listed: bool = True
) -> Account:
    return Account(form.format(owner), currency, limit, is_listed)


class Chart(Record, frozen=True):
    """The names of all accounts in one currency, with their limits: `Chart("CNY").held(merchant)`.

    The same call gives the same record; making one is cheap enough for every order.
    """

    currency: str

    def provider(self, channel: str) -> Account:
        """What a channel account owes us: captured, not yet paid out to us."""
        return self._busy("provider:{}", channel)

    def held(self, merchant: UUID) -> Account:
        """Money of paid orders that are not split yet."""
        return self._busy("held:{}", merchant)

    def merchant(self, merchant: UUID, part: MerchantPart) -> Account:
        """What a merchant owns (available, pending, frozen, reserve, deposit) or owes (debt)."""
        if part == "debt":
            return self._free("merchant:{}:debt", merchant)
        return self._owned(f"merchant:{{}}:{part}", merchant)

    def bucket(self, merchant: UUID, part: BucketPart, due_at: datetime) -> Account:
        """What of a merchant's pending or reserve money falls due in one moment."""
        return self._owned(f"merchant:{{}}:{part}:{due_at:%Y%m%dT%H}", merchant)

    def buyer_wallet(self, buyer: UUID) -> Account:
        """What a buyer has paid in and not spent."""
        return self._owned("buyer:{}:wallet", buyer)

    def platform_fee(self) -> Account:
        """What the platform has earned."""
        return self._busy("platform:fee", "")

    def platform_channel_cost(self) -> Account:
        """What channels have charged the platform, less what merchants bear of it."""
        return self._free("platform:channel_cost", "")

    def promotion(self) -> Account:
        """What the platform has given away."""
        return self._free("promotion", "")

    def payout_reserve(self, channel: str) -> Account:
        """Money put in beforehand, from which merchants are paid at once; never overdrawn."""
        limit = AccountLimit.CREDITS_WITHIN_DEBITS
        return _account("payout_reserve:{}", channel, self.currency, limit)

    def bank(self) -> Account:
        """What lies in the platform's own bank account; never overdrawn."""
        return _account("bank", "", self.currency, AccountLimit.CREDITS_WITHIN_DEBITS)

    def payout_in_transit(self, channel: str) -> Account:
        """Payouts asked of a channel and not confirmed; must return to zero."""
        return self._free("payout:in_transit:{}", channel)

    def chargeback(self, channel: str) -> Account:
        """Money that a channel has taken back; must return to zero."""
        return self._free("chargeback:{}", channel)

    def fx(self, other_currency: str) -> Account:
        """This currency's side of exchanges with another."""
        return self._free("fx:{}", other_currency)

    def refund_clearing(self) -> Account:
        """Refunds asked of a provider and not confirmed; must return to zero."""
        return self._free("refund:clearing", "")

    def suspense_unmatched(self) -> Account:
        """Money that arrived and fits nothing; every part of it is on the desk."""
        return self._free("suspense:unmatched", "")

    def capital(self, owner: str) -> Account:
        """What the platform's own people have put in."""
        return self._free("capital:{}", owner)

    def _free(self, form: str, owner: UUID | str) -> Account:
        return _account(form, owner, self.currency, AccountLimit.NONE)

    def _busy(self, form: str, owner: UUID | str) -> Account:
        return _account(form, owner, self.currency, AccountLimit.NONE, is_listed=False)

    def _owned(self, form: str, owner: UUID | str) -> Account:
        return _account(form, owner, self.currency, AccountLimit.DEBITS_WITHIN_CREDITS)


class AccountStatus(StrEnum):
    """How opening one account ended."""

    CREATED = "created"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    NAME_MALFORMED = "name_malformed"
    CURRENCY_UNKNOWN = "currency_unknown"


class TransferKind(StrEnum):
    """One phase, or one of the two phases of a reservation."""

    SINGLE = "single"
    PENDING = "pending"  # Reserves the amount; resolved once by post or void, or expires.
    POST = "post"  # Moves a pending amount, whole (amount 0) or in part; the rest is returned.
    VOID = "void"  # Gives a pending amount back.
    EXPIRE = "expire"  # The same, by time: posted by the ledger alone.


class TransferCode(StrEnum):
    """Why value moved: the business reason that statements and reports group by."""

    CAPTURE = "capture"  # provider receivable -> held
    SALE = "sale"  # held -> merchant
    FEE = "fee"  # held -> platform fee
    CHANNEL_COST = "channel_cost"  # held -> platform's channel cost, where the merchant bears it
    SUPPLY = "supply"  # held -> the supplier's held, where an agent has sold
    SPLIT_REVERSAL = "split_reversal"
    REFUND = "refund"  # held | available | debt -> refund clearing
    REFUND_FEE = "refund_fee"  # platform fee -> refund clearing, where policy gives it back
    REFUND_PAID = "refund_paid"  # refund clearing -> provider receivable
    REFUND_RETURNED = "refund_returned"  # a refund that failed for good goes back
    UNMATCHED = "unmatched"  # provider receivable -> suspense
    MATCHED = "matched"  # suspense -> held
    EXCHANGE = "exchange"  # into the platform's position in one currency, and out of another's
    RELEASE = "release"  # pending | reserve -> available, when it is due
    DEBT_RECOVERY = "debt_recovery"  # available -> debt
    DEPOSIT = "deposit"  # available -> deposit
    DEPOSIT_TAKEN = "deposit_taken"  # deposit -> debt
    DEPOSIT_RETURNED = "deposit_returned"  # deposit -> available
    FREEZE = "freeze"  # available -> frozen, while an order is disputed
    UNFREEZE = "unfreeze"  # frozen -> available, when it has ended or a refund takes it
    TOP_UP = "top_up"  # held -> a buyer's wallet
    WALLET_PAYMENT = "wallet_payment"  # a buyer's wallet -> held, reserved first
    CHARGEBACK = "chargeback"  # chargeback:<channel> -> provider, when a bank takes money back
    CHARGEBACK_ENDED = "chargeback_ended"  # and back, when its dispute has ended
    CHARGEBACK_LOSS = "chargeback_loss"  # What went back before it was taken: the platform's loss.
    CHARGEBACK_FEE = "chargeback_fee"  # The provider's, and what the merchant bears of it.
    PAYOUT = "payout"  # available -> in transit -> reserve
    PAYOUT_FEE = "payout_fee"
    PAYOUT_RETURNED = "payout_returned"  # What came back, the same way and the fee too
    RESERVE = "reserve"  # owner's capital | provider | bank -> payout reserve, or back
    REMITTANCE = "remittance"  # provider receivable -> payout reserve | bank, as it settles
    REMITTANCE_FEE = "remittance_fee"  # provider receivable -> channel cost: what it has kept
    ADJUSTMENT = "adjustment"


class Transfer(Record, frozen=True):
    """One movement of value. The caller chooses the id: sending it again changes nothing.

    A chain (`is_linked`) is done when each member is `created` or `exists`. Repeats are compared
    in all fields but `is_linked`, which tells of the batch. Balancing counts the sides that have
    limits; where nothing is there the answer is `balance_too_low`. At most 8,192 in one batch.
    """

    id: TransferId
    debit: AccountId
    credit: AccountId
    amount_minor: int
    code: TransferCode
    subject: UUID  # The serial number it belongs to: nearly always the order's id.
    kind: TransferKind = TransferKind.SINGLE
    pending: TransferId | None = None  # Which pending transfer a POST or VOID resolves.
    timeout_s: int = 0  # For PENDING: expires so many seconds after it was posted; 0 = never.
    is_linked: bool = False  # Succeeds or fails with the next transfer of the batch.
    is_balancing: bool = False  # Move at most what is there: the amount is then an upper bound.
    memo: str = ""  # A short note for statements, e.g. the fee rule's version.


class TransferStatus(StrEnum):
    """How one transfer ended. Where several would fit, the first listed is given."""

    CREATED = "created"
    EXISTS = "exists"
    EXISTS_DIFFERENT = "exists_different"
    LINKED_FAILED = "linked_failed"
    CHAIN_OPEN = "chain_open"  # The last transfer of a batch may not be linked.
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    AMOUNT_TOO_LARGE = "amount_too_large"
    ACCOUNTS_EQUAL = "accounts_equal"
    ACCOUNT_NOT_FOUND = "account_not_found"
    CURRENCIES_DIFFER = "currencies_differ"
    PENDING_NOT_FOUND = "pending_not_found"
    PENDING_DIFFERENT = "pending_different"  # Accounts differ from the pending transfer's.
    PENDING_RESOLVED = "pending_resolved"
    PENDING_EXPIRED = "pending_expired"
    PENDING_TOO_SMALL = "pending_too_small"
    BALANCE_TOO_LOW = "balance_too_low"


class TransferResult(Record, frozen=True):
    """The kept outcome of one transfer: repeats get a refusal again, `exists` of what was made."""

    status: TransferStatus
    amount_minor: int = 0  # What really moved: less than asked where balancing.

    @property
    def is_done(self) -> bool:
        """True when the transfer stands in the books, now or from before."""
        return self.status in (TransferStatus.CREATED, TransferStatus.EXISTS)


class Balance(Record, frozen=True):
    """The four counters of an account, in minor units."""

    account: AccountId
    name: str
    currency: str
    debits_pending: int
    debits_posted: int
    credits_pending: int
    credits_posted: int

    @property
    def credit_minor(self) -> int:
        """Posted credits less posted debits: what is owed to the account's owner."""
        return self.credits_posted - self.debits_posted


class Entry(Record, frozen=True):
    """One transfer as one account saw it; `amount_minor` is above zero where it was credited."""

    transfer: TransferId
    account: AccountId
    counterpart: AccountId
    amount_minor: int
    code: TransferCode
    kind: TransferKind
    subject: UUID
    memo: str
    at: datetime


class EntryQuery(Record, frozen=True):
    """The entries of one account, newest first, before a transfer id (exclusive)."""

    account: AccountId
    before: TransferId | None = None
    entries_max: int = 100
    is_moved: bool = False  # Only what moved value: no reservations, nor what gave them back.


class SumQuery(Record, frozen=True):
    """The entries of one listed account before a transfer and after another, both exclusive."""

    account: AccountId
    before: TransferId
    after: TransferId | None = None  # None: since the account was opened.


class PostedTransfer(Record, frozen=True):
    """A transfer as it stands in the books."""

    transfer: Transfer
    at: datetime


class Block(Record, frozen=True):
    """A stretch of the journal, sealed: moments in microseconds since 1970, hashes in hexadecimal.

    It begins behind the transfer (`after_us`, `after`), ends with (`last_us`, `last`). Its hash is
    SHA-256 over the lines `vendrail ledger block`, number, after_us, after, last_us, last, count,
    root, previous; the signature is Ed25519 over the hash.
    """

    number: int  # 1, 2, …
    after_us: int
    after: UUID
    last_us: int
    last: UUID
    count: int
    root: str  # Of the Merkle tree (RFC 6962) over the rows of its transfers.
    previous: str  # The hash of the block before; zeros for the first.
    hash: str
    signature: str
    sealed_at: datetime


class ChainHead(Record, frozen=True):
    """The newest block, if there is any, and the Ed25519 key that all are signed with."""

    block: Block | None
    public_key: str


class TransferProof(Record, frozen=True):
    """Shows, without the books, that a transfer lies in a sealed block as it is told here."""

    transfer: TransferId
    says: str  # The row: its columns parted by `|`, the memo last. This is what the leaf hashes.
    index: int  # Which leaf of the block it is, from 0.
    path: list[str]  # What it is hashed with on the way to the root, from below.
    block: Block
    public_key: str

    @property
    def accounts(self) -> tuple[AccountId, ...]:
        """The two accounts that the row names; none where the transfer was refused."""
        named = self.says.split("|", 9)[7:9]
        return tuple(AccountId(UUID(each)) for each in named if each)


class BlockCheck(StrEnum):
    """What came of hashing a block anew. Where several would fit, the first listed is given."""

    WHOLE = "whole"
    NOT_FOUND = "not_found"
    COUNT_DIFFERS = "count_differs"  # A transfer was taken out of its stretch, or put into it.
    ROOT_DIFFERS = "root_differs"  # A transfer says something else than when it was sealed.
    LINK_BROKEN = "link_broken"  # The block before it is not the one that it followed.
    SIGNATURE_WRONG = "signature_wrong"


class Ledger(Numbered, Closes, Protocol):
    """Double entry in batches."""

    async def open_accounts(self, accounts: Sequence[Account]) -> list[AccountStatus]:
        """Open accounts of the chart; opening again is `exists`."""
        ...

    async def post_transfers(self, transfers: Sequence[Transfer]) -> list[TransferResult]:
        """Post in order, item k seeing k−1; one result for each transfer, in the same order."""
        ...

    async def read_balances(self, accounts: Sequence[AccountId]) -> list[Balance | None]:
        """Read the present counters; None where there is no such account."""
        ...

    async def sum_wallets(self) -> list[AccountSum]:
        """Sum what buyers' wallets hold, by currency: what is owed to buyers."""
        ...

    async def read_entries(self, queries: Sequence[EntryQuery]) -> list[list[Entry]]:
        """Read accounts' entries, newest first."""
        ...

    async def sum_entries(self, queries: Sequence[SumQuery]) -> list[EntrySum]:
        """Sum what stretches of listed accounts' entries posted; of what is unknown: nothing."""
        ...

    async def read_transfers(self, subjects: Sequence[UUID]) -> list[list[PostedTransfer]]:
        """Read all transfers that carry a serial number, oldest first."""
        ...

    async def read_head(self) -> ChainHead:
        """Read the newest block of the sealed journal."""
        ...

    async def read_blocks(self, numbers: Sequence[int]) -> list[Block | None]:
        """Read blocks by their numbers; None where there is no such block."""
        ...

    async def prove_transfers(self, transfers: Sequence[TransferId]) -> list[TransferProof | None]:
        """Prove transfers by the blocks that they lie in; None: no transfer, or not sealed yet."""
        ...

    async def check_blocks(self, numbers: Sequence[int]) -> list[BlockCheck]:
        """Hash blocks' stretches of the journal anew; at most 64 in one batch."""
        ...

    async def read_statements(self, queries: Sequence[StatementQuery]) -> list[Statement]:
        """Read merchants' statements as sums; no account of theirs: all is empty."""
        ...

    async def read_statement_lines(
        self, queries: Sequence[StatementLinesQuery]
    ) -> list[StatementPage]:
        """Read pages of statements' lines, oldest first; at most 10,000 lines a page."""
        ...

    async def sign_statements(self, queries: Sequence[StatementQuery]) -> list[StatementSeal]:
        """Sign statements over all their lines: a walk over the whole of each."""
        ...
