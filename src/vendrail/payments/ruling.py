"""Ruling: terms and rules that people write, and what routing has to say for itself."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.payments import (
    ChannelId,
    ChannelStanding,
    ChannelTerms,
    Decision,
    DecisionOutcome,
    DecisionQuery,
    MerchantMethod,
    Method,
    MethodChoice,
    MethodChoiceStatus,
    Route,
    RouteReason,
    RoutingRule,
    RuleId,
    RuleStatus,
    SegmentView,
    TermsStatus,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.ids import first_id_at
from vendrail.kernel.outbox import Wakeups
from vendrail.payments.accounts import OpenAccount
from vendrail.payments.channels.base import Blame, blame_of
from vendrail.payments.learning import Learning, channel_of
from vendrail.payments.routing.segments import ANY_BAND, Segment
from vendrail.payments.steering import TOPIC, Offers, Steering
from vendrail.payments.store import channels
from vendrail.payments.store import routing as rows
from vendrail.payments.store.attempts import NAMED
from vendrail.payments.store.base import Row, Store, Transaction

_PPM = 1_000_000


class Ruling:
    """Writes what people decide about channels, and reads what was decided and learned."""

    def __init__(
        self, store: Store, learning: Learning, steering: Steering, clock: Clock, wakeups: Wakeups
    ) -> None:
        self._store = store
        self._learning = learning
        self._steering = steering
        self._clock = clock
        self._wakeups = wakeups

    async def put_terms(self, terms: Sequence[ChannelTerms]) -> list[TermsStatus]:
        """Write what channels cost and may take, whole; of one channel twice the last counts."""
        now = self._clock.now()
        async with self._store.transaction() as tx:
            known = {row["id"] for row in await channels.read_channels(tx)}
            good = {
                each.channel: encode(each).decode()
                for each in terms
                if each.channel in known and not each.problem
            }
            changed = await rows.write_terms(tx, list(good.items()), now) if good else set()
        self._tell()
        statuses = []
        for each in terms:
            if each.channel not in known:
                statuses.append(TermsStatus.CHANNEL_NOT_FOUND)
            elif each.problem:
                statuses.append(TermsStatus.MALFORMED)
            else:
                is_new = each.channel in changed
                statuses.append(TermsStatus.WRITTEN if is_new else TermsStatus.UNCHANGED)
        return statuses

    def _tell(self) -> None:
        self._steering.forget()
        self._wakeups.wake(TOPIC)

    async def list_terms(self) -> list[ChannelTerms]:
        """List the terms of every channel, those nobody has written too."""
        async with self._store.reading() as tx:
            known = [row["id"] for row in await channels.read_channels(tx)]
            written = [decode(row["terms"], ChannelTerms) for row in await rows.read_terms(tx)]
        by_channel = {each.channel: each for each in written}
        return [by_channel.get(id) or ChannelTerms(ChannelId(id)) for id in known]

    async def put_rules(self, rules: Sequence[RoutingRule]) -> list[RuleStatus]:
        """Write rules; one that is there never changes."""
        async with self._store.transaction() as tx:
            known = {row["id"] for row in await channels.read_channels(tx)}
            before = await self._read_rules(tx)
            statuses = []
            fresh: list[RoutingRule] = []
            for each in rules:
                status = _judge(each, before, known)
                statuses.append(status)
                if status is RuleStatus.CREATED:
                    before[each.id] = each
                    fresh.append(each)
            if fresh:
                written = [(each.id, encode(each).decode()) for each in fresh]
                await rows.insert_rules(tx, written, self._clock.now())
        self._tell()
        return statuses

    @staticmethod
    async def _read_rules(tx: Transaction) -> dict[RuleId, RoutingRule]:
        found = [decode(row["rule"], RoutingRule) for row in await rows.read_rules(tx)]
        return {each.id: each for each in found}

    async def drop_rules(self, rules: Sequence[RuleId]) -> list[bool]:
        """Take rules back; false: there was none."""
        async with self._store.transaction() as tx:
            dropped = await rows.delete_rules(tx, rules)
        self._tell()
        return [id in dropped for id in rules]

    async def list_rules(self) -> list[RoutingRule]:
        """List the rules, oldest first."""
        async with self._store.reading() as tx:
            return list((await self._read_rules(tx)).values())

    async def put_method_choices(
        self, choices: Sequence[MethodChoice], offers: Offers
    ) -> list[MethodChoiceStatus]:
        """Write which ways merchants do not take; one at least stays."""
        statuses = []
        async with self._store.transaction() as tx:
            before = await rows.read_choices_of(tx, [each.merchant for each in choices])
            for each in choices:
                off = sorted(set(each.methods_off))
                status = _judge_choice(off, before.get(each.merchant, ()), offers)
                if status is MethodChoiceStatus.WRITTEN:
                    before[each.merchant] = off
                    if not await rows.write_choice(tx, each.merchant, off):
                        status = MethodChoiceStatus.UNCHANGED
                statuses.append(status)
        self._tell()
        return statuses

    async def list_merchant_methods(
        self, merchants: Sequence[UUID], offers: Offers
    ) -> list[list[MerchantMethod]]:
        """List the ways that accounts offer, each once, and whether each merchant takes them."""
        await self._steering.refresh()
        async with self._store.reading() as tx:
            chosen = await rows.read_choices_of(tx, merchants)
        listed = []
        for merchant in merchants:
            off = chosen.get(merchant, ())
            found = [
                self._merchant_method(name, offered, is_on=name not in off)
                for name, offered in sorted(offers.items())
            ]
            gone = [MerchantMethod(name, "", [], is_on=False) for name in off if name not in offers]
            listed.append(found + gone)
        return listed

    def _merchant_method(
        self, name: str, offered: Sequence[Method], *, is_on: bool
    ) -> MerchantMethod:
        costs = sorted(
            (terms.cost_permyriad, terms.cost_minor)
            for terms in (self._steering.terms_of(each.channel) for each in offered)
        )
        currencies = dict.fromkeys(code for each in offered for code in each.currencies)
        return MerchantMethod(
            name, offered[0].title, list(currencies), is_on, *costs[0], *costs[-1]
        )

    async def list_segments(self, wanted: Sequence[ChannelId]) -> list[list[SegmentView]]:
        """Say what is known of each channel's payments, the widest segment first."""
        await self._learning.write()
        await self._learning.refresh(is_forced=True)
        found: dict[UUID, list[SegmentView]] = {}
        for segment in sorted(self._learning.book.segments()):
            view = self._view(segment)
            found.setdefault(view.channel, []).append(view)
        return [found.get(id, []) for id in wanted]

    def _view(self, segment: Segment) -> SegmentView:
        at_s = self._clock.now().timestamp()
        won, lost = self._learning.book.counts(segment, at_s)
        chance = self._learning.book.estimate(segment, at_s)
        return SegmentView(
            channel_of(segment),
            segment.method,
            segment.country,
            0 if segment.band == ANY_BAND else segment.band,
            round(won * 1_000),
            round(lost * 1_000),
            round(chance.mean * _PPM),
            round(chance.deviation * _PPM),
        )

    async def read_standings(self, wanted: Sequence[ChannelId]) -> list[ChannelStanding | None]:
        """Say how channels stand in the choice now; None: there is no such channel."""
        await self._steering.refresh()
        async with self._store.reading() as tx:
            known = {row["id"] for row in await channels.read_channels(tx)}
        at_s = self._clock.now().timestamp()
        found: list[ChannelStanding | None] = []
        for id in wanted:
            taken, price = self._steering.gauge(id)
            chance = self._learning.book.estimate(Segment(str(id)), at_s)
            standing = ChannelStanding(
                id,
                round(chance.mean * _PPM),
                self._steering.fate_of(id, at_s),
                round(taken * _PPM),
                round(price * _PPM),
            )
            found.append(standing if id in known else None)
        return found

    async def list_decisions(
        self, queries: Sequence[DecisionQuery], accounts: Mapping[UUID, OpenAccount]
    ) -> list[list[Decision]]:
        """List what was decided and what came of it; an empty page ends."""
        now = self._clock.now()
        pages = []
        async with self._store.reading() as tx:
            for query in queries:
                after, until = query.after or first_id_at(query.since), first_id_at(query.until)
                page: list[Decision] = []
                while not page:
                    found = await rows.read_decided(
                        tx, after, until, query.currency, query.decisions_max
                    )
                    page = [_decision(row, accounts, now) for row in found if row["route"] != NAMED]
                    if len(found) < query.decisions_max:
                        break
                    after = found[-1]["id"]
                pages.append(page)
        return pages

    async def read_routes(self, attempts: Sequence[UUID]) -> list[Route | None]:
        """Read why attempts went over their channels; None: there is no such attempt."""
        async with self._store.reading() as tx:
            found = {row["id"]: row["route"] for row in await rows.read_routes(tx, attempts)}
        only = Route(RouteReason.ONLY)
        return [
            (decode(route, Route) if (route := found[id]) else only) if id in found else None
            for id in attempts
        ]


