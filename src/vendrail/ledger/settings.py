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
