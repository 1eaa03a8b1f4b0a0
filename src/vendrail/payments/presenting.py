"""Attempts: opened without a word to the provider, shown when the buyer comes to pay."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.payments import (
    ActionKind,
    Attempt,
    AttemptStatus,
    AttemptView,
    PaymentAction,
    PresentRequest,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, replace
from vendrail.payments import decide
from vendrail.payments.accounts import Accounts
from vendrail.payments.attempts import out_trade_no
from vendrail.payments.decide import Standing
from vendrail.payments.showing import Showing, Wanted
from vendrail.payments.steering import Steering
from vendrail.payments.store import attempts as rows
from vendrail.payments.store.base import Store, plain_first


class Presenting:
    """Opens, shows and reads attempts."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        clock: Clock,
        steering: Steering,
        showing: Showing,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._steering = steering
        self._showing = showing

    async def open(self, attempts: Sequence[Attempt]) -> list[AttemptStatus]:
        """Open attempts: one row each, no provider is called."""
        offers = await self._accounts.offers()
        await self._steering.refresh()
        steered = [self._steering.steer(attempt, offers) for attempt in attempts]
        now = self._clock.now()
        new = [
            rows.attempt_row(attempt, given.channel, given.route, now)
            for attempt, given in zip(attempts, steered, strict=True)
            if given.status is AttemptStatus.OPENED
        ]

        async def write(*, is_plain: bool) -> set[UUID]:
            async with self._store.reading() as tx:
                return await rows.insert_attempts(tx, new, is_plain=is_plain)

        opened = await plain_first(write) if new else set()
        known: dict[UUID, Attempt] = {}
        if len(opened) < len(attempts):
            async with self._store.reading() as tx:
                rest = [attempt.id for attempt in attempts if attempt.id not in opened]
                known = await rows.read_attempts(tx, rest) if rest else {}
        statuses = []
        for attempt, (status, channel, _) in zip(attempts, steered, strict=True):
            if attempt.id in opened:
                opened.discard(attempt.id)  # Sent twice in one batch: the second one exists.
                known[attempt.id] = replace(attempt, channel=channel)
                statuses.append(AttemptStatus.OPENED)
            elif attempt.id in known:
                is_same = decide.is_same_attempt(attempt, known[attempt.id])
                statuses.append(AttemptStatus.EXISTS if is_same else AttemptStatus.EXISTS_DIFFERENT)
            elif status is AttemptStatus.OPENED:
                statuses.append(AttemptStatus.EXISTS_DIFFERENT)  # Its number is taken.
            else:
                statuses.append(status)
        return statuses

    async def read(self, orders: Sequence[UUID]) -> list[list[AttemptView]]:
        """Read orders' attempts, first to last."""
        async with self._store.reading() as tx:
            standings = await rows.read_states(tx, orders)
        found: dict[UUID, list[AttemptView]] = {}
        for standing in standings:
            attempt = standing.attempt
            view = AttemptView(
                attempt,
                standing.state,
                out_trade_no(attempt.order, attempt.number),
                standing.opened_at,
            )
            found.setdefault(attempt.order, []).append(view)
        return [found.get(order, []) for order in orders]

    async def present(self, requests: Sequence[PresentRequest]) -> list[PaymentAction]:
        """Give the way to pay, kept or made anew; the provider first hears of it here."""
        now = self._clock.now()
        ids = [request.attempt for request in requests]
        async with self._store.reading() as tx:
            standings = await rows.read_states_by_id(tx, ids)
        by_id = {standing.attempt.id: standing for standing in standings}
        by_order: dict[UUID, list[Standing]] = {}
        for standing in standings:
            by_order.setdefault(standing.attempt.order, []).append(standing)
        problems = {
            id: "attempt_not_found"
            if id not in by_id
            else decide.problem(by_id[id], by_order[by_id[id].attempt.order], now)
            for id in ids
        }
        unseen = [id for id in set(ids) if not problems[id] and not by_id[id].is_presented]
        if unseen:
            # The intent first: from now on the janitor watches it, and it is not closed unasked.
            async with self._store.transaction() as tx:
                await rows.lock_attempts(tx, unseen)
                shown = await rows.insert_presentations(tx, unseen, now)
            problems.update({id: "closed" for id in unseen if id not in shown})
        active = {
            id: account
            for id, account in (await self._accounts.all()).items()
            if account.row.is_active
        }
        actions: dict[PresentRequest, PaymentAction] = {}
        wanted: list[Wanted] = []
        for request in set(requests):
            if problem := problems[request.attempt]:
                actions[request] = PaymentAction(ActionKind.NONE, problem=problem)
                continue
            standing = by_id[request.attempt]
            if standing.action is not None:
                actions[request] = decode(standing.action, PaymentAction)
            elif standing.channel not in active:
                actions[request] = PaymentAction(ActionKind.NONE, problem="provider_away")
            else:
                siblings = by_order[standing.attempt.order]
                wanted.append(Wanted(active[standing.channel], request, standing, siblings))
        actions.update(await self._showing.show(wanted))
        return [actions[request] for request in requests]
