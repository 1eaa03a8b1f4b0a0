"""What can be set for the ledger."""

from typing import Annotated

from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class LedgerSettings(Record, frozen=True):
    """How the journal is sealed."""

    seal: Annotated[bool, Help("Seal the journal in blocks that are chained and signed.")] = True
    seal_after_s: Annotated[
        float,
        Meta(ge=30),
        Help("How old a transfer is when it is sealed: more than clocks may be apart."),
    ] = 60.0
    seal_share: Annotated[
        float,
        Meta(gt=0, le=1),
        Help("How much of its time the sealer may work while the journal runs ahead of it."),
    ] = 0.2
    close: Annotated[bool, Help("Close each day's books by themselves, once the day is over.")] = (
        True
    )
    close_zone: Annotated[
        str, Help("The time zone whose days are closed: the same as that of times on pages.")
    ] = "Asia/Shanghai"
    close_after_s: Annotated[
        float, Meta(ge=0), Help("How long after its end a day is closed by itself.")
    ] = 1_800.0
