"""Deposits: an address for each attempt, what has come to it, and what leaves by plan."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import structlog

from vendrail.api.payments import AttemptId
from vendrail.api.payments.deposits import (
    Arrival,
    DepositView,
    Holding,
    HoldingsPage,
    HoldingsQuery,
    PlanKind,
    PlannedTransaction,
    PlanRequest,
    PlanStatus,
    Published,
    PublishStatus,
    SignedTransaction,
    TransactionPlan,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.ids import from_serial, to_serial
from vendrail.payments.accounts import Accounts, OpenAccount
from vendrail.payments.channels.base import Ask, CloseOutcome, QueryAnswer, QueryOutcome
from vendrail.payments.channels.deposit import Deposit
from vendrail.payments.channels.line import ProviderAway
from vendrail.payments.channels.watching import (
    Place,
    Repayment,
    WatchingChannel,
    amount_text,
    watching,
)
from vendrail.payments.decide import EXPIRY_MARGIN, Standing
from vendrail.payments.depositing import OVER
from vendrail.payments.store import deposits as rows
from vendrail.payments.store.base import Row, Store
from vendrail.payments.watching import Watching

_PLACES_MAX = 200

_log = structlog.get_logger(__name__)


class Deposits:
    """Gives addresses out, says what has come to them, and plans what is signed offline."""

    def __init__(self, store: Store, accounts: Accounts, watching: Watching, clock: Clock) -> None:
        self._watching = watching
        self._store = store
        self._accounts = accounts
        self._clock = clock

    async def reserve(
        self, account: OpenAccount, asks: Sequence[tuple[UUID, Ask]]
    ) -> dict[UUID, Deposit]:
        """Give each attempt an address of its own, always the same; none before it is watched."""
        channel = watching(account.channel)
        if channel is None:
            return {}
        ids = [attempt for attempt, _ in asks]
        settings = account.account.settings
        async with self._store.reading() as tx:
            known = await rows.read_deposits(tx, ids)
        if not await self._watching.is_fresh(account):
            return {}
        new = [(attempt, ask) for attempt, ask in asks if attempt not in known]
        if new:
            book = channel.book(settings)
            async with self._store.reading() as tx:
                first = await rows.take_places(tx, book, len(new))
            written = []
            for place, (attempt, ask) in enumerate(new, first):
                deposit = channel.deposit(ask, place, settings)
                if deposit is None:
                    continue
                written.append(
                    (
                        attempt,
                        account.row.id,
                        book,
                        place,
                        deposit.address,
                        deposit.asset,
                        deposit.units,
                        ask.out_trade_no,
                        ask.amount_minor,
                        ask.currency,
                        ask.expires_at,
                    )
                )
            async with self._store.reading() as tx:
                await rows.insert_deposits(tx, written)
                known = await rows.read_deposits(tx, ids)
        return {attempt: _deposit(row) for attempt, row in known.items()}

    async def answer(self, account: OpenAccount, standing: Standing) -> QueryAnswer:
        """Read the chain, and say from the books what became of an attempt."""
        attempt = standing.attempt.id
        if not await self._watching.refresh(account):
            return QueryAnswer(QueryOutcome.UNKNOWN, problem="the chain cannot be read")
        async with self._store.reading() as tx:
            deposit = (await rows.read_deposits(tx, [attempt])).get(attempt)
            arrived = await rows.read_arrivals(tx, [attempt])
        if deposit is not None and deposit["paid_as"] is not None:
            return QueryAnswer(
                QueryOutcome.PAID,
                deposit["paid_as"],
                deposit["amount_minor"],
                deposit["currency"],
                deposit["paid_at"],
            )
        return QueryAnswer(QueryOutcome.UNPAID if arrived else QueryOutcome.NOT_FOUND)

    async def closing(self, account: OpenAccount, standing: Standing) -> CloseOutcome:
        """Refuse to close what has its money on the way; no address can be closed for good."""
        channel = watching(account.channel)
        assert channel is not None
        attempt = standing.attempt.id
        if not await self._watching.refresh(account):
            return CloseOutcome.UNKNOWN
        async with self._store.reading() as tx:
            deposit = (await rows.read_deposits(tx, [attempt])).get(attempt)
            arrived = await rows.read_arrivals(tx, [attempt])
        if deposit is None:
            return CloseOutcome.NOT_FOUND
        over_at = deposit["expires_at"] + EXPIRY_MARGIN
        units = sum(
            _worth(account, channel, row, deposit["asset"])
            for row in arrived
            if row["at"] <= over_at or channel.is_steady(row["asset"], deposit["asset"])
        )
        return CloseOutcome.REFUSED if units >= deposit["units"] else CloseOutcome.UNSUPPORTED

    async def read(self, attempts: Sequence[AttemptId]) -> list[DepositView | None]:
        """Read what is asked for at attempts' addresses, and what has come."""
        accounts = await self._accounts.all()
        async with self._store.reading() as tx:
            found = await rows.read_deposits(tx, attempts)
            marks = await rows.read_marks(tx, [row["channel"] for row in found.values()])
            arrived = await rows.read_arrivals(tx, list(found)) if found else []
        by_attempt: dict[UUID, list[Row]] = {}
        for row in arrived:
            by_attempt.setdefault(row["attempt_id"], []).append(row)
        views: list[DepositView | None] = []
        for attempt in attempts:
            deposit = found.get(attempt)
            account = accounts.get(deposit["channel"]) if deposit is not None else None
            mark = marks.get(deposit["channel"]) if deposit is not None else None
            if deposit is None or account is None or mark is None:
                views.append(None)
                continue
            views.append(_view(account, deposit, mark, by_attempt.get(attempt, [])))
        return views

    async def holdings(self, queries: Sequence[HoldingsQuery]) -> list[HoldingsPage]:
        """Ask nodes what the treasury holds, and the addresses that something came to."""
        return [await self._holdings(query) for query in queries]

    async def _holdings(self, query: HoldingsQuery) -> HoldingsPage:
        account = (await self._accounts.all()).get(query.channel)
        if account is None:
            return HoldingsPage(problem="channel_not_found")
        channel = watching(account.channel)
        if channel is None:
            return HoldingsPage(problem="not_watched")
        settings = account.account.settings
        size = max(1, min(query.places_max, _PLACES_MAX))
        async with self._store.reading() as tx:
            found = await rows.read_places(tx, account.row.id, query.after, size)
        places = [Place(row["place"], row["address"]) for row in found]
        if query.after < 0:
            places.insert(0, Place(-1, channel.treasury(settings)))
        try:
            held = await channel.holdings([each.address for each in places], account.account)
        except ProviderAway as error:
            return HoldingsPage(problem=str(error))
        return HoldingsPage(
            [
                Holding(
                    place.place,
                    place.address,
                    {
                        channel.unit(asset, settings).symbol: amount_text(
                            units, channel.unit(asset, settings).decimals
                        )
                        for asset, units in each.units.items()
                    },
                )
                for place, each in zip(places, held, strict=True)
            ]
        )

    # Refunds.

    async def refund_state(
        self, account: OpenAccount, refund: Row, capture: Row
    ) -> tuple[str, str, bool]:
        """Say whether a refund's money has left for good: state, problem, whether it is sure."""
        channel = watching(account.channel)
        assert channel is not None
        async with self._store.reading() as tx:
            mark = await rows.read_mark(tx, account.row.id)
            left = (await rows.read_left(tx, [refund["id"]])).get(refund["id"], [])
            planned = (await rows.read_planned(tx, [refund["id"]])).get(refund["id"])
            found = await rows.read_deposits(tx, [capture["attempt_id"]])
            deposit = found.get(capture["attempt_id"])
        if not left or mark is None or deposit is None:
            return "pending", "waits for a signed transaction", False
        if planned is not None and planned["units"] is not None:
            asset, asked = planned["asset"], int(planned["units"])
        else:
            asset = deposit["asset"]
            asked = int(deposit["units"]) * refund["amount_minor"] // deposit["amount_minor"]
        final = min(mark["final"], mark["block"])
        sent = sum(_worth(account, channel, row, asset) for row in left if row["block"] <= final)
        if sent >= asked:
            return "succeeded", "", True
        return "pending", "its transaction is not final yet, or sent too little", False

    # What is signed offline.

    async def plan(self, requests: Sequence[PlanRequest]) -> list[TransactionPlan]:
        """Make what is to be signed; a refund keeps its nonce until another has used it."""
        return [await self._plan(request) for request in requests]

    async def _plan(self, request: PlanRequest) -> TransactionPlan:
        account = (await self._accounts.all()).get(request.channel)
        if account is None:
            return TransactionPlan(PlanStatus.CHANNEL_NOT_FOUND)
        channel = watching(account.channel)
        if channel is None:
            return TransactionPlan(PlanStatus.NOT_WATCHED)
        is_read = await self._watching.refresh(account)
        async with self._store.reading() as tx:
            mark = await rows.read_mark(tx, account.row.id)
        if mark is None or not is_read:
            return TransactionPlan(PlanStatus.BEHIND)
        try:
            if request.kind is PlanKind.REFUNDS:
                planned = await self._plan_refunds(account, channel, mark, request.transactions_max)
            else:
                planned = await self._plan_sweep(account, channel, mark, request.transactions_max)
        except ProviderAway as error:
            return TransactionPlan(PlanStatus.AWAY, problem=str(error))
        return TransactionPlan(PlanStatus.PLANNED, planned)

    async def _plan_refunds(
        self,
        account: OpenAccount,
        channel: WatchingChannel[Any],
        mark: Row,
        transactions_max: int,
    ) -> list[PlannedTransaction]:
        settings = account.account.settings
        treasury = channel.treasury(settings)
        async with self._store.reading() as tx:
            due = await rows.read_payable(tx, account.row.id, transactions_max)
            numbers = [row["provider_number"].removesuffix(OVER) for row in due]
            sources = await rows.read_sources(tx, account.row.id, numbers)
        repayments = []
        for row, number in zip(due, numbers, strict=True):
            target = _giver(account, channel, sources.get(number, ()), row["asset"])
            if target is None:
                _log.error("refund.nobody", channel=account.row.name, refund=to_serial(row["id"]))
                continue
            if row["source"] not in {None, treasury}:
                # Whether the other has paid it, these books cannot know.
                _log.error(
                    "refund.other_treasury",
                    channel=account.row.name,
                    refund=to_serial(row["id"]),
                    treasury=row["source"],
                )
                continue
            units: int | None = int(row["units"]) * row["amount_minor"] // row["asked_minor"]
            if row["planned_asset"] == target.asset:
                units = int(row["planned_units"])
            else:
                assert units is not None
                units = channel.convert(units, row["asset"], target.asset, settings)
            if units:
                repayments.append(
                    Repayment(
                        to_serial(row["id"]), target.address, target.asset, units, row["nonce"]
                    )
                )
        final = min(mark["final"], mark["block"])
        planned = await channel.plan_refunds(repayments, final, account.account)
        asked = {each.refund: each for each in repayments}
        nonces = [
            (
                from_serial(each.subject),
                each.nonce,
                treasury,
                asked[each.subject].asset,
                asked[each.subject].units,
            )
            for each in planned
        ]
        if nonces:
            async with self._store.reading() as tx:
                await rows.put_nonces(tx, nonces, self._clock.now())
        return planned

    async def _plan_sweep(
        self,
        account: OpenAccount,
        channel: WatchingChannel[Any],
        mark: Row,
        transactions_max: int,
    ) -> list[PlannedTransaction]:
        """Empty addresses; what pays for it stands behind the refunds that are planned."""
        refunds = await self._plan_refunds(account, channel, mark, _PLACES_MAX)
        nonce_min = max((each.nonce + 1 for each in refunds), default=0)
        planned: list[PlannedTransaction] = []
        after = -1
        while len(planned) < transactions_max:
            async with self._store.reading() as tx:
                found = await rows.read_places(tx, account.row.id, after, _PLACES_MAX)
            if not found:
                break
            after = found[-1]["place"]
            places = [Place(row["place"], row["address"]) for row in found]
            more = await channel.plan_sweep(places, nonce_min, account.account)
            nonce_min += sum(each.purpose == "fund" for each in more)
            planned += more
        return planned

    async def publish(self, signed: Sequence[SignedTransaction]) -> list[Published]:
        """Hand signed transactions to their chains, in order."""
        accounts = await self._accounts.all()
        said = []
        for each in signed:
            account = accounts.get(each.channel)
            channel = watching(account.channel) if account is not None else None
            if account is None or channel is None:
                said.append(Published(PublishStatus.CHANNEL_NOT_FOUND))
                continue
            said += await channel.publish([each.raw], account.account)
        return said


