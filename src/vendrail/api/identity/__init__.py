"""Identity: who a person or program is, what they may do, and what they did."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from vendrail.api.identity.acts import (
    NOT_DONE,
    Act,
    Actor,
    ActorKind,
    ActQuery,
    Origin,
    Proposal,
    ProposalState,
    ProposalVerdict,
    ProposalView,
    SealCheck,
)
from vendrail.api.identity.filters import (
    FILTER_NAME_LENGTH_MAX,
    FILTER_VALUE_LENGTH_MAX,
    FILTERS_MAX,
    FilterChange,
    FilterQuery,
    FilterStatus,
    SavedFilter,
)
from vendrail.api.identity.forms import (
    KEPT_FORM_BYTES_MAX,
    KEPT_FORM_LIFE,
    KeptForm,
    KeptFormQuery,
)
from vendrail.api.identity.passkeys import (
    StaffPasskey,
    StaffPasskeyAsk,
    StaffPasskeyDrop,
    StaffPasskeyEntry,
    StaffPasskeyOptions,
    StaffPasskeyProof,
    StaffPasskeyPurpose,
    StaffPasskeyResult,
    StaffPasskeyStatus,
)
from vendrail.api.identity.people import (
    ChangeStatus,
    Invitation,
    InviteResult,
    InviteStatus,
    Link,
    LinkKind,
    LinkUse,
    MemberChange,
    Membership,
    Merchant,
    PeopleQuery,
    Person,
    PersonChange,
    PersonState,
)
from vendrail.api.identity.programs import (
    ApiKey,
    ApiKeyChange,
    ApiKeyChangeStatus,
    ApiKeyResult,
    ApiKeyStatus,
    NewApiKey,
)
from vendrail.api.identity.registrations import (
    Application,
    ApplicationQuery,
    ApplicationState,
    ApplicationVerdict,
    PolicyStatus,
    RegistrationChange,
    RegistrationEntry,
    RegistrationMode,
    RegistrationPolicy,
    RegistrationRequest,
    RegistrationResult,
    RegistrationStatus,
    RequestStatus,
)
from vendrail.api.identity.roles import KEY_SCOPES, Permission, Role
from vendrail.api.identity.sessions import (
    PROOF_FRESH,
    FactorDraft,
    PasswordChange,
    Proof,
    ProofResult,
    ProofStatus,
    ResetRequest,
    Session,
    SessionQuery,
    SessionStage,
    SignIn,
)


class Identity(Protocol):
    """People, their sessions and factors, programs' keys, and the log of what all of them did."""

    async def sign_in(self, attempts: Sequence[SignIn]) -> list[ProofResult]:
        """Check passwords; an unknown address, a wrong password and a lock look and last alike."""
        ...

    async def read_sessions(self, queries: Sequence[SessionQuery]) -> list[Session | None]:
        """Give who comes with each token; a session's token changes by and by.

        A token that was replaced a while ago ends its session: somebody else has a copy.
        """
        ...

    async def choose_merchants(self, choices: Sequence[tuple[UUID, UUID]]) -> list[bool]:
        """Remember (session, merchant): whose console is opened next; false: not theirs."""
        ...

    async def choose_languages(self, choices: Sequence[tuple[UUID, str]]) -> list[bool]:
        """Remember (person, language): letters to them are written in it; false: nobody."""
        ...

    async def show_proofs(self, proofs: Sequence[Proof]) -> list[ProofResult]:
        """Check a second factor, or a password again: opens the session, and makes it fresh."""
        ...

    async def list_sessions(self, people: Sequence[UUID]) -> list[list[Session]]:
        """List people's sessions, last seen first."""
        ...

    async def end_sessions(self, sessions: Sequence[UUID]) -> list[bool]:
        """End sessions: their tokens open nothing from now on; true where one was open."""
        ...

    async def end_all_sessions(self, people: Sequence[UUID]) -> list[int]:
        """Sign people out everywhere; how many sessions that were."""
        ...

    async def draft_factors(self, tokens: Sequence[str]) -> list[FactorDraft | None]:
        """Make a second factor for each session's person: it counts once a code has been shown."""
        ...

    async def set_factors(self, proofs: Sequence[Proof]) -> list[ProofResult]:
        """Take the drafted factors into use by their first codes; gives recovery codes."""
        ...

    async def renew_recovery_codes(self, tokens: Sequence[str]) -> list[list[str]]:
        """Make new recovery codes in place of the old ones, in fresh sessions; else none."""
        ...

    async def ask_passkeys(self, asks: Sequence[StaffPasskeyAsk]) -> list[StaffPasskeyOptions]:
        """Give what browsers need to make or to show passkeys; each is good once, and there."""
        ...

    async def add_passkeys(self, entries: Sequence[StaffPasskeyEntry]) -> list[StaffPasskeyResult]:
        """Add passkeys to people: a first factor gives recovery codes and opens the session."""
        ...

    async def show_passkeys(self, proofs: Sequence[StaffPasskeyProof]) -> list[ProofResult]:
        """Sign in by passkeys alone, or prove by them who is in the session."""
        ...

    async def list_passkeys(self, people: Sequence[UUID]) -> list[list[StaffPasskey]]:
        """List people's passkeys, oldest first."""
        ...

    async def remove_passkeys(self, drops: Sequence[StaffPasskeyDrop]) -> list[StaffPasskeyStatus]:
        """Remove passkeys; all other sessions of the person end, the last second factor stays."""
        ...

    async def change_passwords(self, changes: Sequence[PasswordChange]) -> list[ProofResult]:
        """Set new passwords; all other sessions of the person end."""
        ...

    async def request_resets(self, requests: Sequence[ResetRequest]) -> list[ProofStatus]:
        """Send links by mail; whether there is such a person is not told."""
        ...

    async def invite_people(self, invitations: Sequence[Invitation]) -> list[InviteResult]:
        """Make links to join by, and mail them where a sender is; each for one person, once."""
        ...

    async def read_links(self, tokens: Sequence[str]) -> list[Link | None]:
        """Say what links are good for; None: used, withdrawn, too old or no link at all."""
        ...

    async def use_links(self, uses: Sequence[LinkUse]) -> list[ProofResult]:
        """Join, or set a password anew; each link once. Gives a session."""
        ...

    async def list_invitations(self, queries: Sequence[PeopleQuery]) -> list[list[Link]]:
        """List the invitations that are still open."""
        ...

    async def withdraw_links(
        self, links: Sequence[tuple[UUID, UUID | None]], by: Actor
    ) -> list[ChangeStatus]:
        """Withdraw invitations, each (link, merchant), before they are followed."""
        ...

    async def read_registration_policy(self) -> RegistrationPolicy:
        """Read who may become a merchant, and on which terms."""
        ...

    async def change_registration(
        self, changes: Sequence[RegistrationChange]
    ) -> list[PolicyStatus]:
        """Change who may become a merchant; other terms are the next version."""
        ...

    async def request_registrations(
        self, requests: Sequence[RegistrationRequest]
    ) -> list[RequestStatus]:
        """Send codes to who would like to sell; whether they are known here is not told."""
        ...

    async def register_merchants(
        self, entries: Sequence[RegistrationEntry]
    ) -> list[RegistrationResult]:
        """Take codes: each opens a merchant with its owner, or makes an application, once."""
        ...

    async def list_applications(
        self, queries: Sequence[ApplicationQuery]
    ) -> list[list[Application]]:
        """List applications, the oldest first; a short page is the last."""
        ...

    async def decide_applications(
        self, verdicts: Sequence[ApplicationVerdict]
    ) -> list[ChangeStatus]:
        """Invite whoever applied, or refuse them; both are told by letter."""
        ...

    async def list_people(self, queries: Sequence[PeopleQuery]) -> list[list[Person]]:
        """List who works somewhere, by name."""
        ...

    async def find_people(self, emails: Sequence[str]) -> list[Person | None]:
        """Find people by their address."""
        ...

    async def change_members(self, changes: Sequence[MemberChange]) -> list[ChangeStatus]:
        """Change what people may do somewhere; their sessions begin anew."""
        ...

    async def change_people(self, changes: Sequence[PersonChange]) -> list[ChangeStatus]:
        """Lock, unlock, take second factors off; what was open of theirs ends."""
        ...

    async def put_merchants(self, merchants: Sequence[Merchant]) -> list[bool]:
        """Name merchants; true where one is new."""
        ...

    async def list_merchants(self, merchants_max: int, after: Merchant | None) -> list[Merchant]:
        """List merchants by name, those after one; at most ten thousand at once."""
        ...

    async def make_api_keys(self, keys: Sequence[NewApiKey]) -> list[ApiKeyResult]:
        """Make keys for programs; a secret is told once, here."""
        ...

    async def list_api_keys(self, merchants: Sequence[UUID]) -> list[list[ApiKey]]:
        """List merchants' keys, the newest first."""
        ...

    async def revoke_api_keys(
        self, keys: Sequence[tuple[UUID, UUID]], by: Actor
    ) -> list[ChangeStatus]:
        """End keys, each (merchant, key)."""
        ...

    async def change_api_keys(self, changes: Sequence[ApiKeyChange]) -> list[ApiKeyChangeStatus]:
        """Say from which networks keys may come; known everywhere seconds later."""
        ...

    async def check_api_keys(self, secrets: Sequence[str]) -> list[ApiKey | None]:
        """Give the key that each secret is, as it was seconds ago; None: no such key any more."""
        ...

    async def list_filters(self, queries: Sequence[FilterQuery]) -> list[list[SavedFilter]]:
        """List the filters that people find saved for lists of a console, by name."""
        ...

    async def save_filters(self, saved: Sequence[SavedFilter]) -> list[FilterStatus]:
        """Save filters of lists for the people who asked; the same id is saved once."""
        ...

    async def change_filters(self, changes: Sequence[FilterChange]) -> list[FilterStatus]:
        """Name filters anew and share them, or no more: one's own, or shared ones by who staffs."""
        ...

    async def drop_filters(self, drops: Sequence[tuple[UUID, UUID]]) -> list[FilterStatus]:
        """Remove filters, each (person, filter), as they may be changed."""
        ...

    async def choose_default_filters(
        self, choices: Sequence[tuple[UUID, UUID, bool]]
    ) -> list[FilterStatus]:
        """Say, each (person, filter, whether), by which filter a person's list opens."""
        ...

    async def keep_forms(self, kept: Sequence[KeptForm]) -> list[bool]:
        """Keep forms for an hour; false: it is too large, or names no browser."""
        ...

    async def read_kept_forms(self, queries: Sequence[KeptFormQuery]) -> list[KeptForm | None]:
        """Read forms that were kept within the last hour; None: it is gone, or another's."""
        ...

    async def record_acts(self, acts: Sequence[Act]) -> list[bool]:
        """Write acts to the log, before they are done; the same id is written once."""
        ...

    async def list_acts(self, queries: Sequence[ActQuery]) -> list[list[Act]]:
        """Read pages of the log, newest first."""
        ...

    async def check_seals(self, after: int, seals_max: int) -> SealCheck:
        """Follow the chain from behind a seal's number: does each act still say what was sealed?"""
        ...

    async def propose_acts(self, proposals: Sequence[Proposal]) -> list[ProposalView]:
        """Put acts up for a second person; the same id is put up once."""
        ...

    async def decide_proposals(self, verdicts: Sequence[ProposalVerdict]) -> list[ChangeStatus]:
        """Approve or refuse: never the proposer, and only who holds the permission."""
        ...

    async def finish_proposals(self, proposals: Sequence[UUID]) -> list[ChangeStatus]:
        """Take approved proposals to be carried out: each once."""
        ...

    async def list_proposals(self, merchant: UUID | None, views_max: int) -> list[ProposalView]:
        """List proposals, the newest first."""
        ...


