"""What can be set for looking at merchants."""

from typing import Annotated

from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class ComplianceSettings(Record, frozen=True):
    """For how long what was accepted counts, and for how long it is kept."""

    valid_days: Annotated[
        int, Meta(ge=1), Help("For how many days an accepted dossier counts, if nobody says a day.")
    ] = 730
    warned_days: Annotated[
        int, Meta(ge=1), Help("How many days before its end the merchant's owners get a letter.")
    ] = 30
    draft_kept_days: Annotated[
        int, Meta(ge=1), Help("After how many untouched days a dossier not handed in is deleted.")
    ] = 90
    refused_kept_days: Annotated[
        int, Meta(ge=1), Help("How long what was refused is kept before its content is deleted.")
    ] = 180
    ended_kept_days: Annotated[
        int, Meta(ge=1), Help("How long what was accepted is kept after it has ended.")
    ] = 1_825
    public_url: Annotated[str, Help("What links in letters begin with.")] = "http://127.0.0.1:8000"
