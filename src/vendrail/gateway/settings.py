"""What an operator may set about the public API."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GatewaySettings:
    """Bounds of the public API; every default suits one small machine."""

    default_currency: str = "CNY"  # Used when a request names none and the product offers it.
    body_bytes_max: int = 65_536  # The largest request body of the API.
    callback_bytes_max: int = 262_144  # The largest provider callback.
    products_max: int = 100  # The most products one page of a list may hold.
    offer_cache_s: int = 60  # How long the shop and shard of a SKU are remembered.
    methods_cache_s: int = 1  # How long the list of ways to pay is remembered.
