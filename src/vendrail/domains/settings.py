"""What can be set for shops' own domains."""

from typing import Annotated

from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class DomainsSettings(Record, frozen=True):
    """Who answers for DNS, which hosts nobody may have, and how patiently proofs are looked for."""

    public_url: Annotated[
        str, Help("Where the links in letters lead; its host is no shop's, nor is one below it.")
    ] = "http://127.0.0.1:8000"
    resolvers: Annotated[
        tuple[str, ...],
        Help(
            "Who is asked for TXT records, as 9.9.9.9 or 127.0.0.1:5353, parted by commas; empty:"
            " the system's."
        ),
    ] = ()
    resolve_s: Annotated[float, Help("How long an answer of DNS is waited for.")] = 5.0
    reserved_hosts: Annotated[
        tuple[str, ...],
        Help("More hosts that no shop may have, nor what is below them, parted by commas."),
    ] = ()
    per_shop_max: Annotated[
        int, Meta(ge=0), Help("How many domains a shop may have; 0: none can be added.")
    ] = 5
    per_day_max: Annotated[
        int,
        Meta(ge=0),
        Help("How many domains a merchant may add in a day, also such as went since; 0: any."),
    ] = 20
    check_s: Annotated[
        int, Meta(ge=1), Help("How often the proof of a domain that is served is looked for.")
    ] = 86_400
    again_s: Annotated[
        int, Meta(ge=0), Help("How soon after a look a merchant may ask for the next.")
    ] = 30
    failures_max: Annotated[
        int, Meta(ge=1), Help("After so many looks in a row without the proof a host is given up …")
    ] = 3
    lost_after_days: Annotated[int, Meta(ge=0), Help("… if it was away for so many days.")] = 3
    watch_days: Annotated[
        int, Meta(ge=1), Help("For how many days a proof not there yet is looked for by itself.")
    ] = 14
