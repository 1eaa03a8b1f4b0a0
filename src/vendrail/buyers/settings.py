"""What can be set for buyers' accounts."""

from typing import Annotated

from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class BuyersSettings(Record, frozen=True):
    """How codes and sessions live, and how often they may be tried."""

    code_s: Annotated[int, Help("How long a code to sign in is good.")] = 600
    codes_per_email_max: Annotated[
        int, Meta(ge=1), Help("Codes that may be sent to one e-mail address in a quarter hour.")
    ] = 6
    tries_per_address_max: Annotated[
        int,
        Meta(ge=1),
        Help("Codes that one network address may ask for or try within five minutes."),
    ] = 40
    session_days_max: Annotated[int, Help("After how many days a buyer signs in again.")] = 90
    session_idle_days_max: Annotated[int, Help("After how many idle days a session ends.")] = 30
    session_rotate_minutes: Annotated[
        int, Help("How often a session in use gets another token, in minutes.")
    ] = 60
