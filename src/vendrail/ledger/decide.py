"""What a batch does to the books, item by item: item k sees k−1, chains go whole or not at all."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.ledger import (
    Transfer,
    TransferKind,
    TransferResult,
    TransferStatus,
)
from vendrail.kernel.errors import Malformed
from vendrail.kernel.money import AMOUNT_MINOR_MAX
from vendrail.ledger.books import Books, Counters, Made, Outcome, Terms, digest, free_minor

MEMO_LENGTH_MAX = 200
TIMEOUT_S_MAX = 10 * 366 * 86_400
_RESOLVING = (TransferKind.POST, TransferKind.VOID, TransferKind.EXPIRE)


def check_shape(transfer: Transfer) -> None:
    """Refuse as malformed what no state of the books could make sense of."""
    kind = transfer.kind
    if kind is TransferKind.EXPIRE:
        raise Malformed("Only the ledger itself lets a pending transfer expire; post a void.")
    if transfer.pending is not None and kind not in _RESOLVING:
        raise Malformed(f"`pending` belongs to a post or a void, not to a {kind} transfer.")
    if transfer.timeout_s and kind is not TransferKind.PENDING:
        raise Malformed(f"`timeout_s` belongs to a pending transfer, not to a {kind} one.")
    if not 0 <= transfer.timeout_s <= TIMEOUT_S_MAX:
        raise Malformed(f"`timeout_s` is from 0 to {TIMEOUT_S_MAX}.")
    if transfer.is_balancing and kind is TransferKind.VOID:
        raise Malformed("A void gives the whole pending amount back; it cannot balance.")
    if len(transfer.memo) > MEMO_LENGTH_MAX or "\x00" in transfer.memo:
        raise Malformed(f"A memo is text of at most {MEMO_LENGTH_MAX} characters.")


def post(books: Books, transfers: Sequence[Transfer]) -> list[TransferResult]:
    """Apply a batch to the books in order; one result for each transfer."""
    results: list[TransferResult] = []
    start = 0
    last = len(transfers) - 1
    for index, transfer in enumerate(transfers):
        if not transfer.is_linked or index == last:
            results += _chain(books, transfers[start : index + 1])
            start = index + 1
    return results


def _chain(books: Books, chain: Sequence[Transfer]) -> list[TransferResult]:
    """Apply one chain (nearly always of one): all of it, or nothing but stored refusals."""
    requests = [digest(transfer) for transfer in chain]
    results: list[TransferResult] = []
    fresh: list[UUID] = []
    is_failed = False
    for index, transfer in enumerate(chain):
        if known := books.outcomes.get(transfer.id):
            result = known.repeat(requests[index])
        elif is_failed:
            result = _refuse(books, transfer, requests[index], TransferStatus.LINKED_FAILED)
        elif transfer.is_linked and index == len(chain) - 1:
            result = _refuse(books, transfer, requests[index], TransferStatus.CHAIN_OPEN)
        else:
            result = _apply(books, transfer, requests[index])
            if result.is_done:
                fresh.append(transfer.id)
        results.append(result)
        if not is_failed and not result.is_done:
            is_failed = True
            _undo(books, fresh)
    if is_failed and fresh:
        undone = set(fresh)
        for index, transfer in enumerate(chain):
            if transfer.id in undone and results[index].is_done:
                results[index] = TransferResult(TransferStatus.LINKED_FAILED)
    return results


def _undo(books: Books, fresh: Sequence[UUID]) -> None:
    """Take a broken chain's transfers out again, the last first; what stays is their refusal."""
    for id in reversed(fresh):
        made = books.made[id]
        _move(books, made, sign=-1)
        if made.transfer.pending is not None:
            del books.resolutions[made.transfer.pending]
        _refuse(books, made.transfer, made.request, TransferStatus.LINKED_FAILED)


def _refuse(
    books: Books, transfer: Transfer, request: bytes, refusal: TransferStatus
) -> TransferResult:
    """Keep a refusal under its id: that is all a refused transfer changes."""
    books.outcomes[transfer.id] = Outcome(request, books.now, refusal=refusal)
    books.made[transfer.id] = Made(transfer, request, refusal=refusal)
    return TransferResult(refusal)


def _apply(books: Books, transfer: Transfer, request: bytes) -> TransferResult:
    """Apply one new transfer to the books, or keep why not."""
    if transfer.kind in _RESOLVING:
        made = _resolve(books, transfer, request)
    else:
        made = _reserve_or_move(books, transfer, request)
    if isinstance(made, TransferStatus):
        return _refuse(books, transfer, request, made)
    _move(books, made, sign=1)
    books.made[transfer.id] = made
    amount_minor = made.amount_minor or 0
    books.outcomes[transfer.id] = Outcome(request, books.now, transfer, amount_minor)
    if transfer.pending is not None:
        books.resolutions[transfer.pending] = transfer.kind
    return TransferResult(TransferStatus.CREATED, amount_minor)


