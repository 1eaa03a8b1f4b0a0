"""Attempts: opened without a word to the provider, shown when the buyer comes to pay."""

import itertools
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.payments import (
    ActionKind,
    Attempt,
    AttemptStatus,
    AttemptView,
    Method,
    PaymentAction,
    PresentRequest,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode, replace
from vendrail.payments import decide
from vendrail.payments.accounts import Accounts, OpenAccount
from vendrail.payments.attempts import out_trade_no
from vendrail.payments.channels.base import Ask, Presentation
from vendrail.payments.channels.watching import watching
from vendrail.payments.counts import Counts
from vendrail.payments.decide import Standing
from vendrail.payments.deposits import Deposits
from vendrail.payments.settings import PaymentsSettings
from vendrail.payments.store import attempts as rows
from vendrail.payments.store.base import Store, plain_first


class Presenting:
    """Opens, shows and reads attempts."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        clock: Clock,
        settings: PaymentsSettings,
        counts: Counts,
        deposits: Deposits,
    ) -> None:
        self._deposits = deposits
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._settings = settings
        self._counts = counts
        self._offers: dict[str, list[Method]] = {}
        self._offers_of: object = None

    async def open(self, attempts: Sequence[Attempt]) -> list[AttemptStatus]:
        """Open attempts: one row each, no provider is called."""
        offers = await self._read_offers()
        judged = [decide.attempt(attempt, offers) for attempt in attempts]
        now = self._clock.now()
        new = [
            (
                attempt.id,
                attempt.order,
                attempt.number,
                attempt.merchant,
                channel,
                attempt.method,
                attempt.amount_minor,
                attempt.currency,
                attempt.title,
                attempt.expires_at,
                attempt.return_url,
                attempt.trace_id,
                now,
            )
            for attempt, (status, channel) in zip(attempts, judged, strict=True)
            if status is AttemptStatus.OPENED
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
        for attempt, (status, channel) in zip(attempts, judged, strict=True):
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

    async def _read_offers(self) -> dict[str, list[Method]]:
        accounts = await self._accounts.all()
        if self._offers_of is not accounts:
            offers: dict[str, list[Method]] = {}
            for account in accounts.values():
                for method in self._accounts.methods_of(account):
                    offers.setdefault(method.method, []).append(method)
            self._offers, self._offers_of = offers, accounts
        return self._offers

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
        wanted: list[tuple[OpenAccount, PresentRequest, Standing]] = []
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
                wanted.append((active[standing.channel], request, standing))
        actions.update(await self._fetch(wanted, now))
        return [actions[request] for request in requests]

    async def _fetch(
        self, wanted: list[tuple[OpenAccount, PresentRequest, Standing]], now: datetime
    ) -> dict[PresentRequest, PaymentAction]:
        """Let each account's channel make the way to pay; keep what it says is to be kept."""
        actions: dict[PresentRequest, PaymentAction] = {}
        kept: list[tuple[UUID, bytes | None, str]] = []
        wanted.sort(key=lambda entry: entry[0].row.id.int)
        for _, group in itertools.groupby(wanted, key=lambda entry: entry[0].row.id):
            entries = list(group)
            account = entries[0][0]
            asks = [self._ask(account, request, standing) for _, request, standing in entries]
            if watching(account.channel) is not None:
                ids = [request.attempt for _, request, _ in entries]
                places = await self._deposits.reserve(account, list(zip(ids, asks, strict=True)))
                asks = [
                    replace(ask, deposit=places.get(id)) for id, ask in zip(ids, asks, strict=True)
                ]
            call = account.channel.present(asks, account.account, now)
            given: list[Presentation] = await self._counts.timed(account.row, "present", call)
            for (_, request, _), presentation in zip(entries, given, strict=True):
                actions[request] = presentation.action
                if presentation.is_kept or presentation.reference:
                    action = encode(presentation.action) if presentation.is_kept else None
                    kept.append((request.attempt, action, presentation.reference))
        if kept:
            async with self._store.transaction() as tx:
                await rows.keep_presentations(tx, kept)
        return actions

    def _ask(self, account: OpenAccount, request: PresentRequest, standing: Standing) -> Ask:
        attempt = standing.attempt
        return Ask(
            out_trade_no=out_trade_no(attempt.order, attempt.number),
            method=attempt.method,
            amount_minor=attempt.amount_minor,
            currency=attempt.currency,
            title=attempt.title,
            opened_at=standing.opened_at,
            expires_at=min(attempt.expires_at, standing.opened_at + account.channel.expires_max),
            notify_url=f"{self._settings.public_url.rstrip('/')}/callbacks/{account.row.id}",
            return_url=request.return_url or attempt.return_url,
            quit_url=request.quit_url,
            door_url=request.door_url,
            returned=request.returned,
            device=request.device,
            address=request.address,
            reference=standing.reference,
        )
