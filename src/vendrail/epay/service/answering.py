"""Answering: what api.php is asked, by number and key; and refunds, by the way all refunds take."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from vendrail.api.epay import (
    EpayAsk,
    EpayFound,
    EpayMerchant,
    EpayOrder,
    EpayPage,
    EpayRefund,
    EpayStatus,
)
from vendrail.api.identity import Act, Actor, ActorKind, Identity, Origin
from vendrail.api.orders import (
    OrderId,
    OrderQuery,
    Orders,
    OrderView,
    RefundOrder,
    RefundOrderStatus,
)
from vendrail.api.payments import Payments
from vendrail.api.settlement import Settlement
from vendrail.epay import decide, store
from vendrail.epay.decide import Told
from vendrail.epay.service.accounts import Accounts, Keyed
from vendrail.epay.settings import EpaySettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database, Row
from vendrail.kernel.epay import CURRENCY
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import derive, from_serial, to_serial

_ORDERS_MAX = 50
_PAGE_MAX = 1_000
_LOOK_S = 0.1
_REFUND_STATUSES = {
    RefundOrderStatus.ORDER_NOT_FOUND: EpayStatus.ORDER_UNKNOWN,
    RefundOrderStatus.NOT_PAID: EpayStatus.ORDER_UNPAID,
    RefundOrderStatus.DISPUTED: EpayStatus.ORDER_DISPUTED,
    RefundOrderStatus.MORE_THAN_CAPTURED: EpayStatus.REFUND_TOO_LARGE,
    RefundOrderStatus.EXISTS_DIFFERENT: EpayStatus.ORDER_DIFFERS,
}


class Answering:
    """Answers sites' questions."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        settings: EpaySettings,
        accounts: Accounts,
        orders: Orders,
        payments: Payments,
        settlement: Settlement,
        identity: Identity,
    ) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._accounts = accounts
        self._orders = orders
        self._payments = payments
        self._settlement = settlement
        self._identity = identity

    async def read_merchants(self, asks: Sequence[EpayAsk]) -> list[EpayMerchant]:
        """Tell what merchants have; few and each its own, so one by one."""
        return [
            EpayMerchant(keyed) if isinstance(keyed, EpayStatus) else await self._merchant(keyed)
            for keyed in await self._accounts.admit_keys(asks)
        ]

    async def _merchant(self, keyed: Keyed) -> EpayMerchant:
        merchant = keyed.account.merchant
        [balance] = await self._settlement.read_merchant_balances([(merchant, CURRENCY)])
        async with self._db.reading() as tx:
            count = await store.count_charges(tx, keyed.pid)
        return EpayMerchant(EpayStatus.TAKEN, keyed.account, balance.available_minor, count)

    async def read_orders(self, asks: Sequence[EpayAsk]) -> list[EpayFound]:
        """Tell how charges stand."""
        keyed = await self._accounts.admit_keys(asks)
        found = []
        for ask, who in zip(asks, keyed, strict=True):
            row = None if isinstance(who, EpayStatus) else await self._find(who, ask)
            if isinstance(who, EpayStatus):
                found.append(EpayFound(who))
            elif row is None:
                found.append(EpayFound(EpayStatus.ORDER_UNKNOWN))
            else:
                found.append(EpayFound(EpayStatus.TAKEN, await self._show([row])))
        return found

    async def list_orders(self, pages: Sequence[EpayPage]) -> list[EpayFound]:
        """List sites' charges."""
        keyed = await self._accounts.admit_keys([page.ask for page in pages])
        found = []
        for page, who in zip(pages, keyed, strict=True):
            if isinstance(who, EpayStatus):
                found.append(EpayFound(who))
                continue
            most = max(1, min(page.orders_max, _ORDERS_MAX))
            passed = (max(1, min(page.page, _PAGE_MAX)) - 1) * most
            async with self._db.reading() as tx:
                rows = await store.list_charges(tx, who.pid, most, passed)
            found.append(EpayFound(EpayStatus.TAKEN, await self._show(rows)))
        return found

    async def _find(self, keyed: Keyed, ask: EpayAsk) -> Row | None:
        """Find a site's own charge: our number wins; another site's is not there."""
        async with self._db.reading() as tx:
            if ask.trade_no:
                try:
                    order = from_serial(ask.trade_no)
                except Malformed:
                    return None
                row = (await store.load_charges(tx, [order])).get(order)
                return row if row is not None and row["pid"] == keyed.pid else None
            name = (keyed.pid, ask.out_trade_no)
            return (await store.find_charges(tx, [name[0]], [name[1]])).get(name)

    async def _show(self, rows: Sequence[Row]) -> list[EpayOrder]:
        if not rows:
            return []
        ids = [OrderId(row["order"]) for row in rows]
        views = await self._orders.read_orders([OrderQuery(id, None) for id in ids])
        types = await self._types(rows)
        return [
            EpayOrder(
                row["pid"],
                to_serial(row["order"]),
                row["number"],
                types[row["order"]],
                row["title"],
                row["amount_minor"],
                view.refunded_minor if view else 0,
                row["param"],
                row["made_at"],
                view.paid_at if view and view.delivered_at else None,
            )
            for row, view in zip(rows, views, strict=True)
        ]

    async def _types(self, rows: Sequence[Row]) -> dict[UUID, str]:
        """Give how charges were paid; where they were not, how they were to be."""
        captures = await self._payments.read_captures([row["order"] for row in rows])
        return {
            row["order"]: decide.type_of(paid[0].method) if paid else row["type"]
            for row, paid in zip(rows, captures, strict=True)
        }

    async def tell(self, orders: Sequence[UUID]) -> dict[UUID, tuple[Row, Told, str]]:
        """Give what sites are told of paid charges, with the charge and the key that signs it."""
        async with self._db.reading() as tx:
            rows = await store.load_charges(tx, orders)
        if not rows:
            return {}
        ids = [OrderId(order) for order in rows]
        views = dict(
            zip(
                ids,
                await self._orders.read_orders([OrderQuery(id, None) for id in ids]),
                strict=True,
            )
        )
        paid = [rows[id] for id in ids if _is_paid(views[id])]
        types = await self._types(paid) if paid else {}
        keyed = await self._accounts.open({row["pid"] for row in paid})
        return {
            row["order"]: (
                row,
                Told(
                    row["pid"],
                    to_serial(row["order"]),
                    row["number"],
                    types[row["order"]],
                    row["title"],
                    row["amount_minor"],
                    row["param"],
                ),
                keyed[row["pid"]].key,
            )
            for row in paid
        }

    async def read_returns(self, orders: Sequence[UUID]) -> list[str | None]:
        """Give the signed addresses that buyers go back to."""
        told = await self.tell(orders)
        return [
            decide.with_query(found[0]["return_url"], decide.tell(*found[1:]))
            if (found := told.get(order)) and found[0]["return_url"]
            else None
            for order in orders
        ]

    async def refund(self, refunds: Sequence[EpayRefund]) -> list[EpayStatus]:
        """Give money back; few and each its own, so one by one."""
        keyed = await self._accounts.admit_keys([each.ask for each in refunds])
        return [await self._refund(*each) for each in zip(refunds, keyed, strict=True)]

    async def _refund(self, asked: EpayRefund, keyed: Keyed | EpayStatus) -> EpayStatus:
        if isinstance(keyed, EpayStatus):
            return keyed
        if not keyed.account.can_refund:
            return EpayStatus.REFUNDS_OFF
        if asked.amount_minor <= 0:
            return EpayStatus.MONEY_MALFORMED
        row = await self._find(keyed, asked.ask)
        if row is None:
            return EpayStatus.ORDER_UNKNOWN
        order = OrderId(row["order"])
        id = derive(order, f"epay:refund:{asked.number}") if asked.number else asked.id
        name = f"epay:{keyed.pid}"
        origin = Origin(asked.address)
        act = Act(
            id,
            Actor(ActorKind.API_KEY, None, name, origin),
            "order.refunded",
            f"order:{to_serial(order)}",
            keyed.account.merchant,
            after={"asked_minor": str(asked.amount_minor), "currency": CURRENCY},
        )
        await self._identity.record_acts([act])
        refund = RefundOrder(id, order, asked.amount_minor, "api.php", name)
        [status] = await self._orders.refund_orders([refund])
        if status in _REFUND_STATUSES:
            return _REFUND_STATUSES[status]
        return await self._await_refund(order, id)

    async def _await_refund(self, order: OrderId, refund: UUID) -> EpayStatus:
        """Wait a moment for the provider's word: sites take the answer for the end."""
        until = self._clock.now() + timedelta(seconds=self._settings.refund_wait_s)
        while True:
            [refunds] = await self._orders.read_refunds([order])
            state = next((each.state for each in refunds if each.id == refund), "asked")
            if state != "asked":
                return EpayStatus.TAKEN if state == "paid" else EpayStatus.REFUND_FAILED
            if self._clock.now() >= until:
                return EpayStatus.REFUND_PENDING
            await self._clock.sleep(_LOOK_S)


def _is_paid(view: OrderView | None) -> bool:
    return view is not None and view.delivered_at is not None
