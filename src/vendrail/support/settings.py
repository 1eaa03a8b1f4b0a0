"""What can be set for complaints and conversations."""

from typing import Annotated

from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class SupportSettings(Record, frozen=True):
    """How long each step of a complaint may take, and what is told by letter."""

    warranty_days: Annotated[
        int,
        Meta(ge=0),
        Help("For how many days a dead key can be claimed."),
    ] = 7
    complaint_days: Annotated[
        int, Meta(ge=0), Help("How many days after delivery anything else can be complained of.")
    ] = 30
    answer_hours: Annotated[
        int,
        Meta(ge=1),
        Help("How long a merchant may take to answer; then all goes back."),
    ] = 72
    accept_hours: Annotated[
        int,
        Meta(ge=1),
        Help("How long a buyer may take to accept or escalate; then what was answered stands."),
    ] = 168
    ruling_hours: Annotated[
        int, Meta(ge=1), Help("How long the operator has to rule before it is told as overdue.")
    ] = 120
    letter_pause_s: Annotated[
        int, Meta(ge=0), Help("How long a message may be unread before one letter tells of it.")
    ] = 300
    public_url: Annotated[str, Help("What links in letters begin with.")] = "http://127.0.0.1:8000"
    events_keep_days: Annotated[
        int,
        Meta(ge=1),
        Help("How many days events are kept that all their readers have read."),
    ] = 30
