"""A merchant's short lists as files: what it has set, and who works with it."""

from collections.abc import Sequence
from typing import Any

from vendrail.api.catalog import BatchQuery, KeyBatch, MerchantId
from vendrail.api.identity import Permission
from vendrail.api.orders import OrderId, SuppliedOrder, SuppliedQuery
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk
from vendrail.web.console.exports import Columns
from vendrail.web.console.smalllists import SmallList, SmallLists, told
from vendrail.web.languages import message
from vendrail.web.merchant.acting import log_export
from vendrail.web.merchant.goods import find_product

_AT_ONCE = 200
_TITLE = message("Save all as CSV")
_ACCOUNTS = message("Save the accounts as CSV")
_SALES = message("Save what agents have sold as CSV")
_AGENCIES = message("Save agents and suppliers as CSV")

PAYEES = told("added_at channel_name kind shown name state currencies added_by usable_at id")
DOMAINS = told("made_at host shop state finding checked_at proven_at failing_since lost_at id")
METHODS = told("method title currencies is_on cost_permyriad cost_permyriad_max")
FEES = told("valid_from currency basis_points fixed_minor fee_minor_min is_fee_refunded")
AGENCIES = told("changed_at state supplier supplier_name agent agent_name")
SOLD = told("placed_at agent title quantity supplied_minor currency state is_refunded id")
ENDPOINTS = told(
    "made_at url kinds is_ordered note state reason keyed_at failing_since heard_at waiting id"
)
CANNED = told("title text id")
BATCHES: Columns[tuple[str, KeyBatch]] = {
    "sku": lambda each: each[0],
    "taken_at": lambda each: each[1].taken_at,
    "added": lambda each: each[1].added,
    "unsold": lambda each: each[1].unsold,
    "allocated": lambda each: each[1].allocated,
    "sold": lambda each: each[1].sold,
    "void": lambda each: each[1].void,
    "batch": lambda each: each[1].id,
}


class _Reads:
    """Reads each list as its page does, of the caller's merchant alone."""

    def __init__(self, desk: Desk) -> None:
        self._apis = desk.apis

    async def payees(self, caller: Caller) -> Sequence[Any]:
        [found] = await self._apis.payouts.list_payees([caller.merchant])
        return found

    async def domains(self, caller: Caller) -> Sequence[Any]:
        [found] = await self._apis.domains.list_domains([caller.merchant])
        return found

    async def methods(self, caller: Caller) -> Sequence[Any]:
        [found] = await self._apis.payments.list_merchant_methods([caller.merchant])
        return found

    async def fees(self, caller: Caller) -> Sequence[Any]:
        [found] = await self._apis.settlement.read_fee_terms([caller.merchant])
        return found

    async def agencies(self, caller: Caller) -> Sequence[Any]:
        [found] = await self._apis.catalog.list_agencies([MerchantId(caller.merchant)])
        return found

    async def endpoints(self, caller: Caller) -> Sequence[Any]:
        [found] = await self._apis.webhooks.list_endpoints([caller.merchant])
        return found

    async def canned(self, caller: Caller) -> Sequence[Any]:
        [found] = await self._apis.support.list_canned([caller.merchant])
        return found

    async def sold(self, caller: Caller, last: SuppliedOrder | None) -> Sequence[Any]:
        before = OrderId(last.id) if last is not None else None
        query = SuppliedQuery(caller.merchant, before=before, orders_max=_AT_ONCE)
        [page] = await self._apis.orders.list_supplied([query])
        return page

    async def batches(self, caller: Caller) -> Sequence[Any] | None:
        product = await find_product(self._apis.catalog, caller, caller.part("serial"))
        if product is None:
            return None
        found: list[tuple[str, KeyBatch]] = []
        for sku in [each.sku for each in product.product.variants]:
            before = None
            while True:
                query = BatchQuery(sku, before, _AT_ONCE)
                [page] = await self._apis.catalog.list_batches([query])
                if not page:
                    break
                found += [(sku, each) for each in page]
                before = page[-1].id
        return found


def merchant_lists(desk: Desk, *more: SmallList) -> SmallLists:
    """Give the files of a merchant's short lists, and of more that pages of their own have."""
    reads, agents = _Reads(desk), "/merchant/agents"
    balance, goods, shop = (
        Permission.BALANCE_READ,
        Permission.PRODUCTS_READ,
        Permission.SHOP_WRITE,
    )
    programs, stock = Permission.API_KEYS_WRITE, "/merchant/products/{serial:str}/stock"
    lists = [
        SmallList("/merchant/payouts", "/accounts.csv", _ACCOUNTS, balance, PAYEES, reads.payees),
        SmallList("/merchant/domains", ".csv", _TITLE, shop, DOMAINS, reads.domains),
        SmallList("/merchant/methods", ".csv", _TITLE, shop, METHODS, reads.methods),
        SmallList("/merchant/fees", ".csv", _TITLE, balance, FEES, reads.fees),
        SmallList(agents, ".csv", _AGENCIES, goods, AGENCIES, reads.agencies),
        SmallList(agents, "/sales.csv", _SALES, balance, SOLD, None, reads.sold),
        SmallList("/merchant/webhooks", ".csv", _TITLE, programs, ENDPOINTS, reads.endpoints),
        SmallList(
            "/merchant/answers", ".csv", _TITLE, Permission.ORDERS_READ, CANNED, reads.canned
        ),
        SmallList(stock, "/batches.csv", _TITLE, Permission.KEYS_READ, BATCHES, reads.batches),
    ]

    async def logged(caller: Caller, act: str, subject: str, told: Any) -> Any:
        return await log_export(desk, caller, act, subject, told)

    return SmallLists(desk, [*lists, *more], logged)
