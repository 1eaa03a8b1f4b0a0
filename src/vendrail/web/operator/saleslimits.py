"""Sales limits: how much a merchant may sell until an operator knows them better."""

from collections.abc import Mapping
from uuid import UUID

from vendrail.api.catalog import EVERYBODY, MerchantId, PutStatus, SalesLimit
from vendrail.api.identity import Permission
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial
from vendrail.kernel.money import from_text, to_text
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk
from vendrail.web.operator.deeds import Deed, Deeds, Said
from vendrail.web.operator.files import read_id

_LIMITED = "sales.limited"
_KINDS = ("as_everybody", "none", "bounds")
_BOUNDS = ("order_minor_max", "month_minor_max")
_SAID = {
    PutStatus.CREATED: Said.SAVED,
    PutStatus.CHANGED: Said.SAVED,
    PutStatus.UNCHANGED: Said.EXISTS,
}


class SalesLimits:
    """Writes limits, for a merchant or for everybody: one narrows them, two people widen them."""

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._deeds = deeds
        self._catalog, self._compliance = desk.apis.catalog, desk.apis.compliance
        self._currency = desk.front.settings.default_currency
        deeds.add(Deed(_LIMITED, Permission.COMPLIANCE_WRITE, self._run))

    async def find(self, merchant: UUID) -> SalesLimit | None:
        """Give a merchant's own limit, or (all zeros) everybody's."""
        return next((e for e in await self._catalog.list_limits() if e.merchant == merchant), None)

    async def _fallback(self, merchant: UUID) -> SalesLimit | None:
        """Give what counts for a merchant without a limit: its tier's, or everybody's."""
        if merchant == EVERYBODY:
            return None
        tiers = {each.merchant: each for each in await self._compliance.list_bounds()}
        if not tiers:
            return await self.find(EVERYBODY)
        found = tiers.get(merchant) or tiers[EVERYBODY]
        return SalesLimit(
            MerchantId(merchant), found.currency, found.order_minor_max, found.month_minor_max
        )

    async def change(self, caller: Caller, merchant: UUID) -> Said:
        """Write what the form says."""
        kind = caller.written("kind", 20)
        if kind not in _KINDS:
            return Said.NO_BOUND
        try:
            bounds = {
                f"{name}_minor_max": str(from_text(text, self._currency))
                for name in ("order", "month")
                if kind == "bounds" and (text := caller.written(f"{name}_max", 20))
            }
        except Malformed:
            return Said.NO_BOUND
        if kind == "bounds" and (not bounds or any(int(each) <= 0 for each in bounds.values())):
            return Said.NO_BOUND
        before, fallback = await self.find(merchant), await self._fallback(merchant)
        told = {
            "merchant": to_serial(merchant),
            "limit": kind,
            "limit_currency": self._currency,
            **bounds,
        }
        after = _as_limit(MerchantId(merchant), told)
        return await self._deeds.do(
            caller,
            _LIMITED,
            f"merchant:{to_serial(merchant)}",
            {**told, "was": _as_word(before), "otherwise": _as_word(fallback)},
            is_joint=_is_wider(before or fallback, after if after.currency else fallback),
            before=_as_told(before),
            merchant=merchant if merchant != EVERYBODY else None,
        )

    async def _run(self, told: Mapping[str, str], _person: str) -> Said:
        merchant = read_id(told["merchant"])
        if merchant is None:
            return Said.NOT_FOUND
        standing = (await self.find(merchant), await self._fallback(merchant))
        if tuple(map(_as_word, standing)) != (told["was"], told["otherwise"]):
            return Said.OTHERWISE  # Whoever approves has read of another limit.
        [status] = await self._catalog.put_limits([_as_limit(MerchantId(merchant), told)])
        return _SAID.get(status, Said.NO_BOUND)


def as_written(limit: SalesLimit | None) -> dict[str, str]:
    """Give a limit as the form's fields hold it."""
    if limit is None:
        return {"kind": "as_everybody", "order_max": "", "month_max": ""}
    bounds = {"order_max": limit.order_minor_max, "month_max": limit.month_minor_max}
    return {
        "kind": "bounds" if limit.is_bounded else "none",
        **{name: to_text(n, limit.currency) if n else "" for name, n in bounds.items()},
    }


def _as_limit(merchant: MerchantId, told: Mapping[str, str]) -> SalesLimit:
    return SalesLimit(
        merchant,
        told["limit_currency"] if told["limit"] != "as_everybody" else "",
        *(int(told[name]) if name in told else None for name in _BOUNDS),
    )


def _is_wider(before: SalesLimit | None, after: SalesLimit | None) -> bool:
    """Tell whether anything may be sold that could not before; another currency always may."""
    if before is None or not before.is_bounded:
        return False
    if after is None or not after.is_bounded or before.currency != after.currency:
        return True
    pairs = (
        (before.order_minor_max, after.order_minor_max),
        (before.month_minor_max, after.month_minor_max),
    )
    return any(old is not None and (new is None or new > old) for old, new in pairs)


def _as_told(limit: SalesLimit | None) -> dict[str, str]:
    if limit is None:
        return {"limit": "as_everybody"}
    bounds = zip(_BOUNDS, (limit.order_minor_max, limit.month_minor_max), strict=True)
    kind = "bounds" if limit.is_bounded else "none"
    return {"limit": kind, **{name: str(n) for name, n in bounds if n is not None}}


def _as_word(limit: SalesLimit | None) -> str:
    """Give a limit as one word, so that what stood can be compared with what stands."""
    if limit is None or not limit.is_bounded:
        return "none" if limit else "as_everybody"
    bounds = (limit.order_minor_max, limit.month_minor_max)
    return "/".join([limit.currency, *("any" if n is None else str(n) for n in bounds)])
