"""Domains: hosts of merchants' own under which the platform shows their shops, once proven."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from vendrail.kernel.codec import Record

DomainId = NewType("DomainId", UUID)

RECORD_LABEL = "_vendrail"  # Below this name of a host its owner shows the token …
RECORD_PREFIX = "vendrail="  # … written after this.


class DomainState(StrEnum):
    """How a domain stands."""

    WAITING = "waiting"  # Nobody has proven it for this shop yet.
    ACTIVE = "active"  # Proven: requests for its host show the shop.
    LOST = "lost"  # It was active, and its proof is gone.


class Finding(StrEnum):
    """What the last look at a domain's record has found."""

    NOT_ASKED = "not_asked"
    PROVEN = "proven"
    NO_RECORD = "no_record"
    OTHER_RECORD = "other_record"  # There is a text, and it is not the token's.
    UNANSWERED = "unanswered"  # Whoever was asked did not answer: it says nothing of the record.


class Domain(Record, frozen=True):
    """A host that a merchant says is theirs, and what is known of that."""

    id: DomainId
    merchant: UUID
    shop: UUID
    host: str  # As DNS writes it: lower case, `xn--` where it is not ASCII.
    token: str
    state: DomainState
    made_at: datetime
    finding: Finding = Finding.NOT_ASKED
    is_taken: bool = False  # It was proven, while another shop still had the host.
    checked_at: datetime | None = None
    proven_at: datetime | None = None
    failing_since: datetime | None = None  # Since when an active one is without its proof.
    lost_at: datetime | None = None

    @property
    def record_name(self) -> str:
        """Give the name of the TXT record that proves it."""
        return f"{RECORD_LABEL}.{self.host}"

    @property
    def record_text(self) -> str:
        """Give the text that the record must have."""
        return f"{RECORD_PREFIX}{self.token}"


class NewDomain(Record, frozen=True):
    """A host as a merchant has typed it, for one of their shops."""

    merchant: UUID
    shop: UUID
    host: str


class AddStatus(StrEnum):
    """How adding one domain ended. Where several would fit, the first listed is given."""

    ADDED = "added"
    EXISTS = "exists"  # The shop has it already: it stays as it is.
    HOST_MALFORMED = "host_malformed"
    HOST_OWN = "host_own"  # It is the platform's, or below it.
    SHOP_NOT_FOUND = "shop_not_found"
    TOO_MANY = "too_many"
    TOO_MANY_TODAY = "too_many_today"  # Of the merchant's, within a day; what is gone counts too.


class DomainAdded(Record, frozen=True):
    """How adding ended, with the domain where there is one."""

    status: AddStatus
    domain: Domain | None = None


class DomainName(Record, frozen=True):
    """A domain of a merchant."""

    id: DomainId
    merchant: UUID


class DomainCheckStatus(StrEnum):
    """How looking for one proof ended. Where several would fit, the first listed is given."""

    NOT_FOUND = "not_found"
    TOO_SOON = "too_soon"  # It was looked at a moment ago: that still stands.
    CHECKED = "checked"


class DomainChecked(Record, frozen=True):
    """How a look ended, with the domain as it is after it."""

    status: DomainCheckStatus
    domain: Domain | None = None


class ShopHost(Record, frozen=True):
    """An active domain, as whoever routes requests needs it."""

    host: str
    merchant: UUID
    shop: UUID
    slug: str


class Domains(Protocol):
    """Claims on hosts, their proofs, and which host shows which shop, in batches."""

    async def add_domains(self, domains: Sequence[NewDomain]) -> list[DomainAdded]:
        """Write claims down and give their tokens; a claim alone keeps nobody from the host."""
        ...

    async def check_domains(self, domains: Sequence[DomainName]) -> list[DomainChecked]:
        """Look for proofs now; who proves a host that is free has it from then on."""
        ...

    async def remove_domains(self, domains: Sequence[DomainName]) -> list[bool]:
        """Take claims back; true where one was there. Its host shows the shop no more."""
        ...

    async def list_domains(self, merchants: Sequence[UUID]) -> list[list[Domain]]:
        """List merchants' domains, the oldest first."""
        ...

    async def list_hosts(self) -> list[ShopHost]:
        """List all active domains, those proven first before others of the same shop."""
        ...
