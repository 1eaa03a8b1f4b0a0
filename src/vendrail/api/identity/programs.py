"""Programs: the keys with which they use a merchant's part of the API."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from vendrail.api.identity.acts import Actor
from vendrail.api.identity.roles import Permission
from vendrail.kernel.codec import Record


class ApiKey(Record, frozen=True):
    """A program's key to a merchant's part of the API; its secret is nowhere."""

    id: UUID
    merchant: UUID
    name: str
    scopes: list[Permission]
    prefix: str = ""
    made_by: str = ""
    made_at: datetime | None = None
    ends_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None
    networks: list[str] = []  # From where it opens anything, as CIDR; empty: from anywhere.


class NewApiKey(Record, frozen=True):
    """A key to be made."""

    key: ApiKey
    by: Actor


class ApiKeyStatus(StrEnum):
    """How making a key ended."""

    MADE = "made"
    EXISTS = "exists"
    NAME_MALFORMED = "name_malformed"
    SCOPES_MALFORMED = "scopes_malformed"
    NETWORKS_MALFORMED = "networks_malformed"
    TOO_MANY = "too_many"
    NOT_ALLOWED = "not_allowed"


class ApiKeyResult(Record, frozen=True):
    """How it ended; `secret` is the whole key, and never told again."""

    status: ApiKeyStatus
    secret: str = ""
    prefix: str = ""


class ApiKeyChange(Record, frozen=True):
    """Says anew from which networks a key may come."""

    merchant: UUID
    key: UUID
    networks: list[str]
    by: Actor


class ApiKeyChangeStatus(StrEnum):
    """How changing a key ended."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    NETWORKS_MALFORMED = "networks_malformed"
    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
