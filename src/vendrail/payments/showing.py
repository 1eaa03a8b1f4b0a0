"""Showing: channels make the way to pay; where one fails to, the next one does, in the same click.

A channel that does not answer in its share of the time is given up. Before another takes over it is
asked what became of the attempt: what is paid stays there, and so does one that its buyer has seen
while nothing is said of it. What nobody has seen can be paid by nobody, and moves on.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import structlog

from vendrail.api.payments import (
    ActionKind,
    Attempt,
    AttemptId,
    AttemptState,
    Device,
    PaymentAction,
    PresentRequest,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode, replace
from vendrail.kernel.ids import derive
from vendrail.payments.accounts import Accounts, OpenAccount
from vendrail.payments.asking import Asking
from vendrail.payments.attempts import NUMBER_MAX, out_trade_no
from vendrail.payments.channels.base import Ask, Blame, Presentation, away, blame_of
from vendrail.payments.channels.watching import watching
from vendrail.payments.counts import Counts
from vendrail.payments.decide import Standing
from vendrail.payments.deposits import Deposits
from vendrail.payments.learning import Learning
from vendrail.payments.saving import SavedWays
from vendrail.payments.settings import PaymentsSettings
from vendrail.payments.steering import Steering
from vendrail.payments.store import attempts as rows
from vendrail.payments.store.base import Store

_ASK_S_MAX = 0.5  # So long an earlier channel is waited for, when it is asked what became of it.
_AWAY = "provider_away"  # A problem that another channel may not have …
_ELSEWHERE = "other_device"  # … and one that the same channel may not have either, asked anew.

_MOVABLE = frozenset({_AWAY, _ELSEWHERE})
_OTHER_DEVICE = PaymentAction(ActionKind.NONE, problem=_ELSEWHERE)

_log = structlog.get_logger(__name__)


class Wanted(NamedTuple):
    """One way to pay that is to be made."""

    account: OpenAccount
    request: PresentRequest
    standing: Standing
    siblings: Sequence[Standing]
    tried: frozenset[UUID] = frozenset()

    @property
    def is_fresh(self) -> bool:
        """Tell whether nobody can have seen it before."""
        return not self.standing.is_presented or self.standing.is_unseen


class Showing:
    """Lets channels make ways to pay, and moves on from those that cannot."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        clock: Clock,
        settings: PaymentsSettings,
        counts: Counts,
        learning: Learning,
        steering: Steering,
        asking: Asking,
        deposits: Deposits,
        saved_ways: SavedWays,
    ) -> None:
        self._deposits = deposits
        self._saved_ways = saved_ways
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._settings = settings
        self._counts = counts
        self._learning = learning
        self._steering = steering
        self._asking = asking

    async def show(self, wanted: Sequence[Wanted]) -> dict[PresentRequest, PaymentAction]:
        """Give an action for each request, within the time that one click may take."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._settings.opening_budget_s
        actions: dict[PresentRequest, PaymentAction] = {}
        left = list(wanted)
        while left:
            nexts = {each.request: await self._next(each) for each in left}
            barred = {each.request for each in left if _is_barred(each, nexts[each.request])}
            fetched = [each for each in left if each.request not in barred]
            shown, said = await self._fetch(fetched, nexts, until_s)
            failed = []
            for each in left:
                action = shown.get(each.request, _OTHER_DEVICE)
                if each.tried and action.kind is not ActionKind.NONE:
                    action = replace(action, attempt=each.standing.attempt.id)
                actions[each.request] = action
                if action.kind is ActionKind.NONE and action.problem in _MOVABLE:
                    failed.append(each)
                elif action.kind is not ActionKind.NONE:
                    self._learning.note_opening(each.account.row.id)
            await self._mark(left, failed)
            away = [each for each in failed if actions[each.request].problem == _AWAY]
            self._blame([(each, said.get(each.request) or _AWAY) for each in away])
            nexts = {
                each.request: _follower(each, actions[each.request].problem, nexts[each.request])
                for each in failed
            }
            moving = [each for each in failed if nexts[each.request] is not None]
            left = []
            if moving and loop.time() < until_s:
                left = await self._move(moving, nexts, actions, until_s)
        return actions

    async def _mark(self, shown: Sequence[Wanted], failed: Sequence[Wanted]) -> None:
        """Write down what nobody has seen so far, and what somebody sees now."""
        unseen = [each.standing.attempt.id for each in failed if each.is_fresh]
        seen = [
            each.standing.attempt.id
            for each in shown
            if each.standing.is_unseen and each not in failed
        ]
        if unseen or seen:
            async with self._store.transaction() as tx:
                await rows.mark_unseen(tx, sorted(unseen), is_unseen=True)
                await rows.mark_unseen(tx, sorted(seen), is_unseen=False)

    def _blame(self, failed: Sequence[tuple[Wanted, str]]) -> None:
        for each, said in failed:
            if blame_of(each.account.channel, said) is Blame.CHANNEL:
                attempt = each.standing.attempt
                self._learning.note_failure(
                    each.account.row.id, attempt.method, attempt.country, attempt.amount_minor
                )

    async def _next(self, each: Wanted) -> OpenAccount | None:
        """Say who would take over; None where whoever opened the attempt named its channel."""
        offers = await self._accounts.offers()
        if len(offers.get(each.standing.attempt.method, ())) < 2 or each.standing.is_named:
            return None
        await self._steering.refresh()
        tried = each.tried | {each.account.row.id}
        free = replace(each.standing.attempt, channel=None, device=each.request.device)
        channel = self._steering.steer(free, offers, tried).channel
        return (await self._accounts.all()).get(channel) if channel is not None else None

    async def _fetch(
        self,
        wanted: Sequence[Wanted],
        nexts: Mapping[PresentRequest, OpenAccount | None],
        until_s: float,
    ) -> tuple[dict[PresentRequest, PaymentAction], dict[PresentRequest, str]]:
        """Let each account's channel make its ways to pay; keep what it says is to be kept.

        Give the ways, and the codes of providers that refused.
        """

        def place(each: Wanted) -> tuple[int, bool, bool]:
            return (each.account.row.id.int, nexts[each.request] is None, not each.tried)

        groups = [
            (is_last, is_first, list(group))
            for (_, is_last, is_first), group in itertools.groupby(sorted(wanted, key=place), place)
        ]
        given = await asyncio.gather(
            *(
                self._present(group, self._limit_s(until_s, is_last=is_last, is_first=is_first))
                for is_last, is_first, group in groups
            )
        )
        actions: dict[PresentRequest, PaymentAction] = {}
        said: dict[PresentRequest, str] = {}
        kept: list[tuple[UUID, bytes | None, str]] = []
        for (_, _, group), presentations in zip(groups, given, strict=True):
            for each, presentation in zip(group, presentations, strict=True):
                actions[each.request] = presentation.action
                said[each.request] = presentation.said
                if presentation.is_kept or presentation.reference:
                    action = encode(presentation.action) if presentation.is_kept else None
                    kept.append((each.standing.attempt.id, action, presentation.reference))
        if kept:
            async with self._store.transaction() as tx:
                await rows.keep_presentations(tx, kept)
        return actions, said

    def _limit_s(self, until_s: float, *, is_last: bool, is_first: bool) -> float | None:
        """Give half of the time that is left to whom another can follow, else all of it.

        Where nobody could ever follow, only the provider's own time-out holds.
        """
        if is_last and is_first:
            return None
        left_s = max(until_s - asyncio.get_running_loop().time(), 0.1)
        return left_s if is_last else left_s / 2

    async def _present(
        self, group: Sequence[Wanted], limit_s: float | None
    ) -> Sequence[Presentation]:
        account = group[0].account
        asks = [self._ask(each) for each in group]
        try:
            async with asyncio.timeout(limit_s):
                if watching(account.channel) is not None:
                    ids = [each.standing.attempt.id for each in group]
                    pairs = list(zip(ids, asks, strict=True))
                    places = await self._deposits.reserve(account, pairs)
                    asks = [replace(ask, deposit=places.get(id)) for id, ask in pairs]
                asks = await self._remembered(account, group, asks)
                call = account.channel.present(asks, account.account, self._clock.now())
                shown: list[Presentation] = await self._counts.timed(account.row, "present", call)
        except TimeoutError:
            account.account.line.breaker.fail()  # Too slow for a buyer is as good as away.
            return [away()] * len(group)
        return shown

    async def _remembered(
        self, account: OpenAccount, group: Sequence[Wanted], asks: list[Ask]
    ) -> list[Ask]:
        """Name those buyers to the provider who have agreed that it remembers how they pay.

        Only to themselves: whoever else opens the attempt pays with nothing remembered.
        """
        agreed = {
            each.request.buyer: each.standing.attempt.expires_at
            for each in group
            if each.request.buyer is not None and each.request.buyer == each.standing.attempt.buyer
        }
        if not agreed:
            return asks
        names = await self._saved_ways.customers(account, agreed)
        return [
            replace(ask, customer=names[buyer])
            if (buyer := each.standing.attempt.buyer) in names and buyer == each.request.buyer
            else ask
            for each, ask in zip(group, asks, strict=True)
        ]

    def _ask(self, each: Wanted) -> Ask:
        attempt, account, request = each.standing.attempt, each.account, each.request
        opened_at = each.standing.opened_at
        return Ask(
            out_trade_no=out_trade_no(attempt.order, attempt.number),
            method=attempt.method,
            amount_minor=attempt.amount_minor,
            currency=attempt.currency,
            title=attempt.title,
            opened_at=opened_at,
            expires_at=min(attempt.expires_at, opened_at + account.channel.expires_max),
            notify_url=f"{self._settings.public_url.rstrip('/')}/callbacks/{account.row.id}",
            return_url=request.return_url or attempt.return_url,
            quit_url=request.quit_url,
            door_url=request.door_url,
            returned=request.returned,
            device=request.device,
            address=request.address,
            reference=each.standing.reference,
            is_own=request.is_own,
        )

    # Moving on.

    async def _move(
        self,
        failed: Sequence[Wanted],
        nexts: Mapping[PresentRequest, OpenAccount | None],
        actions: dict[PresentRequest, PaymentAction],
        until_s: float,
    ) -> list[Wanted]:
        """Give what goes on over another channel, opened there; the others keep their answer."""
        known = [  # Of what was passed by unseen, no provider can have heard.
            each
            for each in failed
            if not (each.is_fresh and actions[each.request] is _OTHER_DEVICE)
        ]
        said = await self._ask_before(known, until_s) if known else {}
        moved: list[Wanted] = []
        for each in failed:
            state = said.get(each.standing.attempt.id)
            if state is AttemptState.CAPTURED:
                actions[each.request] = PaymentAction(ActionKind.NONE, problem="captured")
            elif state is not None or each.is_fresh:
                account = nexts[each.request]
                problem = actions[each.request].problem
                device = each.request.device if problem == _ELSEWHERE else None
                standing = await self._reopen(each, account, device) if account else None
                if account is not None and standing is not None:
                    tried = each.tried | {each.account.row.id}
                    siblings = [*each.siblings, standing]
                    moved.append(Wanted(account, each.request, standing, siblings, tried))
        return moved

    async def _ask_before(
        self, failed: Sequence[Wanted], until_s: float
    ) -> dict[AttemptId, AttemptState | None]:
        """Ask the channels that failed what became of the attempts; silence says nothing."""
        ids = [each.standing.attempt.id for each in failed]
        left_s = until_s - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(max(min(_ASK_S_MAX, left_s / 2), 0.05)):
                return dict(zip(ids, await self._asking.query(ids), strict=True))
        except TimeoutError:
            return {}

    async def _reopen(
        self, each: Wanted, account: OpenAccount, device: Device | None
    ) -> Standing | None:
        """Open the same payment over an account, or give the one opened there before.

        With a device: there alone will do what was opened on such a one.
        """
        for sibling in each.siblings:
            is_same = sibling.attempt.method == each.standing.attempt.method
            is_there = sibling.channel == account.row.id and not sibling.is_closed
            is_fit = sibling is not each.standing and device in {None, sibling.attempt.device}
            if is_same and is_there and is_fit:
                return sibling
        number = 1 + max(sibling.attempt.number for sibling in each.siblings)
        if number > NUMBER_MAX:
            return None
        now = self._clock.now()
        before = each.standing.attempt
        attempt = replace(
            before,
            id=AttemptId(derive(before.order, f"attempt:{number}")),
            number=number,
            channel=None,
            device=each.request.device,
        )
        tried = each.tried | ({each.account.row.id} - {account.row.id})
        steered = self._steering.steer(attempt, await self._accounts.offers(), tried)
        route = steered.route if steered.channel == account.row.id else None
        attempt = replace(attempt, channel=account.row.id)
        row = rows.attempt_row(attempt, account.row.id, route, now)
        async with self._store.transaction() as tx:
            opened = await rows.insert_attempts(tx, [row])
            if opened:
                await rows.insert_presentations(tx, [attempt.id], now)
        if not opened:
            return None  # The buyer has opened another way meanwhile.
        _log.warning(
            "payment.failed_over",
            order=str(before.order),
            source=each.account.row.name,
            target=account.row.name,
        )
        return _standing(attempt, account.row.id, now)


def _works(account: OpenAccount, each: Wanted) -> bool:
    """Tell whether an account's way opens where the buyer's browser runs now."""
    method = each.standing.attempt.method
    devices = next((offer.devices for offer in account.offers if offer.method == method), ())
    return not devices or each.request.device in devices


def _is_barred(each: Wanted, follower: OpenAccount | None) -> bool:
    """Tell whether a way does not open in the buyer's browser, while another one's does."""
    return follower is not None and not _works(each.account, each) and _works(follower, each)


def _follower(each: Wanted, problem: str, another: OpenAccount | None) -> OpenAccount | None:
    """Say who takes over: what was opened elsewhere goes on under a number of its own."""
    if problem != _ELSEWHERE:
        return another
    if each.account.row.id in each.tried:
        return None
    if _works(each.account, each):
        return each.account
    return another if another is not None and _works(another, each) else None


def _standing(attempt: Attempt, channel: UUID, now: datetime) -> Standing:
    return Standing(
        attempt=attempt,
        opened_at=now,
        channel=channel,
        is_presented=False,
        action=None,
        reference="",
        is_closed=False,
        is_final=False,
        is_captured=False,
        is_waiting=False,
    )
