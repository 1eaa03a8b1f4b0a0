"""What can be set for buyers' accounts."""

from typing import Annotated

from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class BuyersSettings(Record, frozen=True):
    """How codes, passkeys and sessions live, and how often they may be tried."""

    site_name: Annotated[str, Help("How passkeys name the site.")] = "Vendrail"
    public_url: Annotated[str, Help("The site that passkeys are bound to.")] = (
        "http://127.0.0.1:8000"
    )
    code_s: Annotated[int, Help("How long a code to sign in is good.")] = 600
    codes_per_email_max: Annotated[
        int,
        Meta(ge=1),
        Help(
            "Codes that one network may have sent to one e-mail address in a quarter hour; a "
            "device that has signed in by it before may have as many, apart from all others."
        ),
    ] = 6
    codes_per_email_total_max: Annotated[
        int,
        Meta(ge=1),
        Help(
            "Codes that all networks together may have sent to one e-mail address in a quarter "
            "hour, without those of devices that have signed in by it before."
        ),
    ] = 30
    tries_per_address_max: Annotated[
        int,
        Meta(ge=1),
        Help("Codes that one network address may ask for or try within five minutes."),
    ] = 40
    challenge_s: Annotated[
        int, Meta(ge=1), Help("How long a passkey may take to answer what it is asked.")
    ] = 300
    passkeys_max: Annotated[int, Meta(ge=1), Help("Passkeys that one buyer may have.")] = 20
    session_days_max: Annotated[int, Help("After how many days a buyer signs in again.")] = 90
    session_idle_days_max: Annotated[int, Help("After how many idle days a session ends.")] = 30
    session_rotate_minutes: Annotated[
        int, Help("How often a session in use gets another token, in minutes.")
    ] = 60
