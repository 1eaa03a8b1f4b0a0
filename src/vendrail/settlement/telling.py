"""Who is told of fees that change by themselves: the log first, then everybody who works there."""

from functools import partial

from vendrail.api.identity import Act, Actor, ActorKind, Identity, Person
from vendrail.api.notify import Message, Notify
from vendrail.api.settlement import FeeAdjustment
from vendrail.kernel.ids import derive, to_serial
from vendrail.kernel.money import to_text
from vendrail.settlement.store.adjustments import AdjustmentStore
from vendrail.settlement.teams import write_to_teams

_ROWS_MAX = 32
_PERCENT = "CNY"  # Two places, as hundredths of a percent have.
_BY = Actor(ActorKind.SYSTEM, None, "fees")


class FeeTelling:
    """Tells of adjustments; whatever breaks off is told again under the same numbers."""

    def __init__(
        self, store: AdjustmentStore, identity: Identity, notify: Notify, public_url: str
    ) -> None:
        self._store = store
        self._identity = identity
        self._notify = notify
        self._link = f"{public_url.rstrip('/')}/merchant/fees"

    async def tell_due(self) -> bool:
        """Log and write what nobody was told of; true: there may be more."""
        found = await self._store.list_untold(_ROWS_MAX)
        if not found:
            return False
        # What was ended before anybody was told was made all the same; again, it is one act.
        await self._identity.record_acts([_act(each) for each in found])
        told = [
            (each.merchant, partial(self._letter, each))
            for each in found
            if each.overtaken_at is None  # Nothing changes by it, whether they heard of it or not.
        ]
        await write_to_teams(self._identity, self._notify, told)
        await self._store.note_told(found)
        return len(found) == _ROWS_MAX

    def _letter(self, each: FeeAdjustment, person: Person) -> Message:
        step, template = ("back", "fee_kept") if _is_back(each) else ("told", "fee_changing")
        return Message(
            derive(each.id, f"{step}:{person.id}"),
            person.email,
            template,
            person.locale,
            {
                "before": _percent(each.before_basis_points),
                "after": _percent(each.basis_points),
                "currency": each.currency,
                "day": f"{each.valid_from:%Y-%m-%d}",
                "link": self._link,
            },
        )


def _is_back(each: FeeAdjustment) -> bool:
    return each.taken_back_at is not None


def _act(each: FeeAdjustment) -> Act:
    """Say in the log what was applied, and out of what."""
    return Act(
        derive(each.id, "act"),
        _BY,
        "fee_adjustment.made",
        f"merchant:{to_serial(each.merchant)}",
        each.merchant,
        {"basis_points": str(each.before_basis_points)},
        {
            "basis_points": str(each.basis_points),
            "currency": each.currency,
            "valid_from": each.valid_from.isoformat(),
            **{part.cause.value: str(part.basis_points) for part in each.parts},
        },
        "suggested within the bounds, where that is allowed",
    )


def _percent(basis_points: int) -> str:
    return f"{to_text(basis_points, _PERCENT)} %"
