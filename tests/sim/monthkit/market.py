"""The marketplace of the month: its merchants, what they sell, and the terms they have."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from monthkit.asking import Asking
from monthkit.banks import ALIPAY, Banks
from vendrail.api.catalog import (
    Catalog,
    KeyIntake,
    KeyLine,
    MerchantId,
    Product,
    ProductId,
    QuantityPrice,
    Shop,
    ShopId,
    Variant,
    VariantId,
)
from vendrail.api.catalog.warranties import ProductWarranty
from vendrail.api.payments import Payments
from vendrail.api.payouts import (
    NewPayee,
    PayeeId,
    PayeeProof,
    PayeeTest,
    PayoutId,
    Payouts,
    PayoutSchedule,
    PayoutTerms,
    ReserveChange,
    ReserveSource,
    ScheduleKind,
)
from vendrail.api.promotions import Coupon, CouponId, Promotions
from vendrail.api.risk import ListEntry, ListKind, Risk, RiskLimits
from vendrail.api.settlement import (
    FeeRule,
    FeeSchedule,
    FeeTerms,
    HoldTerms,
    RiskTier,
    Settlement,
)
from vendrail.api.wallets import Wallets, WalletTerms
from vendrail.api.webhooks import EndpointId, NewEndpoint, Webhooks
from vendrail.kernel.ids import derive, new_id, to_serial

REVIEWED = "reviewed@example.com"
PAYOUT_FEE = 30
REVIEW_ABOVE = 120_000
_KEYS_AT_ONCE = 5_000
_COUPON_MINOR, _COUPON_PERMYRIAD = 120, 1_500
_COUPON_USES_MAX = 12  # Of one merchant's: more want it.
_WARRANTY = ProductWarranty(400, "Keys that the maker refuses.", 1, 1)
AGENTS = {3: 24, 5: 27, 7: 33}  # Whose keys are sold by whom as well, by numbers.
_LISTENERS = 6  # Merchants whose programs are told.
# Hours pending, basis points and days of the reserve: of a merchant's own.
_HOLDS = ((0, 0, 0), (24, 0, 0), (72, 0, 0), (0, 1_000, 7), (12, 500, 14), (48, 2_000, 3))


@dataclass
class Merchant:
    """One merchant: what it sells, for how much, and where it is paid."""

    number: int
    id: UUID
    sku: str
    price_minor: int
    payee: PayeeId
    wallets: tuple[UUID, ...]  # Its buyers who have an account.
    shop: ShopId
    variant: VariantId
    payouts: list[PayoutId] = field(default_factory=list)
    is_stopped: bool = False  # It may not sell now.
    was_stopped: bool = False  # What was not paid then was cancelled.
    listener: EndpointId | None = None
    # Whose keys it sells, where it is an agent; who sells its keys as well.
    supplier: "Merchant | None" = field(default=None, repr=False, compare=False)
    agent: "Merchant | None" = field(default=None, repr=False, compare=False)
    has_agency: bool = False  # As an agent: the supplier lets it sell now, …
    has_margin: bool = True  # … and its price is not below the floor.
    host: str = ""  # The domain of its own on which its shop is shown now.

    @property
    def is_shut(self) -> bool:
        """Whether nothing can be bought there now."""
        if self.supplier is None:
            return self.is_stopped
        is_supplied = self.has_agency and self.has_margin and not self.supplier.is_stopped
        return self.is_stopped or not is_supplied

    @property
    def was_cancelling(self) -> bool:
        """Whether orders there that were not paid may have been cancelled."""
        return self.was_stopped or (self.supplier is not None and self.supplier.was_stopped)

    @property
    def is_doubtful(self) -> bool:
        """Whether nobody knows it at times: it may sell little then, and is not paid out."""
        return self.number % 12 == 4

    @property
    def word(self) -> str:
        """The code of its coupon; empty: it has none."""
        return f"SPRING{self.number}" if self.number % 3 else ""

    def price(self, quantity: int) -> int:
        """Give what so many cost: some merchants sell several for less."""
        percent = 100 if self.number % 4 != 2 else {1: 100, 2: 90}.get(quantity, 80)
        return quantity * (self.price_minor * percent // 100)

    def discount(self, minor: int) -> tuple[int, int]:
        """Give what its coupon takes off at least, and at most."""
        if self.number % 3 == 1:
            return _COUPON_MINOR, _COUPON_MINOR
        share = minor * _COUPON_PERMYRIAD // 10_000
        return share, share + 1


async def open_house(asking: Asking, banks: Banks) -> None:
    """Open what is everybody's: channels, limits, wallets, the terms of payouts, their reserve."""
    await asking.ask(Payments, "put_channels", banks.channels)
    await asking.ask(
        Risk, "put_list_entries", [ListEntry(f"contact:{REVIEWED}", ListKind.REVIEWED)]
    )
    unlimited = RiskLimits(
        review_orders_per_buyer=0, review_orders_per_address=0, review_orders_per_device=0,
        review_amount_per_buyer_minor=0, refuse_orders_per_buyer=0, refuse_orders_per_address=0,
        refuse_orders_per_device=0, refuse_amount_per_buyer_minor=0,
    )  # fmt: skip
    await asking.ask(Risk, "put_limits", unlimited)
    await asking.ask(
        Wallets, "put_wallet_terms", [WalletTerms("CNY", True, 100, 10_000_000, 1_000_000_000)]
    )
    await asking.ask(Payouts, "put_terms", [PayoutTerms("CNY", 100, PAYOUT_FEE, REVIEW_ABOVE)])
    await change_reserve(asking, 2_000_000, ReserveSource.OWNER)


