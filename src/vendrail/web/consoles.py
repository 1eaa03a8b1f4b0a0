"""Both consoles: which rooms they have, in the order of their navigation."""

from typing import Any

from litestar.exceptions import HTTPException

from vendrail.kernel.errors import Error
from vendrail.kernel.limits.gate import Gate
from vendrail.kernel.soldfiles import SoldFiles
from vendrail.web.console.account import Account
from vendrail.web.console.apis import Apis
from vendrail.web.console.caller import MERCHANT, OPERATOR
from vendrail.web.console.desk import Desk, Room
from vendrail.web.console.filters import SavedFilters
from vendrail.web.console.joining import Joining
from vendrail.web.console.letters import Letters
from vendrail.web.console.palette import Palette
from vendrail.web.console.passkeys import Passkeys
from vendrail.web.console.registering import Registering
from vendrail.web.console.signing import Signing
from vendrail.web.live import LivePages
from vendrail.web.merchant.agencies import Agencies
from vendrail.web.merchant.balance import Balance
from vendrail.web.merchant.complaints import Complaints
from vendrail.web.merchant.coupons import Coupons
from vendrail.web.merchant.deposit import DepositPage
from vendrail.web.merchant.disputes import Disputes
from vendrail.web.merchant.domains import OwnDomains
from vendrail.web.merchant.epay import CardSites
from vendrail.web.merchant.fees import OwnFees
from vendrail.web.merchant.keys import Keys
from vendrail.web.merchant.listings import Listings
from vendrail.web.merchant.methods import Methods
from vendrail.web.merchant.numbers import Search as MerchantSearch
from vendrail.web.merchant.orders import Orders
from vendrail.web.merchant.overview import Overview
from vendrail.web.merchant.payouts import MerchantPayouts
from vendrail.web.merchant.products import Products
from vendrail.web.merchant.programs import Programs
from vendrail.web.merchant.sales import Sales
from vendrail.web.merchant.schedules import PayoutSchedules
from vendrail.web.merchant.shop import ShopSettings
from vendrail.web.merchant.smalllists import merchant_lists
from vendrail.web.merchant.staff import Staff
from vendrail.web.merchant.statements import Statements
from vendrail.web.merchant.verification import Verification
from vendrail.web.merchant.webhooks import Webhooks
from vendrail.web.operator.adjustments import AdjustmentsDesk
from vendrail.web.operator.audit import AuditLog
from vendrail.web.operator.bankfiles import BankFilesDesk
from vendrail.web.operator.channels import Channels
from vendrail.web.operator.closes import ClosesDesk
from vendrail.web.operator.complaints import ComplaintsDesk
from vendrail.web.operator.corrections import Corrections
from vendrail.web.operator.coupons import CouponsDesk
from vendrail.web.operator.currencies import Currencies
from vendrail.web.operator.debts import DebtsDesk
from vendrail.web.operator.deeds import Deeds
from vendrail.web.operator.deposits import DepositsDesk
from vendrail.web.operator.disputes import DisputesDesk
from vendrail.web.operator.fees import Fees
from vendrail.web.operator.files import Files
from vendrail.web.operator.forecasts import ForecastDesk
from vendrail.web.operator.goods import GoodsDesk
from vendrail.web.operator.holding import HoldingDesk
from vendrail.web.operator.home import Home
from vendrail.web.operator.merchants import Merchants
from vendrail.web.operator.numbers import Search
from vendrail.web.operator.orders import OrdersDesk
from vendrail.web.operator.payoutbatches import PayoutBatchesDesk
from vendrail.web.operator.payouts import PayoutsDesk
from vendrail.web.operator.payoutterms import PayoutTermsDesk
from vendrail.web.operator.people import People
from vendrail.web.operator.proposals import Proposals
from vendrail.web.operator.registration import RegistrationDesk
from vendrail.web.operator.remittances import RemittancesDesk
from vendrail.web.operator.reviews import Reviews
from vendrail.web.operator.routing import RoutingDesk
from vendrail.web.operator.sagas import Sagas
from vendrail.web.operator.smalllists import operator_lists
from vendrail.web.operator.suggestions import SuggestionsDesk
from vendrail.web.operator.system import System
from vendrail.web.operator.unmatched import Unmatched
from vendrail.web.operator.unpriced import Unpriced
from vendrail.web.operator.verifications import Verifications
from vendrail.web.operator.wallets import WalletDesk
from vendrail.web.storefront.front import Front


