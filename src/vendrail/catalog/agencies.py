"""Pure: who may do what about an agency, which floors can be, and what a listing sells."""

from collections.abc import Mapping
from uuid import UUID

from vendrail.api.catalog import Product, ProductId, ProductState, ShopId, Variant, VariantId
from vendrail.api.catalog.agencies import AgencyAct, AgencyState, AgencyStatus
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import derive
from vendrail.kernel.money import AMOUNT_MINOR_MAX, EXPONENTS

_TARGETS = {
    AgencyAct.INVITE: AgencyState.INVITED,
    AgencyAct.ACCEPT: AgencyState.ACCEPTED,
    AgencyAct.DECLINE: AgencyState.DECLINED,
    AgencyAct.END: AgencyState.ENDED,
}
_FROM = {
    AgencyAct.INVITE: (None, AgencyState.DECLINED, AgencyState.ENDED),
    AgencyAct.ACCEPT: (AgencyState.INVITED,),
    AgencyAct.DECLINE: (AgencyState.INVITED,),
    AgencyAct.END: (AgencyState.INVITED, AgencyState.ACCEPTED),
}
_SUFFIX = 8


def move(
    state: AgencyState | None, act: AgencyAct, by: UUID, supplier: UUID, agent: UUID
) -> tuple[AgencyStatus, AgencyState | None]:
    """Say how an act ends, and where the agency stands after it."""
    if supplier == agent:
        return AgencyStatus.SAME_MERCHANT, state
    doers = {AgencyAct.INVITE: (supplier,), AgencyAct.END: (supplier, agent)}
    if by not in doers.get(act, (agent,)):
        return AgencyStatus.NOT_THEIRS, state
    target = _TARGETS[act]
    if state is target or (act is AgencyAct.INVITE and state is AgencyState.ACCEPTED):
        return AgencyStatus.UNCHANGED, state
    if state not in _FROM[act]:
        return AgencyStatus.NOT_INVITED, state
    return AgencyStatus.DONE, target


def are_prices(prices_minor: Mapping[str, int]) -> bool:
    """Whether these are prices, in currencies that are known."""
    return all(
        code in EXPONENTS and 0 < minor <= AMOUNT_MINOR_MAX for code, minor in prices_minor.items()
    )


def are_above(variant: Variant, floor_minor: Mapping[str, int]) -> bool:
    """Whether each price of a variant, for many too, is at least the floor of its currency."""
    steps = [step.prices_minor for step in variant.quantity_prices]
    return all(
        code in floor_minor and minor >= floor_minor[code]
        for prices in (variant.prices_minor, *steps)
        for code, minor in prices.items()
    )


def listing_ids(shop: ShopId, source: VariantId) -> tuple[ProductId, VariantId]:
    """Give the one product, and its one variant, that a shop lists a source as."""
    product = derive(source, f"listing:{shop}")  # As new as its source, in lists by age.
    return ProductId(product), VariantId(derive(product, "variant"))


def repriced(known: Product, prices_minor: dict[str, int]) -> Product:
    """Give a listed product at other prices; its texts, state and prices for many are the agent's.

    In a currency that it is not sold in any more, many cost nothing either. What was removed is
    listed anew.
    """
    own = known.variants[0]
    kept = [
        replace(
            step,
            prices_minor={
                code: minor for code, minor in step.prices_minor.items() if code in prices_minor
            },
        )
        for step in own.quantity_prices
    ]
    own = replace(
        own, prices_minor=prices_minor, quantity_prices=[each for each in kept if each.prices_minor]
    )
    state = ProductState.ON_SALE if known.state is ProductState.REMOVED else known.state
    return replace(known, state=state, variants=[own])


def listing_product(
    shop: ShopId, source: Product, variant: Variant, prices_minor: dict[str, int]
) -> Product:
    """Make the product that an agent lists: the supplier's texts, the agent's shop and price.

    The supplier's warranty is its own to give, to its own buyers.
    """
    product, own = listing_ids(shop, variant.id)
    suffix = product.hex[-_SUFFIX:]
    titles = [source.title]
    if variant.title not in ("", source.title):
        titles.append(variant.title)
    return replace(
        source,
        id=product,
        shop=shop,
        slug=f"{source.slug[:50].strip('-')}-{suffix}",
        title=" – ".join(titles)[:200].strip(),
        warranty=None,
        variants=[
            Variant(
                own,
                f"{variant.sku[:50]}-{suffix}",
                "",  # In the product's title already.
                dict(prices_minor),
                variant.quantity_min,
                variant.quantity_max,
            )
        ],
    )