async def open_market(asking: Asking, banks: Banks, merchants: int, keys: int) -> list[Merchant]:
    """Open everything that there must be before anything is sold."""
    await open_house(asking, banks)
    await write_schedule(asking, 0)
    tiers = [
        HoldTerms(None, RiskTier.NEW, 96, 1_000, 10),
        HoldTerms(None, RiskTier.WATCHED, 120, 3_000, 14),
        HoldTerms(None, RiskTier.STANDARD, 6),
    ]
    await asking.ask(Settlement, "put_hold_terms", tiers)
    opened = []
    for number in range(merchants):
        warranty = _WARRANTY if number % 4 == 1 else None
        opened.append(
            await open_merchant(asking, number, 990 + 730 * (number % 17), keys, warranty)
        )
    opened += [await open_agent(asking, opened[its], its) for its in AGENTS]
    for merchant in opened:
        await _put_terms(asking, merchant)
    asking.pass_s(15)  # Terms hold from a moment on.
    for merchant in opened:
        await prove_payee(asking, banks, merchant)
        await _offer_coupon(asking, merchant)
    await put_schedules(asking, opened)
    return opened


async def _put_terms(asking: Asking, merchant: Merchant) -> None:
    """Write what of a merchant's terms is its own."""
    number = merchant.number
    if number % 3 == 0:
        terms = FeeTerms(merchant.id, "CNY", 100 + 10 * number, number, 20, number % 2 == 0)
        await asking.ask(Settlement, "put_fee_terms", [terms])
    await asking.ask(Settlement, "put_hold_terms", hold_terms(number, merchant.id))


async def open_agent(asking: Asking, supplier: Merchant, number: int) -> Merchant:
    """Open the shop of a merchant without goods of its own; what it lists is agreed on later."""
    id, shop = new_id(asking.now()), ShopId(new_id(asking.now()))
    await open_shop(asking, AGENTS[number], id, shop)
    price_minor = supplier.price_minor * 13 // 10
    agent = await settle_down(asking, AGENTS[number], id, "", price_minor, shop, supplier.variant)
    agent.supplier, supplier.agent = supplier, agent
    return agent


async def listen(asking: Asking, market: list[Merchant], url: Callable[[int], str]) -> None:
    """Let some merchants' programs be told of everything; every other one in its order."""
    for merchant in market[:_LISTENERS]:
        id = EndpointId(new_id(asking.now()))
        new = NewEndpoint(id, merchant.id, url(merchant.number), is_ordered=merchant.number % 2 > 0)
        [made] = await asking.ask(Webhooks, "make_endpoints", [new])
        asking.check("endpoint", made.status, {"done", "exists"})
        merchant.listener = id


async def _offer_coupon(asking: Asking, merchant: Merchant) -> None:
    """Take something off for whoever knows the word; of one merchant's for the first ones alone."""
    if not merchant.word:
        return
    is_fixed = merchant.number % 3 == 1
    coupon = Coupon(
        CouponId(new_id(asking.now())), merchant.id, "Spring", "CNY",
        amount_minor=_COUPON_MINOR if is_fixed else 0,
        permyriad=0 if is_fixed else _COUPON_PERMYRIAD,
        uses_max=_COUPON_USES_MAX if merchant.number == 1 else None,
        uses_per_code=1_000_000, word=merchant.word,
    )  # fmt: skip
    [status] = await asking.ask(Promotions, "put_coupons", [coupon])
    asking.check("coupon", status, {"created", "unchanged"})


async def put_schedules(asking: Asking, market: list[Merchant], *, are_over: bool = False) -> None:
    """Let some merchants be paid by themselves: each day, from a sum on, at once; or no more."""
    kinds = {1: ScheduleKind.DAILY, 2: ScheduleKind.THRESHOLD, 3: ScheduleKind.INSTANT}
    schedules = [
        PayoutSchedule(
            merchant.id, "CNY", ScheduleKind.MANUAL if are_over else kinds[merchant.number % 6],
            None if are_over else merchant.payee,
            hour=merchant.number % 24, threshold_minor=0 if are_over or merchant.number % 6 != 2
            else 20_000, by="owner@example.com",
        )
        for merchant in market
        if merchant.number % 6 in kinds
    ]  # fmt: skip
    for status in await asking.ask(Payouts, "put_schedules", schedules):
        asking.check("schedule", status, {"changed", "unchanged"})


