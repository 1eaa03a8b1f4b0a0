"""What can be set for the public API."""

from pathlib import Path
from typing import Annotated

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class GatewaySettings(Record, frozen=True):
    """Bounds of the public API; every default suits one small machine."""

    home: Annotated[Path, Help("The folder whose files folder holds the files that are sold.")] = (
        Path("~/.vendrail")
    )
    public_url: Annotated[str, Help("Where buyers and providers reach the site.")] = (
        "http://127.0.0.1:8000"
    )
    default_currency: Annotated[
        str, Help("The currency of an order that names none, if the product offers it.")
    ] = "CNY"
    body_bytes_max: Annotated[int, Help("The largest request body of the API.")] = 65_536
    callback_bytes_max: Annotated[int, Help("The largest callback of a provider.")] = 262_144
    places_per_minute_max: Annotated[
        int, Help("Orders that one network address may place by API in a minute; 0: no limit.")
    ] = 600
    unproven_per_minute: Annotated[
        int,
        Help("Orders of one address in a minute that need no proof of work; 0: any number."),
    ] = 60
    proof_numbers_max: Annotated[
        int, Help("How many hashes a proof of work takes at most; 0: none is ever asked for.")
    ] = 100_000
    requests_per_key_per_minute_max: Annotated[
        int, Help("Requests with one API key in a minute, over all processes; 0: no limit.")
    ] = 600
    key_file_bytes_max: Annotated[
        int, Help("The largest key file that is taken in by API; it is never held in memory whole.")
    ] = 256_000_000
    products_max: Annotated[int, Help("The most products on one page of a list.")] = 100
    offer_cache_s: Annotated[int, Help("How long a SKU's shop and currencies are remembered.")] = 60
    methods_cache_s: Annotated[int, Help("How long the list of ways to pay is remembered.")] = 1
