"""What each role permits, and which changes to people may be made. Pure."""

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network

from vendrail.api.identity import (
    FILTER_NAME_LENGTH_MAX,
    FILTER_VALUE_LENGTH_MAX,
    KEPT_FORM_BYTES_MAX,
    ActorKind,
    FilterStatus,
    Invitation,
    InviteStatus,
    KeptForm,
    MemberChange,
    Membership,
    Permission,
    Person,
    PolicyStatus,
    ProposalState,
    ProposalVerdict,
    ProposalView,
    RegistrationChange,
    RegistrationMode,
    RegistrationPolicy,
    Role,
    SavedFilter,
)
from vendrail.api.identity import ChangeStatus as Changed
from vendrail.api.identity.filters import FILTER_FIELDS_MAX
from vendrail.kernel.codec import replace

_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9-]+(\.[a-z0-9-]+)+")
_EMAIL_LENGTH_MAX = 254
NAME_LENGTH_MAX = 80
NETWORKS_MAX = 50
_PAGE = re.compile(r"(/[A-Za-z0-9-]+){1,6}")
_PAGE_LENGTH_MAX = 200
_FIELD = re.compile(r"[a-z_]{1,20}")
_MAPPED_BITS = 96  # Before an IPv4 address inside an IPv6 one.

_SELLER = {
    Permission.OVERVIEW_READ,
    Permission.PRODUCTS_READ,
    Permission.PRODUCTS_WRITE,
    Permission.KEYS_READ,
    Permission.KEYS_WRITE,
    Permission.ORDERS_READ,
}
_MERCHANT_SUPPORT = {
    Permission.OVERVIEW_READ,
    Permission.PRODUCTS_READ,
    Permission.KEYS_READ,
    Permission.ORDERS_READ,
    Permission.ORDERS_WRITE,
}
_MERCHANT_FINANCE = {
    Permission.OVERVIEW_READ,
    Permission.PRODUCTS_READ,
    Permission.ORDERS_READ,
    Permission.REFUNDS_WRITE,
    Permission.BALANCE_READ,
    Permission.PAYOUTS_WRITE,
    Permission.AUDIT_READ,
}
_OPERATOR_SUPPORT = {
    Permission.OVERVIEW_READ,
    Permission.PRODUCTS_READ,
    Permission.ORDERS_READ,
    Permission.ORDERS_WRITE,
    Permission.MERCHANTS_READ,
    Permission.SYSTEM_READ,
}
_OPERATOR_RISK = {
    Permission.OVERVIEW_READ,
    Permission.PRODUCTS_READ,
    Permission.ORDERS_READ,
    Permission.REVIEWS_WRITE,
    Permission.COMPLIANCE_WRITE,
    Permission.MERCHANTS_READ,
    Permission.AUDIT_READ,
}
_OPERATOR_FINANCE = {
    Permission.OVERVIEW_READ,
    Permission.ORDERS_READ,
    Permission.ORDERS_WRITE,
    Permission.REFUNDS_WRITE,
    Permission.BALANCE_READ,
    Permission.PAYOUTS_WRITE,
    Permission.UNMATCHED_WRITE,
    Permission.SAGAS_WRITE,
    Permission.CHANNELS_READ,
    Permission.MERCHANTS_READ,
    Permission.AUDIT_READ,
}
_OWNER = {
    *_SELLER,
    *_MERCHANT_SUPPORT,
    *_MERCHANT_FINANCE,
    Permission.KEYS_EXPORT,
    Permission.SHOP_WRITE,
    Permission.VERIFICATION_WRITE,
    Permission.STAFF_READ,
    Permission.STAFF_WRITE,
    Permission.API_KEYS_WRITE,
    Permission.WEBHOOKS_READ,
    Permission.WEBHOOKS_WRITE,
}
_OPERATOR_ADMIN = {
    *_OPERATOR_SUPPORT,
    *_OPERATOR_RISK,
    *_OPERATOR_FINANCE,
    Permission.STAFF_READ,
    Permission.STAFF_WRITE,
    Permission.CHANNELS_WRITE,
    Permission.MERCHANTS_WRITE,
}

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(_OWNER),
    Role.SELLER: frozenset(_SELLER),
    Role.FINANCE: frozenset(_MERCHANT_FINANCE),
    Role.SUPPORT: frozenset(_MERCHANT_SUPPORT),
    Role.OPERATOR_ADMIN: frozenset(_OPERATOR_ADMIN),
    Role.OPERATOR_FINANCE: frozenset(_OPERATOR_FINANCE),
    Role.OPERATOR_RISK: frozenset(_OPERATOR_RISK),
    Role.OPERATOR_SUPPORT: frozenset(_OPERATOR_SUPPORT),
}
_HEADS = (Role.OWNER, Role.OPERATOR_ADMIN)  # Who lets others in: one of them must stay.


