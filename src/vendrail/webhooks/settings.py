"""What can be set for webhooks."""

from typing import Annotated

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class WebhooksSettings(Record, frozen=True):
    """How merchants' programs are told, how patiently, and where they may be."""

    public_url: Annotated[str, Help("Where the links in letters lead.")] = "http://127.0.0.1:8000"
    networks_allowed: Annotated[
        tuple[str, ...],
        Help("Private networks in which endpoints may be, as 10.0.0.0/8, parted by commas."),
    ] = ()
    low_stock_max: Annotated[
        int, Help("With so few free keys of a variant its merchant's programs are told, once.")
    ] = 10
    endpoints_max: Annotated[int, Help("How many endpoints a merchant may have.")] = 10
    asks_per_minute_max: Annotated[
        int, Help("Tests and tellings again that may be asked of one endpoint in a minute.")
    ] = 10
    timeout_s: Annotated[float, Help("How long an endpoint may take to answer.")] = 10.0
    in_flight_max: Annotated[int, Help("Deliveries under way at once, in one process.")] = 64
    endpoint_in_flight_max: Annotated[
        int, Help("Deliveries to one endpoint at once; one that does not hear has one.")
    ] = 4
    disable_after_days: Annotated[
        int, Help("An endpoint that has heard nothing for so many days is disabled.")
    ] = 5
    old_secret_s: Annotated[
        int, Help("How long a secret signs beside the one that has taken its place.")
    ] = 86_400
    keep_days: Annotated[int, Help("How many days events and deliveries are kept.")] = 30