async def write_schedule(asking: Asking, version: int) -> None:
    """Write what merchants without terms of their own pay; each version another."""
    rules = [
        FeeRule(200 + 50 * version, 30, methods=["card"], currency="CNY", title="Cards"),
        FeeRule(80, 0, 5, 5_000, currency="CNY", amount_minor_min=10_000, title="Large"),
        FeeRule(150 + 25 * version, is_fee_refunded=version % 2 == 1, title="All"),
    ]
    schedule = FeeSchedule(new_id(asking.now()), rules, person="op", reason="simulated")
    [status] = await asking.ask(Settlement, "put_fee_schedules", [schedule])
    asking.check("fee schedule", status, {"created", "exists"})


async def change_reserve(asking: Asking, amount_minor: int, source: ReserveSource) -> str:
    """Put money into the reserve that payouts are made of."""
    change = ReserveChange(
        new_id(asking.now()), "alipay", "CNY", amount_minor, source, "simulated", "op@example.com"
    )
    [status] = await asking.ask(Payouts, "change_reserves", [change])
    asking.check("reserve", status, {"done", "exists"})
    return status


async def open_merchant(
    asking: Asking,
    number: int,
    price_minor: int,
    keys: int,
    warranty: ProductWarranty | None = None,
) -> Merchant:
    """Open one merchant's shop, with one product and its keys, and say where it is paid."""
    now = asking.now()
    id, sku = new_id(now), f"MONTH-{number:02}"
    shop, product = ShopId(new_id(now)), ProductId(new_id(now))
    await open_shop(asking, number, id, shop)
    steps = [
        QuantityPrice(many, {"CNY": price_minor * percent // 100})
        for many, percent in ((2, 90), (3, 80))
        if number % 4 == 2
    ]
    variant = Variant(
        VariantId(derive(product, "variant")), sku, "One", {"CNY": price_minor},
        quantity_prices=steps,
    )  # fmt: skip
    made = Product(
        product, shop, f"product-{number}", f"merchant {number}", [variant], warranty=warranty
    )
    await asking.ask(Catalog, "put_products", [made])
    for begin in range(0, keys, _KEYS_AT_ONCE):
        count = min(_KEYS_AT_ONCE, keys - begin)
        lines = [KeyLine(n + 1, f"{sku}-{begin + n:06}") for n in range(count)]
        await asking.ask(Catalog, "add_keys", [KeyIntake(sku, new_id(now), lines)])
    return await settle_down(asking, number, id, sku, price_minor, shop, variant.id)


async def open_shop(asking: Asking, number: int, merchant: UUID, shop: ShopId) -> None:
    """Open a merchant's shop, with nothing in it."""
    name = f"merchant {number}"
    new = Shop(shop, MerchantId(merchant), name, f"shop-{number}", name)
    await asking.ask(Catalog, "put_shops", [new])


async def settle_down(
    asking: Asking,
    number: int,
    id: UUID,
    sku: str,
    price_minor: int,
    shop: ShopId,
    variant: VariantId,
) -> Merchant:
    """Say where a merchant is paid, and give it."""
    payee = PayeeId(new_id(asking.now()))
    new = NewPayee(
        payee, id, ALIPAY, "logon_id", f"seller{number}@example.com", "张三", "owner@example.com"
    )
    [status] = await asking.ask(Payouts, "add_payees", [new])
    asking.check("payee", status, {"created", "exists"})
    wallets = tuple(derive(id, f"wallet:{each}") for each in range(3))
    return Merchant(number, id, sku, price_minor, payee, wallets, shop, variant)


def hold_terms(number: int, merchant: UUID) -> list[HoldTerms]:
    """Give a merchant's terms: its own, or those of a tier, or none."""
    kind = number % 9
    if kind == 0:
        return []  # As everybody's: the standard tier.
    if kind == 7:
        return [HoldTerms(merchant, RiskTier.NEW)]
    if kind == 8:
        return [HoldTerms(merchant, RiskTier.WATCHED)]
    hours, points, days = _HOLDS[kind - 1]
    return [HoldTerms(merchant, None, hours, points, days)]


async def prove_payee(asking: Asking, banks: Banks, merchant: Merchant) -> None:
    """Send the small test payout, and say what it was."""
    test = PayoutId(new_id(asking.now()))
    asked = PayeeTest(test, merchant.payee, merchant.id, "CNY")
    [status] = await asking.ask(Payouts, "test_payees", [asked])
    asking.check("payee test", status, {"taken", "exists"})
    await asking.turn()
    amount_minor = banks.transferred_minor(to_serial(test))
    proof = PayeeProof(merchant.payee, merchant.id, amount_minor)
    [status] = await asking.ask(Payouts, "verify_payees", [proof])
    asking.check("payee proof", status, {"verified"})