def _deposit(row: Row) -> Deposit:
    return Deposit(row["place"], row["address"], row["asset"], int(row["units"]))


def _worth(account: OpenAccount, channel: WatchingChannel[Any], row: Row, asset: str) -> int:
    """Give a transfer's units in what was asked for; 0 where nobody knows."""
    settings = account.account.settings
    return channel.convert(int(row["units"]), row["asset"], asset, settings) or 0


class _Target(NamedTuple):
    """Where money goes back to, and as what."""

    address: str
    asset: str


def _giver(
    account: OpenAccount, channel: WatchingChannel[Any], came: Sequence[Row], asset: str
) -> _Target | None:
    """Give who sent the transfer that was worth most, of those that were worth anything.

    Where a person said what it is worth it goes back in what was asked for, for that is watched.
    """
    if came and came[0]["priced_minor"] is not None:
        return _Target(came[0]["refund_to"] or came[0]["source"], asset)
    worths = [_worth(account, channel, row, asset) for row in came]
    most = max(worths, default=0)
    found = came[worths.index(most)] if most else None
    return _Target(found["source"], found["asset"]) if found is not None else None


def _view(account: OpenAccount, deposit: Row, mark: Row, arrived: Sequence[Row]) -> DepositView:
    channel = watching(account.channel)
    assert channel is not None
    unit = channel.unit(deposit["asset"], account.account.settings)
    final = min(mark["final"], mark["block"])
    worths = [_worth(account, channel, row, deposit["asset"]) for row in arrived]
    asked, total = int(deposit["units"]), sum(worths)
    return DepositView(
        deposit["address"],
        unit.symbol,
        unit.network,
        amount_text(asked, unit.decimals),
        amount_text(total, unit.decimals),
        amount_text(max(0, asked - total), unit.decimals),
        mark["confirmations"],
        deposit["paid_as"] is not None,
        [
            Arrival(
                row["number"],
                amount_text(worth, unit.decimals),
                max(0, mark["latest"] - row["block"] + 1),
                row["block"] <= final,
            )
            for row, worth in zip(arrived, worths, strict=True)
        ],
    )
