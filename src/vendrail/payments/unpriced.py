"""Money at orders' addresses whose worth nobody knows, until a person says it."""

from collections.abc import Sequence
from typing import Any

import structlog

from vendrail.api.payments.deposits import (
    UnpricedArrival,
    UnpricedQuery,
    UnpricedStatus,
    UnpricedVerdict,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.errors import Error
from vendrail.kernel.money import AMOUNT_MINOR_MAX
from vendrail.payments.accounts import Accounts, OpenAccount
from vendrail.payments.attempts import read_out_trade_no
from vendrail.payments.channels.watching import WatchingChannel, amount_text, watching
from vendrail.payments.sighted import worth_of
from vendrail.payments.store import deposits as rows
from vendrail.payments.store.base import Row, Store
from vendrail.payments.watching import Watching

_ARRIVALS_MAX = 1_000

_log = structlog.get_logger(__name__)


class Unpriced:
    """Lists it, and counts it as what a person says: from then on it is money like any other."""

    def __init__(self, store: Store, accounts: Accounts, watching: Watching, clock: Clock) -> None:
        self._store = store
        self._accounts = accounts
        self._watching = watching
        self._clock = clock

    async def find(self, queries: Sequence[UnpricedQuery]) -> list[list[UnpricedArrival]]:
        """List what came, oldest first."""
        return [await self._find(query) for query in queries]

    async def _find(self, query: UnpricedQuery) -> list[UnpricedArrival]:
        found: list[UnpricedArrival] = []
        for account in (await self._accounts.all()).values():
            channel = watching(account.channel)
            if channel is None or query.channel not in {None, account.row.id}:
                continue
            async with self._store.reading() as tx:
                mark = await rows.read_mark(tx, account.row.id)
                came = await rows.read_open(tx, account.row.id) if mark is not None else []
            if mark is None:
                continue
            final = min(mark["final"], mark["block"])
            found += [
                _arrival(account, channel, row, final)
                for row in came
                if query.number in {"", row["number"]}
                and row["priced_minor"] is None
                and worth_of(account, channel, row) is None
            ]
        found.sort(key=lambda each: (each.at, each.number))
        return found[: max(0, min(query.arrivals_max, _ARRIVALS_MAX))]

    async def price(self, verdicts: Sequence[UnpricedVerdict]) -> list[UnpricedStatus]:
        """Write what people say, and count it at once."""
        return [await self._price(verdict) for verdict in verdicts]

    async def _price(self, verdict: UnpricedVerdict) -> UnpricedStatus:
        account = (await self._accounts.all()).get(verdict.channel)
        channel = watching(account.channel) if account is not None else None
        if account is None or channel is None:
            return UnpricedStatus.NOT_FOUND
        refund_to = channel.address(verdict.refund_to) if verdict.refund_to else None
        async with self._store.transaction() as tx:
            mark = await rows.read_mark(tx, account.row.id)
            row = await rows.take_arrival(tx, account.row.id, verdict.number)
            if row is None or mark is None:
                return UnpricedStatus.NOT_FOUND
            if row["priced_minor"] is not None:
                is_same = (row["priced_minor"], row["refund_to"]) == (
                    verdict.amount_minor,
                    refund_to,
                )
                return UnpricedStatus.EXISTS if is_same else UnpricedStatus.EXISTS_DIFFERENT
            if row["counted_as"] is not None:
                return UnpricedStatus.NOT_FOUND
            if worth_of(account, channel, row) is not None:
                return UnpricedStatus.RATE_KNOWN
            if row["block"] > min(mark["final"], mark["block"]):
                return UnpricedStatus.NOT_FINAL
            if not 0 < verdict.amount_minor <= AMOUNT_MINOR_MAX:
                return UnpricedStatus.AMOUNT_OUT_OF_RANGE
            treasury = channel.address(channel.treasury(account.account.settings))
            if verdict.refund_to and refund_to in {None, treasury}:
                return UnpricedStatus.ADDRESS_MALFORMED
            if verdict.is_trial:
                return UnpricedStatus.COUNTED
            await rows.price_arrival(
                tx,
                account.row.id,
                verdict.number,
                verdict.amount_minor,
                refund_to,
                verdict.person,
                verdict.reason,
                self._clock.now(),
            )
        try:
            await self._watching.count(account)
        except Error as error:  # It is written: the next look at the chain counts it.
            _log.warning("chain.failed", channel=account.row.name, problem=str(error))
        return UnpricedStatus.COUNTED


def _arrival(
    account: OpenAccount, channel: WatchingChannel[Any], row: Row, final: int
) -> UnpricedArrival:
    unit = channel.unit(row["seen_asset"], account.account.settings)
    is_known = unit.symbol != row["seen_asset"]
    named = read_out_trade_no(row["out_trade_no"])
    return UnpricedArrival(
        account.row.id,
        account.row.name,
        row["number"],
        row["seen_at"],
        named[0] if named is not None else None,
        row["seen_asset"],
        unit.symbol if is_known else "",
        amount_text(int(row["seen_units"]), unit.decimals) if is_known else "",
        str(int(row["seen_units"])),
        row["source"],
        row["target"],
        row["amount_minor"],
        row["currency"],
        row["block"] <= final,
    )
