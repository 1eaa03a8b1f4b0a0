"""What can be set for Epay."""

from typing import Annotated

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class EpaySettings(Record, frozen=True):
    """Limits of card sites that speak Epay, and how they are told."""

    amount_minor_min: Annotated[int, Help("The smallest charge, in fen.")] = 1
    amount_minor_max: Annotated[int, Help("The largest charge, in fen.")] = 5_000_000
    requests_per_minute_max: Annotated[
        int, Help("Requests of one site in a minute, over all processes; 0: no limit.")
    ] = 600
    networks_allowed: Annotated[
        tuple[str, ...],
        Help("Private networks in which sites may be told, as 10.0.0.0/8, parted by commas."),
    ] = ()
    notice_timeout_s: Annotated[float, Help("How long a site may take to answer.")] = 10.0
    notices_in_flight_max: Annotated[int, Help("Sites that are told at once.")] = 16
    refund_wait_s: Annotated[
        float, Help("How long api.php waits for the provider's word on a refund.")
    ] = 8.0
