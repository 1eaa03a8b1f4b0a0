"""Who is told of deposits: all who work for a merchant, when asked, taken from, given back."""

from collections.abc import Callable, Mapping

from vendrail.api.identity import Identity, PeopleQuery, Person, PersonState
from vendrail.api.notify import Message, MessageStatus, Notify
from vendrail.api.settlement import DepositKind, DepositMove, DepositTerms
from vendrail.kernel.clock import Clock
from vendrail.kernel.ids import derive, named_id
from vendrail.kernel.locales import amount_text, nearest
from vendrail.settlement.store.deposits import DepositStore

_ROWS_MAX = 32
Values = Callable[[Person], Mapping[str, str]]


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
        whose = [each.merchant for _, each in asked] + [each.merchant for each in moves]
        teams = await self._identity.list_people([PeopleQuery(merchant) for merchant in whose])
        told = [(id, "deposit_asked", self._of_terms(each)) for id, each in asked]
        told += [(each.id, _template(each), self._of_move(each)) for each in moves]
        letters = [
            Message(
                derive(id, f"{template}:{person.id}"),
                person.email,
                template,
                person.locale,
                dict(values(person)),
            )
            for (id, template, values), team in zip(told, teams, strict=True)
            for person in team
            if person.state is PersonState.ACTIVE
        ]
        if letters:
            statuses = await self._notify.send_messages(letters)
            assert MessageStatus.TEMPLATE_UNKNOWN not in statuses
        versions, ids = [version for version, _, _ in terms], [each.id for each in moves]
        await self._store.note_told(versions, ids, self._clock.now())
        return max(len(terms), len(moves)) == _ROWS_MAX

    def _of_terms(self, each: DepositTerms) -> Values:
        return lambda person: {
            "amount": _amount(each.amount_minor, each.currency, person),
            "days": str(each.return_days),
            "link": self._link_of(each.currency),
        }

    def _of_move(self, each: DepositMove) -> Values:
        return lambda person: {
            "amount": _amount(each.moved_minor, each.currency, person),
            "reason": each.reason,
            "link": self._link_of(each.currency),
        }

    def _link_of(self, currency: str) -> str:
        return f"{self._link}?currency={currency}"


def _template(each: DepositMove) -> str:
    return "deposit_taken" if each.kind is DepositKind.TAKEN else "deposit_returned"


def _amount(amount_minor: int, currency: str, person: Person) -> str:
    locale = (nearest(person.locale) or "en").replace("-", "_")
    return amount_text(amount_minor, currency, locale)