def clean_email(text: str) -> str | None:
    """Give an address as it is kept and compared; None where it is none."""
    cleaned = text.strip().lower()
    is_short = len(cleaned) <= _EMAIL_LENGTH_MAX
    return cleaned if is_short and _EMAIL.fullmatch(cleaned) else None


def clean_name(text: str, email: str) -> str:
    """Give a person's name on one line; without one, what their address begins with."""
    cleaned = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return cleaned[:NAME_LENGTH_MAX] or email.partition("@")[0]


def clean_networks(texts: Iterable[str]) -> list[str] | None:
    """Give networks as they are kept, each once; None: one is none, or they are too many.

    An address is a network of one. Bits behind the mask are refused: 10.0.0.5/8 was meant narrower.
    """
    found: dict[str, None] = {}
    for text in texts:
        try:
            network = ip_network(text.strip())
        except ValueError:
            return None
        if "%" in text:
            return None  # A zone is a name of one machine's own.
        if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
            inside = network.network_address.ipv4_mapped  # As whoever comes from there is seen.
            network = IPv4Network((inside, network.prefixlen - _MAPPED_BITS)) if inside else network
        found[str(network)] = None
        if len(found) > NETWORKS_MAX:
            return None
    return list(found)


def with_permissions(person: Person) -> Person:
    """Add to each membership what its role permits."""
    return replace(
        person,
        memberships=[
            replace(each, permissions=sorted(PERMISSIONS[each.role])) for each in person.memberships
        ],
    )


def is_operator(person: Person) -> bool:
    """Whether the person works for the operator, who needs a second factor."""
    return any(each.merchant is None for each in person.memberships)


def needs_factor(person: Person) -> bool:
    """Whether a password alone opens nothing: for operators, and who came by themselves."""
    return is_operator(person) or person.needs_second_factor


def policy(
    change: RegistrationChange, terms: str, before: RegistrationPolicy, terms_length_max: int
) -> PolicyStatus:
    """Say whether merchants may come by these terms in this way."""
    mode = change.mode
    if (mode, terms) == (before.mode, before.terms):
        return PolicyStatus.UNCHANGED
    if change.mode_before not in (None, before.mode):
        return PolicyStatus.MODE_OTHER
    if len(terms) > terms_length_max:
        return PolicyStatus.TERMS_TOO_LONG
    if mode is not RegistrationMode.INVITATION and not terms:
        return PolicyStatus.TERMS_MISSING
    return PolicyStatus.CHANGED


def fits_side(role: Role, *, is_operator_side: bool) -> bool:
    """Whether a role is one of the operator's, or of merchants'."""
    return role.value.startswith("operator_") is is_operator_side


def may_staff(by: Person | None, kind: ActorKind, membership: Membership | None) -> bool:
    """Whether somebody may let people in there, or change them: command line, head or operator.

    `membership` is that of `by` at the place in question, if there is one.
    """
    if kind in (ActorKind.COMMAND_LINE, ActorKind.SYSTEM):
        return True
    if kind is not ActorKind.PERSON or by is None:
        return False
    return membership is not None and Permission.STAFF_WRITE in PERMISSIONS[membership.role]


def may_invite(by: Person | None, new: Invitation) -> bool:
    """Whether the invitation may be made: by a head of the place, or an operator for merchants."""
    if by is not None and new.merchant is not None:
        operator = membership_at(by, None)
        if operator is not None and Permission.MERCHANTS_WRITE in PERMISSIONS[operator.role]:
            return True
    there = membership_at(by, new.merchant) if by is not None else None
    return may_staff(by, new.by.kind, there)


