"""Compliance: who a merchant is, looked at by a person, and what may be sold until then."""

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from vendrail.kernel.codec import Record

DossierId = NewType("DossierId", UUID)

UNKNOWN, PERSON, COMPANY = 0, 1, 2  # The tiers: nobody has looked, a person, a company.
TIERS = (UNKNOWN, PERSON, COMPANY)

# What each tier is asked for; a name that begins with ? may be left empty.
FIELDS: dict[int, tuple[str, ...]] = {
    PERSON: ("full_name", "birth_date", "person_number", "address", "phone"),
    COMPANY: (
        "company_name",
        "company_number",
        "?tax_number",
        "address",
        "full_name",
        "birth_date",
        "phone",
    ),
}
DOCUMENTS: dict[int, tuple[str, ...]] = {
    PERSON: ("identity", "?address_proof", "?other"),
    COMPANY: ("register_extract", "identity", "?ownership", "?address_proof", "?other"),
}
CHECKS: dict[int, tuple[str, ...]] = {  # What a person has looked at before they accept.
    PERSON: ("documents_genuine", "names_agree", "of_age", "lists_searched"),
    COMPANY: (
        "documents_genuine",
        "names_agree",
        "register_asked",
        "owners_known",
        "lists_searched",
    ),
}
REASONS = ("unreadable", "out_of_date", "names_differ", "document_missing", "not_served", "other")

# What the numbers that are checked are called where they are given.
PERSON_NUMBERS = {
    "BR": "CPF",
    "CN": "公民身份号码",
    "ES": "DNI / NIE",
    "IT": "Codice fiscale",
    "KR": "주민등록번호",
    "PL": "PESEL",
}
COMPANY_NUMBERS = {
    "AU": "ABN",
    "BR": "CNPJ",
    "CN": "统一社会信用代码",
    "ES": "NIF",
    "FR": "SIREN",
    "IT": "Partita IVA",
    "JP": "法人番号",
    "KR": "사업자등록번호",
    "PL": "NIP",
    "SG": "UEN",
    "TW": "統一編號",
    "US": "EIN",
}


# What tiers may do.


class TierBound(Record, frozen=True):
    """The most one order of a tier may cost, and thirty days may bring; None: any."""

    order_minor_max: int | None = None
    month_minor_max: int | None = None


class ComplianceTerms(Record, frozen=True):
    """One version of what is asked of merchants; the newest counts."""

    version: int  # 0: none was ever written.
    is_asked: bool  # False: nobody is asked, and everybody sells as before.
    currency: str
    bounds: list[TierBound]  # By tier.
    made_at: datetime | None = None
    person: str = ""
    reason: str = ""


class TermsChange(Record, frozen=True):
    """Other terms, written by whoever has seen a version."""

    after: int
    is_asked: bool
    currency: str
    bounds: list[TierBound]
    person: str
    reason: str


class TermsChangeStatus(StrEnum):
    """How writing terms ended. Where several would fit, the first listed is given."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    CHANGED_SINCE = "changed_since"  # Somebody else wrote a version meanwhile.
    FIELD_MALFORMED = "field_malformed"


class SalesBound(Record, frozen=True):
    """How much a merchant may sell by its tier; the merchant of all zeros: whoever has no other."""

    merchant: UUID
    currency: str
    order_minor_max: int | None
    month_minor_max: int | None


class Standing(Record, frozen=True):
    """What a merchant is known to be."""

    merchant: UUID
    tier: int
    is_asked: bool
    expires_on: date | None = None  # The last day of the tier; None: of tier 0, or without end.

    @property
    def has_payouts(self) -> bool:
        """Whether money may go out."""
        return not self.is_asked or self.tier > UNKNOWN


# Dossiers.


class DossierState(StrEnum):
    """How a dossier stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"  # A person looks at it.
    MORE_ASKED = "more_asked"  # The merchant is asked for more.
    ACCEPTED = "accepted"
    REFUSED = "refused"
    REPLACED = "replaced"  # Accepted, and a later one after it.
    REVOKED = "revoked"  # Accepted, and taken back.
    EXPIRED = "expired"


class FieldProblem(StrEnum):
    """What is wrong with a field. Where several would fit, the first listed is given."""

    MISSING = "missing"
    MALFORMED = "malformed"
    TOO_YOUNG = "too_young"  # Under eighteen.
    OF_ANOTHER = "of_another"  # The number tells of another day of birth.


class DocumentView(Record, frozen=True):
    """A document of a dossier, without what it holds."""

    id: UUID
    kind: str
    media_type: str
    size: int
    added_at: datetime


class DossierView(Record, frozen=True):
    """A dossier whole; its fields are personal data."""

    id: DossierId
    merchant: UUID
    tier: int
    country: str
    state: DossierState
    version: int
    made_at: datetime
    fields: dict[str, str]
    documents: list[DocumentView]
    submitted_at: datetime | None = None
    decided_at: datetime | None = None
    reasons: list[str] = []
    note: str = ""
    checks: list[str] = []
    expires_on: date | None = None
    is_erased: bool = False  # Its fields and documents were deleted.


class DossierHead(Record, frozen=True):
    """A dossier in a list: no personal data."""

    id: DossierId
    merchant: UUID
    tier: int
    country: str
    state: DossierState
    submitted_at: datetime | None
    decided_at: datetime | None
    expires_on: date | None


class SaveDossier(Record, frozen=True):
    """Begin a dossier under this id, or write its fields: whatever is there stays, right or not."""

    id: DossierId
    merchant: UUID
    tier: int
    country: str
    fields: dict[str, str]


