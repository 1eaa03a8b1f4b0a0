"""Agencies: a merchant's reseller sells at a markup what the merchant supplies."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from vendrail.api.catalog.names import MerchantId, ProductId, ShopId, VariantId
from vendrail.kernel.codec import Record


class AgencyState(StrEnum):
    """Where an agency stands; what was declined or has ended may be offered anew."""

    INVITED = "invited"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    ENDED = "ended"


class AgencyAct(StrEnum):
    """What one of the two does about it."""

    INVITE = "invite"  # The supplier.
    ACCEPT = "accept"  # The agent, as the next.
    DECLINE = "decline"
    END = "end"  # Either: sales stop at once, orders under way are finished.


class Agency(Record, frozen=True):
    """A supplier and its agent, with the names and addresses of their shops."""

    supplier: MerchantId
    agent: MerchantId
    state: AgencyState
    changed_at: datetime
    supplier_name: str = ""
    supplier_slug: str = ""
    agent_name: str = ""
    agent_slug: str = ""


class AgencyMove(Record, frozen=True):
    """One act of one side; the other is named by the slug of a shop, or by its id."""

    act: AgencyAct
    by: MerchantId
    supplier: MerchantId | None = None  # None: whoever acts, or found by the slug; …
    agent: MerchantId | None = None  # … the agent alike.
    slug: str = ""  # Of a shop of the other side.


class AgencyStatus(StrEnum):
    """How one act ended."""

    DONE = "done"
    UNCHANGED = "unchanged"
    MERCHANT_NOT_FOUND = "merchant_not_found"
    SAME_MERCHANT = "same_merchant"
    NOT_THEIRS = "not_theirs"  # Only agents accept, only suppliers invite.
    NOT_INVITED = "not_invited"  # There is nothing to accept, decline or end.


class Floor(Record, frozen=True):
    """What the supplier gets of each unit that an agent sells; nothing: it is not for agents."""

    supplier: MerchantId
    variant: VariantId
    prices_minor: dict[str, int]


class FloorQuery(Record, frozen=True):
    """A page of a supplier's variants of unique keys, those of the newest products first."""

    supplier: MerchantId
    words: str = ""  # In a title or a SKU, all of them.
    has_floor: bool | None = None  # None: both, those that agents sell and those they do not.
    variant: VariantId | None = None  # This one alone.
    before: VariantId | None = None  # The last one of the page before.
    floors_max: int = 50


class FloorStatus(StrEnum):
    """How writing one floor ended."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    VARIANT_NOT_FOUND = "variant_not_found"  # Of this merchant.
    NOT_UNIQUE = "not_unique"  # Agents sell keys that are sold once.
    SUPPLIED = "supplied"  # It is another supplier's: agents have no agents for it.
    FIELD_MALFORMED = "field_malformed"


class SuppliedVariantQuery(Record, frozen=True):
    """A page of what an agent may list, and of what it has listed, by supplier and title."""

    agent: MerchantId
    words: str = ""  # In a title, a SKU or the supplier's name, all of them.
    is_listed: bool | None = None  # None: both.
    source: VariantId | None = None  # This one alone.
    after: VariantId | None = None  # The last one of the page before.
    variants_max: int = 50


class SuppliedVariant(Record, frozen=True):
    """What an agent may list, and how it is listed already."""

    source: VariantId
    sku: str  # The supplier's.
    title: str  # Product and variant, as the supplier calls them.
    supplier: MerchantId
    supplier_name: str
    floor_minor: dict[str, int]
    prices_minor: dict[str, int]  # What the supplier itself sells it for.
    free: int
    category: str = ""
    listing: VariantId | None = None  # The agent's own, where it was listed …
    product: ProductId | None = None
    listed_minor: dict[str, int] = {}  # … at which price, …
    sold_minor: dict[str, int] = {}  # … what of that bears the floor: it sells in no other, …
    is_paused: bool = False  # … and whether the agent itself does not sell it now.
    is_on_sale: bool = False  # It is listed, and may be bought now.


class FlooredVariant(Record, frozen=True):
    """A supplier's variant of unique keys, and what it gets of agents for it."""

    variant: VariantId
    sku: str
    title: str
    prices_minor: dict[str, int]
    floor_minor: dict[str, int]
    listings: int = 0  # How many shops list it.


class ListSupplied(Record, frozen=True):
    """List a supplier's variant in a shop of the agent's, or give it another price there."""

    agent: MerchantId
    shop: ShopId
    source: VariantId
    prices_minor: dict[str, int]


class ListingStatus(StrEnum):
    """How listing ended."""

    LISTED = "listed"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    NOT_SUPPLIED = "not_supplied"  # The agency does not stand, or the supplier gives no floor.
    SHOP_NOT_FOUND = "shop_not_found"
    PRICE_BELOW_FLOOR = "price_below_floor"  # Of one, or of many.
    STEPS_UNFIT = "steps_unfit"  # Its prices for many are not below this one.
    LISTING_FIXED = "listing_fixed"  # What a supplier delivers has one variant, and its keys.
    TEXT_FORBIDDEN = "text_forbidden"  # Rules of forbidden goods find something in it.
    FIELD_MALFORMED = "field_malformed"
    NAME_TAKEN = "name_taken"  # Its SKU or its address is another product's by now.


class Supplying(Protocol):
    """What suppliers and their agents agree on."""

    async def move_agencies(self, moves: Sequence[AgencyMove]) -> list[AgencyStatus]:
        """Invite, accept, decline, end."""
        ...

    async def list_agencies(self, merchants: Sequence[MerchantId]) -> list[list[Agency]]:
        """List merchants' agencies, on either side, the last changed first."""
        ...

    async def put_floors(self, floors: Sequence[Floor]) -> list[FloorStatus]:
        """Write what suppliers get of each unit; listings below it are not for sale from then."""
        ...

    async def list_floors(self, queries: Sequence[FloorQuery]) -> list[list[FlooredVariant]]:
        """List pages of suppliers' variants with their floors; a short page is the last."""
        ...

    async def list_supplied(
        self, queries: Sequence[SuppliedVariantQuery]
    ) -> list[list[SuppliedVariant]]:
        """List pages of what agents may list and have listed; a short page is the last."""
        ...

    async def put_listings(self, listings: Sequence[ListSupplied]) -> list[ListingStatus]:
        """List what is supplied, as products of the agents' shops, without stock of their own."""
        ...