def _find_accounts(books: Books, transfer: Transfer) -> tuple[Terms, Terms] | TransferStatus:
    if transfer.debit == transfer.credit:
        return TransferStatus.ACCOUNTS_EQUAL
    debit = books.accounts.get(transfer.debit.int)
    credit = books.accounts.get(transfer.credit.int)
    if debit is None or credit is None:
        return TransferStatus.ACCOUNT_NOT_FOUND
    if debit.currency != credit.currency:
        return TransferStatus.CURRENCIES_DIFFER
    return debit, credit


def _reserve_or_move(books: Books, transfer: Transfer, request: bytes) -> Made | TransferStatus:
    """The ladder of a single or pending transfer."""
    amount_minor = transfer.amount_minor
    if amount_minor <= 0:
        return TransferStatus.AMOUNT_NOT_POSITIVE
    if amount_minor > AMOUNT_MINOR_MAX:
        return TransferStatus.AMOUNT_TOO_LARGE
    found = _find_accounts(books, transfer)
    if isinstance(found, TransferStatus):
        return found
    debit, credit = found
    room = _room(books, debit, credit)
    if room is not None and amount_minor > room:
        if not transfer.is_balancing or room <= 0:
            return TransferStatus.BALANCE_TOO_LOW
        amount_minor = room
    return Made(transfer, request, debit.number, credit.number, amount_minor)


def _room(books: Books, debit: Terms, credit: Terms) -> int | None:
    """Give how much may move between two accounts; None where neither side sets a limit.

    The counters of a limited account are left out where it can bear all that the batch asks of it.
    """
    room: int | None = None
    held = books.counters.get(debit.number) if debit.are_debits_limited else None
    if held is not None:
        room = free_minor(debit, held)
    owned = books.counters.get(credit.number) if credit.are_credits_limited else None
    if owned is not None:
        other = free_minor(credit, owned)
        room = other if room is None else min(room, other)
    return room


def _resolve(books: Books, transfer: Transfer, request: bytes) -> Made | TransferStatus:
    """The ladder of what ends a pending transfer; it frees what it moves, so no limit is near."""
    asked_minor = transfer.amount_minor
    if asked_minor < 0:
        return TransferStatus.AMOUNT_NOT_POSITIVE
    if asked_minor > AMOUNT_MINOR_MAX:
        return TransferStatus.AMOUNT_TOO_LARGE
    found = _find_accounts(books, transfer)
    if isinstance(found, TransferStatus):
        return found
    pending = books.outcomes.get(transfer.pending) if transfer.pending else None
    if pending is None or pending.transfer is None or transfer.pending is None:
        return TransferStatus.PENDING_NOT_FOUND
    reserved = pending.transfer
    if reserved.kind is not TransferKind.PENDING:
        return TransferStatus.PENDING_NOT_FOUND
    released_minor = pending.amount_minor
    is_void_partial = transfer.kind is not TransferKind.POST and 0 < asked_minor < released_minor
    if (reserved.debit, reserved.credit) != (transfer.debit, transfer.credit) or is_void_partial:
        return TransferStatus.PENDING_DIFFERENT
    resolution = books.resolutions.get(transfer.pending)
    if resolution is TransferKind.EXPIRE:
        return TransferStatus.PENDING_EXPIRED
    if resolution is not None:
        return TransferStatus.PENDING_RESOLVED
    due_at = pending.due_at
    if due_at is not None and due_at <= books.now and transfer.kind is not TransferKind.EXPIRE:
        return TransferStatus.PENDING_EXPIRED
    if asked_minor > released_minor and not transfer.is_balancing:
        return TransferStatus.PENDING_TOO_SMALL
    moved_minor = 0
    if transfer.kind is TransferKind.POST:
        moved_minor = min(asked_minor, released_minor) if asked_minor else released_minor
    debit, credit = found
    return Made(transfer, request, debit.number, credit.number, moved_minor, released_minor)


def _move(books: Books, made: Made, *, sign: int) -> None:
    """Add what a transfer does to the counters, or (sign −1) take it out again."""
    if made.debit is None or made.credit is None or made.amount_minor is None:
        return
    is_pending = made.transfer.kind is TransferKind.PENDING
    pending = made.amount_minor if is_pending else -(made.released_minor or 0)
    posted = 0 if is_pending else made.amount_minor
    debit, credit = made.debit, made.credit
    for side in (books.counters.get(debit), books.changes.setdefault(debit, Counters())):
        if side is not None:
            side.debits_pending += sign * pending
            side.debits_posted += sign * posted
    for side in (books.counters.get(credit), books.changes.setdefault(credit, Counters())):
        if side is not None:
            side.credits_pending += sign * pending
            side.credits_posted += sign * posted