class SaveStatus(StrEnum):
    """How writing a dossier ended. Where several would fit, the first listed is given."""

    SAVED = "saved"
    TIER_MALFORMED = "tier_malformed"
    COUNTRY_MALFORMED = "country_malformed"
    FIELD_MALFORMED = "field_malformed"  # No field of the tier's, or too long.
    NOT_THEIR_TURN = "not_their_turn"  # It is looked at, or decided.
    ANOTHER_IS_OPEN = "another_is_open"
    TOO_MANY = "too_many"


class AddDocument(Record, frozen=True):
    """A document for a dossier."""

    id: UUID
    dossier: DossierId
    merchant: UUID
    kind: str
    content: bytes


class DocumentStatus(StrEnum):
    """How adding a document ended. Where several would fit, the first listed is given."""

    ADDED = "added"
    EXISTS = "exists"
    KIND_UNKNOWN = "kind_unknown"
    CONTENT_REFUSED = "content_refused"  # Empty, too large, or neither a picture nor a PDF.
    NOT_THEIR_TURN = "not_their_turn"
    FULL = "full"


class RemoveDocument(Record, frozen=True):
    """A document that is taken out of a dossier."""

    id: UUID
    dossier: DossierId
    merchant: UUID


class DocumentQuery(Record, frozen=True):
    """A document of a dossier, for its merchant (None: for the operator)."""

    id: UUID
    dossier: DossierId
    merchant: UUID | None


class DocumentFile(Record, frozen=True):
    """A document opened."""

    kind: str
    media_type: str
    content: bytes


class SubmitDossier(Record, frozen=True):
    """A dossier that is to be looked at, as its merchant has seen it."""

    id: DossierId
    merchant: UUID
    version: int


class SubmitStatus(StrEnum):
    """How submitting ended. Where several would fit, the first listed is given."""

    SUBMITTED = "submitted"
    NOT_THEIR_TURN = "not_their_turn"
    CHANGED_SINCE = "changed_since"
    FIELDS_WRONG = "fields_wrong"
    DOCUMENT_MISSING = "document_missing"


class SubmitResult(Record, frozen=True):
    """How submitting ended, and what is still wrong."""

    status: SubmitStatus
    problems: dict[str, FieldProblem] = {}
    missing: list[str] = []  # Kinds of documents.


class DossierDecision(StrEnum):
    """What a person has made of a dossier."""

    ACCEPT = "accept"
    ASK_MORE = "ask_more"
    REFUSE = "refuse"
    REVOKE = "revoke"  # Of an accepted one.


class DossierVerdict(Record, frozen=True):
    """A decision on a dossier as it was seen."""

    id: DossierId
    version: int
    decision: DossierDecision
    person: str
    checks: list[str] = []
    reasons: list[str] = []
    note: str = ""  # The merchant reads it.
    expires_on: date | None = None  # Of what is accepted; None: as the platform's setting says.


class DecideStatus(StrEnum):
    """How deciding ended. Where several would fit, the first listed is given."""

    DECIDED = "decided"
    EXISTS = "exists"  # It was decided so before.
    DOSSIER_NOT_FOUND = "dossier_not_found"
    CHANGED_SINCE = "changed_since"
    NOT_POSSIBLE = "not_possible"  # Not in its state.
    CHECKS_MISSING = "checks_missing"
    REASON_MISSING = "reason_missing"
    DAY_MALFORMED = "day_malformed"  # Past, or too far.


class DossierQuery(Record, frozen=True):
    """A page of dossiers: those submitted, the longest wait first; else one merchant's, newest."""

    merchant: UUID | None = None
    after: DossierId | None = None
    dossiers_max: int = 50


class Compliance(Protocol):
    """Dossiers, tiers, and what tiers may do."""

    async def change_terms(self, changes: Sequence[TermsChange]) -> list[TermsChangeStatus]:
        """Write the next version of what is asked of merchants."""
        ...

    async def list_terms(self, versions_max: int) -> list[ComplianceTerms]:
        """Give the newest versions, the one that counts first; there always is one."""
        ...

    async def read_standings(self, merchants: Sequence[UUID]) -> list[Standing]:
        """Say what merchants are known to be now."""
        ...

    async def list_bounds(self) -> list[SalesBound]:
        """Say how much merchants may sell by their tiers; nothing where nobody is asked."""
        ...

    async def save_dossiers(self, dossiers: Sequence[SaveDossier]) -> list[SaveStatus]:
        """Begin dossiers, or write what is in them."""
        ...

    async def add_documents(self, documents: Sequence[AddDocument]) -> list[DocumentStatus]:
        """Seal documents into dossiers."""
        ...

    async def remove_documents(self, documents: Sequence[RemoveDocument]) -> list[bool]:
        """Delete documents, while their merchant may; says of each whether it is gone by this."""
        ...

    async def submit_dossiers(self, dossiers: Sequence[SubmitDossier]) -> list[SubmitResult]:
        """Hand dossiers to the people who look at them, if they are whole."""
        ...

    async def decide_dossiers(self, verdicts: Sequence[DossierVerdict]) -> list[DecideStatus]:
        """Write what a person has made of dossiers; tiers rise and fall with it."""
        ...

    async def read_dossiers(
        self, dossiers: Sequence[tuple[DossierId, UUID | None]]
    ) -> list[DossierView | None]:
        """Read dossiers whole, each (dossier, its merchant; None: for the operator)."""
        ...

    async def list_dossiers(self, queries: Sequence[DossierQuery]) -> list[list[DossierHead]]:
        """List dossiers."""
        ...

    async def read_documents(self, queries: Sequence[DocumentQuery]) -> list[DocumentFile | None]:
        """Open documents."""
        ...
