"""What can be set for identity."""

from typing import Annotated

from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class IdentitySettings(Record, frozen=True):
    """How hard passwords are to guess, how long sessions last, how many tries there are."""

    site_name: Annotated[str, Help("How authenticator apps name the platform.")] = "Vendrail"
    public_url: Annotated[
        str, Help("Where the links in invitations lead, and what passkeys are bound to.")
    ] = "http://127.0.0.1:8000"
    argon2_memory_kib: Annotated[
        int, Meta(ge=8, le=4_194_304), Help("Memory of one password hash (argon2id), in KiB.")
    ] = 65_536
    argon2_rounds: Annotated[
        int, Meta(ge=1, le=64), Help("Passes of one password hash over its memory.")
    ] = 3
    hashes_at_once_max: Annotated[
        int, Meta(ge=1, le=64), Help("Password hashes that one process makes at the same time.")
    ] = 2
    session_hours_max: Annotated[
        int, Meta(ge=1, le=720), Help("Hours after which a session ends, however busy.")
    ] = 12
    session_idle_minutes_max: Annotated[
        int, Meta(ge=1, le=1_440), Help("Minutes after which a session ends, when nothing came.")
    ] = 60
    session_rotate_minutes: Annotated[
        int, Meta(ge=1, le=1_440), Help("Minutes after which a session's token is replaced.")
    ] = 15
    challenge_s: Annotated[
        int, Meta(ge=1), Help("How long a passkey may take to answer what it is asked.")
    ] = 300
    passkeys_max: Annotated[int, Meta(ge=1), Help("Passkeys that one person may have.")] = 20
    tries_per_address_max: Annotated[
        int, Meta(ge=1), Help("Sign-ins, codes and links one network may try in five minutes.")
    ] = 40
    tries_per_account_max: Annotated[
        int, Meta(ge=1), Help("Tries at one account in a quarter of an hour, from all strangers.")
    ] = 10
    failures_max: Annotated[
        int, Meta(ge=3), Help("Wrong passwords in a row after which an account is locked.")
    ] = 100
    invitation_hours: Annotated[
        int, Meta(ge=1, le=720), Help("Hours for which an invitation is good.")
    ] = 72
    reset_minutes: Annotated[
        int, Meta(ge=5, le=1_440), Help("Minutes for which a link to reset a password is good.")
    ] = 30
    proposal_hours: Annotated[
        int, Meta(ge=1, le=720), Help("Hours in which a second person must approve.")
    ] = 24
    api_keys_per_merchant_max: Annotated[
        int, Meta(ge=1, le=1_000), Help("Keys that a merchant may have at once.")
    ] = 50
