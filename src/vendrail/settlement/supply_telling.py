"""Who is told that agents gave money back: all who work for the supplier, once a minute at most."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from vendrail.api.identity import Identity, Person
from vendrail.api.notify import Message, Notify
from vendrail.kernel.clock import Clock
from vendrail.kernel.ids import derive, to_serial
from vendrail.kernel.locales import amount_text, nearest
from vendrail.settlement.store.supplies import BorneRefund, SupplyStore
from vendrail.settlement.teams import write_to_teams

_ROWS_MAX = 200


class SupplyTelling:
    """Tells of what suppliers bear; whatever breaks off is told again under the same numbers."""

    def __init__(
        self, store: SupplyStore, clock: Clock, identity: Identity, notify: Notify, public_url: str
    ) -> None:
        self._store = store
        self._clock = clock
        self._identity = identity
        self._notify = notify
        self._link = f"{public_url.rstrip('/')}/merchant/agents"

    async def tell_due(self) -> bool:
        """Write what nobody was told of, one letter a currency; true: there may be more."""
        found = await self._store.list_untold(_ROWS_MAX)
        if not found:
            return False
        groups: dict[tuple[UUID, str], list[BorneRefund]] = {}
        for each in found:
            groups.setdefault((each.supplier, each.currency), []).append(each)
        told = [(supplier, partial(self._letter, group)) for (supplier, _), group in groups.items()]
        await write_to_teams(self._identity, self._notify, told)
        await self._store.note_told([each.id for each in found], self._clock.now())
        return len(found) == _ROWS_MAX

    def _letter(self, group: Sequence[BorneRefund], person: Person) -> Message:
        locale = (nearest(person.locale) or "en").replace("-", "_")
        newest, sales = group[-1], {each.supply for each in group}
        amount_minor = sum(each.amount_minor for each in group)
        values = {
            "amount": amount_text(amount_minor, newest.currency, locale),
            "count": str(len(group)),
            "link": f"{self._link}/{to_serial(newest.supply)}" if len(sales) == 1 else self._link,
        }
        id = derive(newest.id, f"told:{person.id}")
        return Message(id, person.email, "supplied_refunded", person.locale, values)
