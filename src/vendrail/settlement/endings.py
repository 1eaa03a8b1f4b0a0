"""How movements of refunds end: who is answered what, and that all of it has moved. Pure."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.settlement import RefundPosting, RefundPostingStatus
from vendrail.kernel.errors import Broken
from vendrail.settlement.refunds import KeptRefund, RefundState

Status = RefundPostingStatus


def owner(refund: KeptRefund) -> UUID:
    """Give whose money it takes."""
    assert refund.merchant is not None  # Suspense and held have no limit: they never leave a debt.
    return refund.merchant


def assert_moved(refund: KeptRefund, moved_minor: int, due_minor: int) -> None:
    """Break where the books did not move what is due."""
    if moved_minor != due_minor:
        raise Broken(
            f"{moved_minor} moved of refund {refund.id}, which is {due_minor}; look at the books."
        )


def end_statuses(
    postings: Sequence[RefundPosting],
    kept: dict[UUID, KeptRefund],
    going: Sequence[KeptRefund],
    target: RefundState,
) -> list[Status]:
    """Answer who asks to end refunds: done, done before, or not to be done."""
    ended = {refund.id for refund in going}
    statuses = []
    for posting in postings:
        refund = kept.get(posting.refund)
        if refund is not None and not refund.fits(posting):
            statuses.append(Status.EXISTS_DIFFERENT)
        elif posting.refund in ended:
            ended.remove(posting.refund)
            statuses.append(Status.POSTED)
        elif refund is not None and (refund.state is target or refund.id in ids(going)):
            statuses.append(Status.EXISTS)
        else:
            statuses.append(Status.NOT_OPEN)
    return statuses


def fitting(
    postings: Sequence[RefundPosting], kept: dict[UUID, KeptRefund]
) -> dict[UUID, KeptRefund]:
    """Leave out refunds that are asked for in another form than they were kept in.

    A supplier's part follows the refund that it is part of.
    """
    strangers = {
        posting.refund
        for posting in postings
        if posting.refund in kept and not kept[posting.refund].fits(posting)
    }
    return {
        id: refund
        for id, refund in kept.items()
        if id not in strangers and refund.part_of not in strangers
    }


def ids(kept: Sequence[KeptRefund]) -> set[UUID]:
    """Give refunds' ids."""
    return {refund.id for refund in kept}
