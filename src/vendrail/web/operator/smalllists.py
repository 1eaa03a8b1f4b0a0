"""The operator's short lists as files: settings, terms and their versions."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from vendrail.api.compliance import ComplianceTerms, TierBound
from vendrail.api.fx import Position, RatePair
from vendrail.api.identity import Permission
from vendrail.api.payments import ChannelAccount, ChannelTerms
from vendrail.api.payouts import BankFile, BankLine, BankLineQuery
from vendrail.api.settlement import FeeRule, FeeTerms
from vendrail.api.wallets import WalletTerms
from vendrail.kernel.money import EXPONENTS, to_decimal
from vendrail.web.console.apis import Apis
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk
from vendrail.web.console.exports import Columns
from vendrail.web.console.smalllists import SmallList, SmallLists, first_of, told
from vendrail.web.languages import message
from vendrail.web.operator.deeds import Deeds
from vendrail.web.operator.files import read_id

_VERSIONS_MAX = 1_000
_LINES_MAX = 500
_TITLE = message("Save all as CSV")
_COSTS, _RULES = message("Save the terms of channels as CSV"), message("Save the rules as CSV")
_TIERS = message("Save all versions of the tiers' terms as CSV")
_DEPOSITS = message("Save the deposits as CSV")
_VERSIONS = message("Save all versions of the terms as CSV")
_POSITIONS = message("Save the exposure as CSV")
_RATES = message("Save the rates as CSV")
_SOURCES = message("Save the sources of rates as CSV")


class Standing(NamedTuple):
    """What a channel is, and by which terms payments are sent over it."""

    account: ChannelAccount
    terms: ChannelTerms


class Ruled(NamedTuple):
    """One rule of one schedule of fees."""

    valid_from: datetime | None
    number: int
    rule: FeeRule


class Bound(NamedTuple):
    """What one tier may sell by one version."""

    terms: ComplianceTerms
    tier: int
    bound: TierBound


def _channel_currency(each: ChannelAccount) -> str:
    return first_of(each.currencies)


def _of(columns: Columns[Any], part: int) -> Columns[Any]:
    """Give the columns of one part of a pair."""
    return {name: _part(get, part) for name, get in columns.items()}


def _part(get: Any, part: int) -> Any:
    return lambda each: get(each[part])


def _most(minor: int | None, currency: str) -> Decimal | None:
    """Give an amount; None: there is no bound, or it means nothing without a currency."""
    return None if minor is None or currency not in EXPONENTS else to_decimal(minor, currency)


def _in_first(each: Standing, minor: int) -> Decimal | None:
    return _most(minor, _channel_currency(each.account))


def _rule_currency(each: FeeRule) -> str:
    return each.currency if each.currency in EXPONENTS else "CNY"


CHANNELS = told(
    "name kind title currencies is_active amount_minor_min amount_minor_max confirm_above_minor id",
    _channel_currency,
)
ROUTING: Columns[Standing] = {
    "channel": lambda each: each.account.name,
    **_of(told("currencies"), 0),
    **_of(told("cost_permyriad weight_percent cap_percent hour_from hour_to countries"), 1),
    "cost": lambda each: _in_first(each, each.terms.cost_minor),
    "cost_failed": lambda each: _in_first(each, each.terms.cost_failed_minor),
    "volume_day": lambda each: _in_first(each, each.terms.volume_day_minor),
}
RULES = told("effect channel merchant method country id")
FEES: Columns[Ruled] = {
    "valid_from": lambda each: each.valid_from,
    "rule": lambda each: each.number,
    **_of(
        told(
            "title currency basis_points fixed_minor fee_minor_min fee_minor_max is_cost_borne"
            " is_fee_refunded tiers categories methods amount_minor_min amount_minor_below"
            " volume_minor_min volume_minor_below refund_permyriad_min refund_permyriad_below"
            " dispute_permyriad_min dispute_permyriad_below",
            _rule_currency,
        ),
        2,
    ),
}
BOUNDS: Columns[Bound] = {
    **_of(told("version made_at is_asked currency person reason"), 0),
    "tier": lambda each: each.tier,
    "order_max": lambda each: _most(each.bound.order_minor_max, each.terms.currency),
    "month_max": lambda each: _most(each.bound.month_minor_max, each.terms.currency),
}
DEPOSITS = told("merchant currency held_minor wanted_minor missing_minor")
FEE_TERMS: Columns[FeeTerms] = {
    **told("valid_from currency basis_points"),
    "fixed": lambda each: _most(each.fixed_minor, each.currency),
    "fee_min": lambda each: _most(each.fee_minor_min, each.currency),
    **told("is_fee_refunded"),
}
HOLD_TERMS = TIER_TERMS = told("valid_from tier pending_hours reserve_basis_points reserve_days")
LINES: Columns[tuple[BankLine, BankFile]] = {
    **_of(told("line payout merchant shown"), 0),
    "amount": lambda each: to_decimal(each[0].amount_minor, each[1].currency),
    "currency": lambda each: each[1].currency,
    **_of(told("result problem"), 0),
}
WALLETS = told("currency is_on top_up_minor_min top_up_minor_max balance_minor_max step_up_minor")
PAYOUT_TERMS = told("currency amount_minor_min fee_minor review_above_minor kinds look_minutes")
BANKS = told("name title kind currencies holder bic is_open by id")
RESERVES = told(
    "channel_name currency there_minor reserved_minor waiting_minor receivable_minor free_minor"
)
POSITIONS: Columns[Position] = {
    **told("currency other_currency currency_minor"),
    "other": lambda each: to_decimal(each.other_minor, each.other_currency),
    **told("result_minor"),
}
RATES = told("currency paid_currency mid basis_points rated_at sources")
SOURCES = told("name is_fresh currencies_count rated_at fetched_at tried_at problem")


class _Reads:
    """Reads each list as its page does."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._apis = desk, desk.apis

    async def channels(self, _: Caller) -> Sequence[Any]:
        return await self._apis.payments.list_channels()

    async def routing(self, _: Caller) -> Sequence[Any]:
        payments = self._apis.payments
        terms = {each.channel: each for each in await payments.list_terms()}
        accounts = await payments.list_channels()
        return [Standing(e, terms.get(e.id) or ChannelTerms(e.id)) for e in accounts]

    async def rules(self, _: Caller) -> Sequence[Any]:
        return await self._apis.payments.list_rules()

    async def wallets(self, _: Caller) -> Sequence[Any]:
        terms = {each.currency: each for each in await self._apis.wallets.list_wallet_terms()}
        known = dict.fromkeys((*self._desk.front.purse.currencies, *terms))
        return [terms.get(each) or WalletTerms(each) for each in known]

    async def payout_terms(self, _: Caller) -> Sequence[Any]:
        ways = await self._apis.payouts.list_ways()
        own = self._desk.front.settings.default_currency
        found = sorted({own} | {currency for way in ways for currency in way.currencies})
        return await self._apis.payouts.read_terms(found)

    async def banks(self, _: Caller) -> Sequence[Any]:
        return await self._apis.payouts.list_banks()

    async def bank_lines(self, caller: Caller) -> Sequence[Any]:
        file = read_id(caller.part("serial"))
        [known] = await self._apis.payouts.read_files([file]) if file else [None]
        return await _lines(self._apis, known) if known is not None else []

    async def reserves(self, _: Caller) -> Sequence[Any]:
        return await self._apis.payouts.list_reserves()

    async def fees(self, _: Caller) -> Sequence[Any]:
        return [
            Ruled(schedule.valid_from, number, rule)
            for schedule in await self._apis.settlement.list_fee_schedules()
            for number, rule in enumerate(schedule.rules, 1)
        ]

    async def tiers(self, _: Caller) -> Sequence[Any]:
        return await self._apis.settlement.read_tier_terms()

    async def deposits(self, _: Caller) -> Sequence[Any]:
        return await self._apis.settlement.list_deposits()

    async def bounds(self, _: Caller) -> Sequence[Any]:
        return [
            Bound(terms, tier, bound)
            for terms in await self._apis.compliance.list_terms(_VERSIONS_MAX)
            for tier, bound in enumerate(terms.bounds)
        ]

    async def merchant_fees(self, caller: Caller) -> Sequence[Any]:
        merchant = read_id(caller.part("merchant"))
        [found] = await self._apis.settlement.read_fee_terms([merchant]) if merchant else [[]]
        return found

    async def merchant_hold(self, caller: Caller) -> Sequence[Any]:
        merchant = read_id(caller.part("merchant"))
        [found] = await self._apis.settlement.read_hold_terms([merchant]) if merchant else [[]]
        return found

    async def positions(self, _: Caller) -> Sequence[Any]:
        return await self._apis.fx.list_positions()

    async def rates(self, _: Caller) -> Sequence[Any]:
        own = self._desk.front.settings.default_currency
        others = [each for each in self._desk.front.purse.currencies if each != own]
        found = await self._apis.fx.read_rates([RatePair(own, each) for each in others])
        return [each.rate for each in found if each.rate is not None]

    async def sources(self, _: Caller) -> Sequence[Any]:
        return await self._apis.fx.list_sources()