__all__ = [
    "FILTERS_MAX",
    "FILTER_NAME_LENGTH_MAX",
    "FILTER_VALUE_LENGTH_MAX",
    "KEPT_FORM_BYTES_MAX",
    "KEPT_FORM_LIFE",
    "KEY_SCOPES",
    "NOT_DONE",
    "PROOF_FRESH",
    "Act",
    "ActQuery",
    "Actor",
    "ActorKind",
    "ApiKey",
    "ApiKeyChange",
    "ApiKeyChangeStatus",
    "ApiKeyResult",
    "ApiKeyStatus",
    "Application",
    "ApplicationQuery",
    "ApplicationState",
    "ApplicationVerdict",
    "ChangeStatus",
    "FactorDraft",
    "FilterChange",
    "FilterQuery",
    "FilterStatus",
    "Identity",
    "Invitation",
    "InviteResult",
    "InviteStatus",
    "KeptForm",
    "KeptFormQuery",
    "Link",
    "LinkKind",
    "LinkUse",
    "MemberChange",
    "Membership",
    "Merchant",
    "NewApiKey",
    "Origin",
    "PasswordChange",
    "PeopleQuery",
    "Permission",
    "Person",
    "PersonChange",
    "PersonState",
    "PolicyStatus",
    "Proof",
    "ProofResult",
    "ProofStatus",
    "Proposal",
    "ProposalState",
    "ProposalVerdict",
    "ProposalView",
    "RegistrationChange",
    "RegistrationEntry",
    "RegistrationMode",
    "RegistrationPolicy",
    "RegistrationRequest",
    "RegistrationResult",
    "RegistrationStatus",
    "RequestStatus",
    "ResetRequest",
    "Role",
    "SavedFilter",
    "SealCheck",
    "Session",
    "SessionQuery",
    "SessionStage",
    "SignIn",
    "StaffPasskey",
    "StaffPasskeyAsk",
    "StaffPasskeyDrop",
    "StaffPasskeyEntry",
    "StaffPasskeyOptions",
    "StaffPasskeyProof",
    "StaffPasskeyPurpose",
    "StaffPasskeyResult",
    "StaffPasskeyStatus",
]
