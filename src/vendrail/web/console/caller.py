"""Who asks for a page of a console: the browser, the person signed in in it, and where they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from vendrail.api.identity import Actor, ActorKind, Membership, Permission, Person, Session
from vendrail.kernel.numbers import bare
from vendrail.web.console.lists import ListFilters
from vendrail.web.storefront.front import Asked
from vendrail.web.visitor import Visitor

OPERATOR, MERCHANT, CONSOLE = "/operator", "/merchant", "/console"


@dataclass(frozen=True)
class Caller:
    """One request of somebody who is signed in, as the guard has let it through."""

    request: Asked
    visitor: Visitor
    session: Session
    token: str  # What opens the session from now on.
    membership: Membership | None  # What they are where the page belongs; on /console: anywhere.
    form: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)  # What the page is filled with again.
    filters: ListFilters | None = None  # What they have saved for the list that they ask for.

    @property
    def person(self) -> Person:
        """Give the person."""
        return self.session.person

    @property
    def merchant(self) -> UUID:
        """Give the merchant whose console this is; only on pages below /merchant."""
        if self.membership is None or self.membership.merchant is None:
            raise LookupError("This page belongs to no merchant.")
        return self.membership.merchant

    @property
    def actor(self) -> Actor:
        """Give the person as whoever acts, for the log."""
        origin = self.session.origin
        return Actor(ActorKind.PERSON, self.person.id, self.person.email, origin)

    @property
    def place(self) -> UUID | None:
        """Give the merchant whose console this is; None: the operator's."""
        return self.membership.merchant if self.membership is not None else None

    def may(self, permission: Permission) -> bool:
        """Whether the person may do something where they are."""
        return self.membership is not None and permission in self.membership.permissions

    def asked(self, name: str, length_max: int = 200) -> str:
        """Give a word of the address's query, bare and trimmed; empty where there is none."""
        return bare(self.request.query_params.get(name, ""))[:length_max]

    def part(self, name: str) -> str:
        """Give a part of the address's path."""
        return str(self.request.path_params[name])

    def written(self, name: str, length_max: int = 500) -> str:
        """Give a field of the form, trimmed; empty where there is none."""
        return self.form.get(name, "").strip()[:length_max]


def place_of(session: Session, path: str) -> Membership | None:
    """Give what the person is where a path belongs: the operator's, or the merchant chosen last."""
    memberships = session.person.memberships
    if _is_below(path, OPERATOR):
        return next((each for each in memberships if each.merchant is None), None)
    shops = [each for each in memberships if each.merchant is not None]
    chosen = next((each for each in shops if each.merchant == session.merchant), None)
    there = chosen or (shops[0] if shops else None)
    if _is_below(path, MERCHANT):
        return there
    return next((each for each in memberships if each.merchant is None), there)


def home_of(session: Session) -> str:
    """Give where a person begins: an operator at the platform's desk, others at their shop."""
    is_operator = any(each.merchant is None for each in session.person.memberships)
    return OPERATOR if is_operator else MERCHANT


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")
