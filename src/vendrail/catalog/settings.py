"""What can be set for the catalog."""

from typing import Annotated

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class CatalogSettings(Record, frozen=True):
    """Caps, limits and times of the catalog."""

    holds_watched_percent: Annotated[
        int, Help("The share of a variant's stock in unpaid orders from which they are counted.")
    ] = 25
    holds_pressing_min: Annotated[
        int, Help("So many units in unpaid orders, beyond that share, are pressure: see proofs.")
    ] = 10
    holds_per_buyer_max: Annotated[
        int, Help("Counted unpaid orders of one contact at a time; 0: any.")
    ] = 5
    holds_per_address_max: Annotated[
        int, Help("Counted unpaid orders from one network address at a time; 0: any.")
    ] = 20
    holds_per_device_max: Annotated[
        int, Help("Counted unpaid orders from one device at a time; 0: any.")
    ] = 5
    holds_share_percent: Annotated[
        int,
        Help("The most of a variant's stock that unpaid orders hold; later ones get it when paid."),
    ] = 50
    holds_share_stock_min: Annotated[
        int, Help("Smaller stocks may be held to the last unit: there, only the caps count.")
    ] = 20
    key_length_max: Annotated[int, Help("How many characters one key may have.")] = 4_096
    data_key_s: Annotated[float, Help("How long one data key seals new rows.")] = 600.0
    public_url: Annotated[str, Help("Where the links in letters lead.")] = "http://127.0.0.1:8000"
    offer_cache_s: Annotated[float, Help("How long an offer may be answered from memory.")] = 1.0
    expired_holds_max: Annotated[int, Help("Ended holds returned to stock in one go.")] = 5_000