def membership_at(person: Person, merchant: object) -> Membership | None:
    """Give what a person is at a merchant, or (None) for the operator."""
    return next((each for each in person.memberships if each.merchant == merchant), None)


def invite(
    new: Invitation, by: Person | None, invited: Person | None, *, is_merchant_known: bool
) -> InviteStatus:
    """Say whether an invitation may be made."""
    if clean_email(new.email) is None:
        return InviteStatus.EMAIL_MALFORMED
    if not fits_side(new.role, is_operator_side=new.merchant is None):
        return InviteStatus.ROLE_MALFORMED
    if not may_invite(by, new):
        return InviteStatus.NOT_ALLOWED
    is_new_merchant_allowed = bool(new.merchant_name.strip()) and (
        by is None or membership_at(by, None) is not None
    )
    if new.merchant is not None and not (is_merchant_known or is_new_merchant_allowed):
        return InviteStatus.MERCHANT_NOT_FOUND
    if invited is not None and membership_at(invited, new.merchant) is not None:
        return InviteStatus.MEMBER_ALREADY
    return InviteStatus.INVITED


def change_member(change: MemberChange, by: Person | None, members: Iterable[Person]) -> Changed:
    """Say whether a member may become something else, or leave; `members` are all of the place."""
    everyone = {person.id: membership_at(person, change.merchant) for person in members}
    there = everyone.get(change.person)
    if there is None:
        return Changed.NOT_FOUND
    is_operator_side = change.merchant is None
    if change.role and not fits_side(change.role, is_operator_side=is_operator_side):
        return Changed.ROLE_MALFORMED
    if not may_staff(by, change.by.kind, membership_at(by, change.merchant) if by else None):
        return Changed.NOT_ALLOWED
    if change.role is there.role:
        return Changed.UNCHANGED
    heads = [id for id, each in everyone.items() if each is not None and each.role in _HEADS]
    if heads == [change.person] and change.role not in _HEADS:
        return Changed.LAST_OF_ITS_KIND
    return Changed.CHANGED


def decide_proposal(
    view: ProposalView | None, verdict: ProposalVerdict, by: Person | None
) -> Changed:
    """Say whether somebody may approve or refuse: another than who put it up, with permission."""
    if view is None:
        return Changed.NOT_FOUND
    if view.state is not ProposalState.OPEN:
        return Changed.UNCHANGED
    put = view.proposal
    there = membership_at(by, put.merchant) or membership_at(by, None) if by else None
    if there is None or put.permission not in PERMISSIONS[there.role]:
        return Changed.NOT_ALLOWED
    # The proposer may take it back, but a second person must say yes.
    if verdict.is_approved and verdict.by.id == put.by.id:
        return Changed.NOT_ALLOWED
    return Changed.CHANGED


def is_filter_name(name: str) -> bool:
    """Whether a saved filter may be called so; `name` without spaces around it."""
    return 1 <= len(name) <= FILTER_NAME_LENGTH_MAX and name.isprintable()


def save_filter(new: SavedFilter) -> FilterStatus:
    """Say whether a filter is one, whatever its list makes of it."""
    if not is_filter_name(new.name):
        return FilterStatus.NAME_MALFORMED
    is_page = len(new.page) <= _PAGE_LENGTH_MAX and _PAGE.fullmatch(new.page)
    is_query = 1 <= len(new.query) <= FILTER_FIELDS_MAX and all(
        _FIELD.fullmatch(name) and 1 <= len(value) <= FILTER_VALUE_LENGTH_MAX and "\0" not in value
        for name, value in new.query.items()
    )
    return FilterStatus.DONE if is_page and is_query else FilterStatus.QUERY_MALFORMED


def may_keep(new: KeptForm) -> bool:
    """Whether a form may be kept: of a browser that can be known again, and not too large."""
    told = sum(len(part.encode()) for pair in new.fields.items() for part in pair)
    return bool(new.browser) and new.address.startswith("/") and told <= KEPT_FORM_BYTES_MAX
