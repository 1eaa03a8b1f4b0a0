"""Buyers: accounts that nobody needs, proven by a code or a passkey; a browser by a cookie.

Apart from the staff's identity: no password, no role, nothing to work with. A buyer is a UUID.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from vendrail.kernel.codec import Record

BuyerId = NewType("BuyerId", UUID)
BuyerSessionId = NewType("BuyerSessionId", UUID)
PasskeyId = NewType("PasskeyId", UUID)


class Buyer(Record, frozen=True):
    """Somebody who has proven an e-mail address."""

    id: BuyerId
    email: str  # In lower case; sealed at rest.
    locale: str
    made_at: datetime


class Browser(Record, frozen=True):
    """Where a request comes from; only keyed hashes of address and device are kept."""

    address: str = ""
    device: str = ""  # The device cookie: a code is good in the browser that asked for it alone.
    agent: str = ""
    known: str = ""  # What an earlier sign-in gave this browser, `EntryResult.known`.


class CodeRequest(Record, frozen=True):
    """Ask for a one-time code; the answer is the same whether or not there is an account."""

    email: str
    browser: Browser
    locale: str = "zh-Hans"


class CodeStatus(StrEnum):
    """How asking for one code ended. Where several would fit, the first listed is given."""

    SENT = "sent"
    EMAIL_MALFORMED = "email_malformed"
    LIMITED = "limited"  # Too many from this network, or to this address.


class CodeResult(Record, frozen=True):
    """How asking for one code ended."""

    status: CodeStatus
    wait_s: float = 0.0  # Of LIMITED: until the next may be asked for.


class CodeEntry(Record, frozen=True):
    """Show a one-time code: it signs in, or confirms the session that is there."""

    email: str
    code: str
    browser: Browser
    token: str = ""  # What the browser came with: gone on with where it is the same buyer's.
    locale: str = "zh-Hans"


class EntryStatus(StrEnum):
    """How showing one code ended. Where several would fit, the first listed is given."""

    ACCEPTED = "accepted"
    LIMITED = "limited"
    REFUSED = "refused"  # Wrong, used, too old, or asked for elsewhere: nothing tells which.


class EntryResult(Record, frozen=True):
    """How showing one code ended; the token opens a session that is fresh."""

    status: EntryStatus
    token: str = ""
    wait_s: float = 0.0
    known: str = ""  # Of a code ACCEPTED: shows later that this device was signed in by it.


class BuyerSessionQuery(Record, frozen=True):
    """Ask who comes with a token."""

    token: str
    is_renewing: bool = False  # Whether the browser can be given another token now.


class BuyerSession(Record, frozen=True):
    """A buyer in a browser."""

    id: BuyerSessionId
    buyer: Buyer
    begun_at: datetime
    seen_at: datetime
    ends_at: datetime
    confirmed_at: datetime  # When the buyer last proved who they are.
    agent: str = ""
    token: str = ""  # Another one to go on with; empty: the one that was shown.


class Passkey(Record, frozen=True):
    """A key in a device of the buyer's that signs them in."""

    id: PasskeyId
    name: str
    made_at: datetime
    used_at: datetime | None


class PasskeyPurpose(StrEnum):
    """What a browser is asked to do with a passkey."""

    MAKE = "make"  # For the account of the session.
    PROVE = "prove"  # Sign in, or confirm the session that is there.


class PasskeyAsk(Record, frozen=True):
    """Ask for what a browser needs to make or to show a passkey."""

    purpose: PasskeyPurpose
    browser: Browser
    token: str = ""  # What the browser came with.


class PasskeyStatus(StrEnum):
    """How asking for or adding one passkey ended. Where several would fit, the first is given."""

    DONE = "done"
    LIMITED = "limited"  # Too many from this network.
    FULL = "full"  # The buyer has as many as there may be.
    REFUSED = "refused"  # Not signed in, too old, used, forged, there already: nothing tells which.


class PasskeyOptions(Record, frozen=True):
    """What the browser's own dialogue is opened with: WebAuthn options, as JSON."""

    status: PasskeyStatus
    options: str = ""


class PasskeyEntry(Record, frozen=True):
    """Add the passkey that a browser has made to the account of its session."""

    credential: str  # As the browser gave it: WebAuthn's JSON.
    name: str
    browser: Browser
    token: str


class PasskeyProof(Record, frozen=True):
    """Show a passkey: it signs in, or confirms the session that is there."""

    credential: str  # As the browser gave it: WebAuthn's JSON.
    browser: Browser
    token: str = ""


class PasskeyDrop(Record, frozen=True):
    """Remove one passkey of a buyer's."""

    passkey: PasskeyId
    buyer: BuyerId


class Buyers(Protocol):
    """Accounts of buyers and their sessions, in batches."""

    async def request_codes(self, requests: Sequence[CodeRequest]) -> list[CodeResult]:
        """Send one-time codes; the answers never tell whether accounts exist."""
        ...

    async def redeem_codes(self, entries: Sequence[CodeEntry]) -> list[EntryResult]:
        """Sign in by right codes, each good once; the first sign-in makes the account."""
        ...

    async def ask_passkeys(self, asks: Sequence[PasskeyAsk]) -> list[PasskeyOptions]:
        """Give what browsers need to make or to show passkeys; each is good once, and there."""
        ...

    async def add_passkeys(self, entries: Sequence[PasskeyEntry]) -> list[PasskeyStatus]:
        """Add passkeys to the accounts of sessions."""
        ...

    async def redeem_passkeys(self, proofs: Sequence[PasskeyProof]) -> list[EntryResult]:
        """Sign in by passkeys, or confirm sessions of the same buyers."""
        ...

    async def list_passkeys(self, buyers: Sequence[BuyerId]) -> list[list[Passkey]]:
        """List buyers' passkeys, oldest first."""
        ...

    async def remove_passkeys(self, drops: Sequence[PasskeyDrop]) -> list[bool]:
        """Remove passkeys: they open nothing from now on; true where one was the buyer's."""
        ...

    async def read_sessions(
        self, queries: Sequence[BuyerSessionQuery]
    ) -> list[BuyerSession | None]:
        """Give who comes with each token; some get a new token to go on with."""
        ...

    async def list_sessions(self, buyers: Sequence[BuyerId]) -> list[list[BuyerSession]]:
        """List buyers' sessions, last seen first."""
        ...

    async def end_sessions(self, sessions: Sequence[BuyerSessionId]) -> list[bool]:
        """End sessions: their tokens open nothing from now on; true where one was open."""
        ...

    async def end_all_sessions(self, buyers: Sequence[BuyerId]) -> list[int]:
        """Sign buyers out everywhere; how many sessions that were."""
        ...

    async def choose_languages(self, choices: Sequence[tuple[BuyerId, str]]) -> list[bool]:
        """Remember buyers' languages; false: nobody."""
        ...

    async def forget_buyers(self, buyers: Sequence[BuyerId]) -> list[bool]:
        """Delete accounts with all that is theirs; true where one was there."""
        ...
