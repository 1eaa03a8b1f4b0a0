"""Passkeys of people: they sign in alone, or stand in for the second factor's code."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.api.identity.acts import Origin
from vendrail.kernel.codec import Record


class StaffPasskey(Record, frozen=True):
    """A key in a person's device, which knows that it is they who hold it."""

    id: UUID
    name: str
    made_at: datetime
    used_at: datetime | None


class StaffPasskeyPurpose(StrEnum):
    """What a browser is asked to do with a person's passkey."""

    MAKE = "make"  # For the person of the session, after a fresh proof.
    PROVE = "prove"  # The second factor of the session that is there, or a fresh proof in it.
    SIGN_IN = "sign_in"  # Begin a session: nobody types an address or a password.


class StaffPasskeyAsk(Record, frozen=True):
    """Ask for what a browser needs to make or to show a person's passkey."""

    purpose: StaffPasskeyPurpose
    origin: Origin
    token: str = ""  # Of the session; none to sign in.


class StaffPasskeyStatus(StrEnum):
    """How asking for, adding or removing one passkey ended. The first that fits is given."""

    DONE = "done"
    LIMITED = "limited"  # Too many tries from this network, or at this account.
    LAST = "last"  # It is the only second factor: it stays until there is another.
    FULL = "full"  # The person has as many as there may be.
    REFUSED = "refused"  # No fresh proof, used, too old, forged, not theirs: nothing tells which.


class StaffPasskeyOptions(Record, frozen=True):
    """What the browser's own dialogue is opened with: WebAuthn options, as JSON."""

    status: StaffPasskeyStatus
    options: str = ""


class StaffPasskeyEntry(Record, frozen=True):
    """Add the passkey that a browser has made to the person of its session."""

    credential: str  # As the browser gave it: WebAuthn's JSON.
    name: str
    token: str
    origin: Origin = Origin()


class StaffPasskeyResult(Record, frozen=True):
    """How adding ended; a first factor opens the session and comes with recovery codes."""

    status: StaffPasskeyStatus
    token: str = ""
    recovery_codes: list[str] = []


class StaffPasskeyProof(Record, frozen=True):
    """Show a passkey: it proves who is in the session; without a token it begins one."""

    credential: str  # As the browser gave it: WebAuthn's JSON.
    token: str = ""
    origin: Origin = Origin()


class StaffPasskeyDrop(Record, frozen=True):
    """Remove one passkey of the person of a session, after a fresh proof."""

    passkey: UUID
    token: str
    origin: Origin = Origin()
