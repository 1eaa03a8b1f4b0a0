"""Who is told of deposits: all who work for a merchant, when asked, taken from, given back."""

from functools import partial
from uuid import UUID

from vendrail.api.identity import Identity, Person
from vendrail.api.notify import Message, Notify
from vendrail.api.settlement import DepositKind, DepositMove, DepositTerms
from vendrail.kernel.clock import Clock
from vendrail.kernel.ids import derive, named_id
from vendrail.kernel.locales import amount_text, nearest
from vendrail.settlement.store.deposits import DepositStore
from vendrail.settlement.teams import write_to_teams

_ROWS_MAX = 32


class DepositTelling:
    """Tells of deposits; whatever breaks off is told again under the same numbers."""

    def __init__(
        self, store: DepositStore, clock: Clock, identity: Identity, notify: Notify, public_url: str
    ) -> None:
        self._store = store
        self._clock = clock
        self._identity = identity
        self._notify = notify
        self._link = f"{public_url.rstrip('/')}/merchant/deposit"

    async def tell_due(self) -> bool:
        """Write what nobody was told of; true: there may be more."""
        terms = await self._store.list_untold_terms(_ROWS_MAX)
        moves = await self._store.list_untold_moves(_ROWS_MAX)
        if not terms and not moves:
            return False
        # What was asked for and is not any more is told by what is asked for now.
        asked = [
            (named_id(f"deposit_terms/{version}"), each)
            for version, each, is_newest in terms
            if is_newest and each.amount_minor
        ]
        told = [(each.merchant, partial(self._of_terms, id, each)) for id, each in asked]
        told += [(each.merchant, partial(self._of_move, each)) for each in moves]
        await write_to_teams(self._identity, self._notify, told)
        versions, ids = [version for version, _, _ in terms], [each.id for each in moves]
        await self._store.note_told(versions, ids, self._clock.now())
        return max(len(terms), len(moves)) == _ROWS_MAX

    def _of_terms(self, id: UUID, each: DepositTerms, person: Person) -> Message:
        values = {
            "amount": _amount(each.amount_minor, each.currency, person),
            "days": str(each.return_days),
            "link": self._link_of(each.currency),
        }
        return _letter(id, "deposit_asked", person, values)

    def _of_move(self, each: DepositMove, person: Person) -> Message:
        values = {
            "amount": _amount(each.moved_minor, each.currency, person),
            "reason": each.reason,
            "link": self._link_of(each.currency),
        }
        return _letter(each.id, _template(each), person, values)

    def _link_of(self, currency: str) -> str:
        return f"{self._link}?currency={currency}"


def _letter(id: UUID, template: str, person: Person, values: dict[str, str]) -> Message:
    number = derive(id, f"{template}:{person.id}")
    return Message(number, person.email, template, person.locale, values)


def _template(each: DepositMove) -> str:
    return "deposit_taken" if each.kind is DepositKind.TAKEN else "deposit_returned"


def _amount(amount_minor: int, currency: str, person: Person) -> str:
    locale = (nearest(person.locale) or "en").replace("-", "_")
    return amount_text(amount_minor, currency, locale)
