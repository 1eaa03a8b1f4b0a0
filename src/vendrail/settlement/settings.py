"""What can be set for settlement."""

from typing import Annotated

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class SettlementSettings(Record, frozen=True):
    """The platform's first default fee; later ones are written with `put_fee_terms`."""

    public_url: Annotated[str, Help("Where the links in letters lead.")] = "http://127.0.0.1:8000"
    default_basis_points: Annotated[
        int, Help("Fee of merchants without terms of their own, in 1/100 %; read at first start.")
    ] = 100
    is_default_fee_refunded: Annotated[
        bool, Help("Whether that fee is given back with a refund; read at first start.")
    ] = False
