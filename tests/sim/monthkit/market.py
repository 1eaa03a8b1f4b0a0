"""The marketplace of the month: its merchants, what they sell, and the terms they have."""

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
    Shop,
    ShopId,
    Variant,
    VariantId,
)
from vendrail.api.payments import Payments
from vendrail.api.payouts import (
    NewPayee,
    PayeeId,
    PayeeProof,
    PayeeTest,
    PayoutId,
    Payouts,
    PayoutTerms,
    ReserveChange,
    ReserveSource,
)
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
from vendrail.kernel.ids import derive, new_id, to_serial

REVIEWED = "reviewed@example.com"
PAYOUT_FEE = 30
_KEYS_AT_ONCE = 5_000
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
    payouts: list[PayoutId] = field(default_factory=list)


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
    await asking.ask(Payouts, "put_terms", [PayoutTerms("CNY", 100, PAYOUT_FEE, 400_000)])
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
        merchant = await open_merchant(asking, number, 990 + 730 * (number % 17), keys)
        if number % 3 == 0:
            terms = FeeTerms(merchant.id, "CNY", 100 + 10 * number, number, 20, number % 2 == 0)
            await asking.ask(Settlement, "put_fee_terms", [terms])
        await asking.ask(Settlement, "put_hold_terms", hold_terms(number, merchant.id))
        opened.append(merchant)
    asking.pass_s(15)  # Terms hold from a moment on.
    for merchant in opened:
        await prove_payee(asking, banks, merchant)
    return opened


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


async def open_merchant(asking: Asking, number: int, price_minor: int, keys: int) -> Merchant:
    """Open one merchant's shop, with one product and its keys, and say where it is paid."""
    now = asking.now()
    id, sku = new_id(now), f"MONTH-{number:02}"
    shop, product = ShopId(new_id(now)), ProductId(new_id(now))
    name = f"merchant {number}"
    await asking.ask(
        Catalog, "put_shops", [Shop(shop, MerchantId(id), name, f"shop-{number}", name)]
    )
    variant = Variant(VariantId(derive(product, "variant")), sku, "One", {"CNY": price_minor})
    await asking.ask(
        Catalog, "put_products", [Product(product, shop, f"product-{number}", name, [variant])]
    )
    for begin in range(0, keys, _KEYS_AT_ONCE):
        count = min(_KEYS_AT_ONCE, keys - begin)
        lines = [KeyLine(n + 1, f"{sku}-{begin + n:06}") for n in range(count)]
        await asking.ask(Catalog, "add_keys", [KeyIntake(sku, new_id(now), lines)])
    payee = PayeeId(new_id(now))
    new = NewPayee(
        payee, id, ALIPAY, "logon_id", f"seller{number}@example.com", "张三", "owner@example.com"
    )
    [status] = await asking.ask(Payouts, "add_payees", [new])
    asking.check("payee", status, {"created", "exists"})
    wallets = tuple(derive(id, f"wallet:{each}") for each in range(3))
    return Merchant(number, id, sku, price_minor, payee, wallets)


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