def operator_rooms(desk: Desk, live: LivePages) -> list[Room]:
    """Give the rooms of the operator's console."""
    deeds, files = Deeds(desk), Files(desk)
    holding = HoldingDesk(desk, deeds, files)
    return [
        Home(desk),
        Palette(desk, OPERATOR),
        SavedFilters(desk, OPERATOR),
        OrdersDesk(desk, deeds, files),
        Search(desk, deeds, files),
        ComplaintsDesk(desk, deeds, files, live),
        Reviews(desk, deeds, files),
        Unmatched(desk, deeds, files),
        Unpriced(desk, deeds),
        DisputesDesk(desk, deeds, files),
        Sagas(desk, deeds, files),
        Proposals(desk, deeds, files),
        PayoutsDesk(desk, deeds),
        ForecastDesk(desk),
        RemittancesDesk(desk, deeds),
        PayoutBatchesDesk(desk, deeds),
        BankFilesDesk(desk, deeds),
        PayoutTermsDesk(desk, deeds),
        Merchants(desk, deeds, files),
        Verifications(desk, deeds, files),
        RegistrationDesk(desk, deeds),
        holding,
        DebtsDesk(desk, deeds, files, holding),
        DepositsDesk(desk, deeds, files),
        GoodsDesk(desk, deeds, files),
        Fees(desk, deeds, files),
        ClosesDesk(desk, deeds),
        Corrections(desk, deeds, files),
        SuggestionsDesk(desk, deeds, files),
        AdjustmentsDesk(desk, deeds, files),
        Channels(desk, deeds),
        Currencies(desk),
        WalletDesk(desk, deeds),
        CouponsDesk(desk, deeds, files),
        RoutingDesk(desk, deeds, files),
        People(desk, deeds),
        AuditLog(desk, files, deeds),
        operator_lists(desk, deeds),
        System(desk),
    ]


def merchant_rooms(desk: Desk, files: SoldFiles, live: LivePages) -> list[Room]:
    """Give the rooms of a merchant's console."""
    sites = CardSites(desk)
    return [
        Overview(desk),
        Palette(desk, MERCHANT),
        SavedFilters(desk, MERCHANT),
        Sales(desk),
        Orders(desk),
        MerchantSearch(desk),
        Complaints(desk, live),
        Disputes(desk),
        Products(desk),
        Keys(desk, files),
        Coupons(desk),
        Agencies(desk),
        Listings(desk),
        Balance(desk),
        Statements(desk),
        MerchantPayouts(desk),
        PayoutSchedules(desk),
        DepositPage(desk),
        OwnFees(desk),
        Verification(desk),
        ShopSettings(desk),
        OwnDomains(desk),
        Methods(desk),
        Staff(desk),
        Programs(desk),
        Webhooks(desk),
        sites,
        merchant_lists(desk, sites.notices),
    ]


def console_handlers(
    front: Front, apis: Apis, files: SoldFiles, live: LivePages, gate: Gate | None = None
) -> list[Any]:
    """Build the routes of both consoles, and of signing in to them."""
    desk = Desk(front, apis)
    signing, account = Signing(desk), Account(desk)
    doors: list[Room] = [
        signing,
        Joining(desk),
        Registering(desk, gate),
        account,
        Letters(desk),
        Passkeys(desk, signing, account),
    ]
    handlers = desk.open([*doors, *operator_rooms(desk, live), *merchant_rooms(desk, files, live)])
    for handler in handlers:
        handler.exception_handlers = dict.fromkeys(
            (Error, HTTPException, Exception), desk.answer_error
        )
    return handlers