def _decision(row: Row, accounts: Mapping[UUID, OpenAccount], now: datetime) -> Decision:
    account = accounts.get(row["channel"])
    route = decode(row["route"], Route) if row["route"] else None
    shares = {each.channel: each.share_ppm for each in route.options} if route else {}
    return Decision(
        row["id"],
        row["order_id"],
        row["opened_at"],
        account.row.name if account else str(row["channel"]),
        row["method"],
        row["country"],
        row["amount_minor"],
        row["currency"],
        max(shares.get(row["channel"], _PPM), 1),
        _outcome(row, account, now),
    )


def _outcome(row: Row, account: OpenAccount | None, now: datetime) -> DecisionOutcome:
    if row["is_captured"]:
        return DecisionOutcome.SUCCEEDED
    if row["is_unseen"]:
        return DecisionOutcome.FAILED  # Its channel made no way to pay.
    if row["failure"] and account is not None:
        is_own = blame_of(account.channel, row["failure"]) is Blame.CHANNEL
        return DecisionOutcome.FAILED if is_own else DecisionOutcome.GIVEN_UP
    is_over = row["is_final"] is not None or row["expires_at"] <= now
    return DecisionOutcome.GIVEN_UP if is_over else DecisionOutcome.OPEN


def _judge_choice(off: Sequence[str], before: Sequence[str], offers: Offers) -> MethodChoiceStatus:
    """Say whether a choice may stand; what was off may stay off, offered or not."""
    if not set(off) <= {*offers, *before}:
        return MethodChoiceStatus.METHOD_UNKNOWN
    is_left = not offers or any(name not in off for name in offers)
    return MethodChoiceStatus.WRITTEN if is_left else MethodChoiceStatus.NONE_LEFT


def _judge(
    rule: RoutingRule, before: dict[RuleId, RoutingRule], channels_known: set[UUID]
) -> RuleStatus:
    if rule.id in before:
        return RuleStatus.EXISTS if before[rule.id] == rule else RuleStatus.EXISTS_DIFFERENT
    if rule.channel is not None and rule.channel not in channels_known:
        return RuleStatus.CHANNEL_NOT_FOUND
    return RuleStatus.CREATED if rule.is_meaningful else RuleStatus.MALFORMED