async def _lines(apis: Apis, file: BankFile) -> list[tuple[BankLine, BankFile]]:
    """Read all lines of a bank file, each with the file's currency."""
    found: list[BankLine] = []
    while True:
        after = found[-1].line if found else 0
        [page] = await apis.payouts.list_lines([BankLineQuery(file.id, after, _LINES_MAX)])
        if not page:
            return [(each, file) for each in found]
        found += page


def operator_lists(desk: Desk, deeds: Deeds) -> SmallLists:
    """Give the files of the operator's short lists."""
    reads = _Reads(desk)
    fees, channels = Permission.MERCHANTS_READ, Permission.CHANNELS_WRITE
    balance, payouts = Permission.BALANCE_READ, Permission.PAYOUTS_WRITE
    merchant = "/operator/merchants/{merchant:str}"
    settled = "/operator/settlement"
    lists = [
        SmallList("/operator/channels", ".csv", _TITLE, channels, CHANNELS, reads.channels),
        SmallList("/operator/routing", ".csv", _COSTS, channels, ROUTING, reads.routing),
        SmallList("/operator/routing", "/rules.csv", _RULES, channels, RULES, reads.rules),
        SmallList("/operator/wallets", ".csv", _TITLE, balance, WALLETS, reads.wallets),
        SmallList(
            "/operator/payout-terms", ".csv", _TITLE, payouts, PAYOUT_TERMS, reads.payout_terms
        ),
        SmallList("/operator/banks", ".csv", _TITLE, payouts, BANKS, reads.banks),
        SmallList(
            "/operator/bank-files/{serial:str}",
            "/lines.csv",
            _TITLE,
            payouts,
            LINES,
            reads.bank_lines,
        ),
        SmallList("/operator/reserves", ".csv", _TITLE, payouts, RESERVES, reads.reserves),
        SmallList("/operator/fees", ".csv", _TITLE, fees, FEES, reads.fees),
        SmallList(settled, "/tiers.csv", _TIERS, balance, TIER_TERMS, reads.tiers),
        SmallList(settled, "/deposits.csv", _DEPOSITS, balance, DEPOSITS, reads.deposits),
        SmallList(
            "/operator/verifications/terms",
            ".csv",
            _VERSIONS,
            Permission.COMPLIANCE_WRITE,
            BOUNDS,
            reads.bounds,
        ),
        SmallList(merchant, "/fees.csv", _VERSIONS, fees, FEE_TERMS, reads.merchant_fees),
        SmallList(f"{merchant}/holding", ".csv", _VERSIONS, fees, HOLD_TERMS, reads.merchant_hold),
        SmallList("/operator/currencies", ".csv", _POSITIONS, balance, POSITIONS, reads.positions),
        SmallList("/operator/currencies", "/rates.csv", _RATES, balance, RATES, reads.rates),
        SmallList(
            "/operator/currencies", "/sources.csv", _SOURCES, balance, SOURCES, reads.sources
        ),
    ]
    return SmallLists(desk, lists, deeds.log_export)
