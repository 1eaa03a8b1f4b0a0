"""Steering: each payment is sent to one of the channels that can take it, and why is kept."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vendrail.api.payments import (
    Attempt,
    AttemptStatus,
    ChannelId,
    ChannelTerms,
    Device,
    Method,
    OfferQuestion,
    Route,
    RouteFate,
    RouteOption,
    RouteReason,
    RoutingRule,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.outbox import Wakeups
from vendrail.payments import decide
from vendrail.payments.channels.line import Switchboard
from vendrail.payments.learning import Learning
from vendrail.payments.routing import filters
from vendrail.payments.routing.caps import Gauges
from vendrail.payments.routing.decide import Candidate, Plan, choose, plan, score
from vendrail.payments.routing.segments import Segment, amount_of, band_of
from vendrail.payments.store import routing as rows
from vendrail.payments.store.attempts import NAMED
from vendrail.payments.store.base import Store

TOPIC = "routing"  # Woken when terms or rules were written.
_FRESH = timedelta(seconds=2)
_OVERLAP = timedelta(minutes=1)  # A choice may be committed after a later one was read.
_CAPPED_PLAN_USES = 50
_PPM = 1_000_000
_EVERYWHERE = len(Device)
_NONE: frozenset[str] = frozenset()

Offers = Mapping[str, Sequence[Method]]  # By method, in the order of channels' names.


class Steered(NamedTuple):
    """Where an attempt goes, and what is kept of why; nothing where there was nothing to choose."""

    status: AttemptStatus
    channel: ChannelId | None = None
    route: bytes | None = None


class _Planned(NamedTuple):
    """A plan, and what is kept of the decisions made by it, written once."""

    plan: Plan
    routes: dict[tuple[str, RouteReason], bytes]


class Steering:
    """Chooses channels by terms, rules, health and what was learned."""

    def __init__(
        self, store: Store, learning: Learning, lines: Switchboard, clock: Clock, wakeups: Wakeups
    ) -> None:
        self._store = store
        self._learning = learning
        self._lines = lines
        self._clock = clock
        self._changed = wakeups.subscribe(TOPIC)
        self._read_at: datetime | None = None
        self._gauges = Gauges()
        self._terms: dict[UUID, ChannelTerms] = {}
        self._rules: list[RoutingRule] = []
        self._ruled: frozenset[UUID] = frozenset()  # Merchants that some rule names.
        self._off: dict[UUID, frozenset[str]] = {}  # By merchants who do not take some methods.
        self._off_read_to: datetime | None = None
        self._taken: dict[tuple[UUID, str], int] = {}
        self.away: set[UUID] = set()  # By what any process has written.
        self._plans: dict[tuple[object, ...], _Planned] = {}
        self._failures_count = 0  # Those that the plans know of.
        self._uses = 0

    # What is known.

    def forget(self) -> None:
        """Read everything again before the next choice: it was changed."""
        self._read_at = None

    async def refresh(self) -> None:
        """Read what people decided and other processes know, where that was a moment ago."""
        await self._learning.refresh()
        now, read_at = self._clock.now(), self._read_at
        is_fresh = read_at is not None and timedelta(0) <= now - read_at < _FRESH
        if is_fresh and not self._changed.is_set():
            return
        self._changed.clear()
        self._read_at = now
        async with self._store.reading() as tx:
            terms = [decode(row["terms"], ChannelTerms) for row in await rows.read_terms(tx)]
            self._rules = [decode(row["rule"], RoutingRule) for row in await rows.read_rules(tx)]
            volumes = await rows.read_volumes(tx, now.date())
            self.away = await rows.read_away(tx)
            chosen = await rows.read_choices(tx, self._off_read_to)
        self._terms = {each.channel: each for each in terms}
        self._ruled = frozenset(each.merchant for each in self._rules if each.merchant)
        self._taken = {(row["channel"], row["currency"]): row["amount_minor"] for row in volumes}
        self._gauges.set(
            {str(each.channel): each.cap_percent / 100 for each in terms if each.cap_percent < 100}
        )
        for row in chosen:
            self._off[row["merchant"]] = frozenset(row["methods_off"])
        if chosen:
            self._off_read_to = max(row["changed_at"] for row in chosen) - _OVERLAP
        self._plans.clear()

    def terms_of(self, channel: ChannelId) -> ChannelTerms:
        """Give a channel's terms; nobody wrote any: it costs nothing and takes everything."""
        return self._terms.get(channel) or ChannelTerms(channel)

    def fate_of(self, channel: UUID, at_s: float) -> RouteFate:
        """Say whether a channel is in the running now, whatever the payment."""
        line = self._lines.all().get(channel)
        if channel in self.away or (line is not None and line.breaker.is_open):
            return RouteFate.AWAY
        if self._learning.is_failing(str(channel), at_s):
            return RouteFate.FAILING
        return RouteFate.CAPPED if self._gauges.is_full(str(channel)) else RouteFate.FREE

    def gauge(self, channel: UUID) -> tuple[float, float]:
        """Give a capped channel's share of late, and its price."""
        return self._gauges.taken(str(channel)), self._gauges.price(str(channel))

    # Choosing.

    def steer(
        self, attempt: Attempt, offers: Offers, tried: frozenset[UUID] = frozenset()
    ) -> Steered:
        """Choose the channel of an attempt; the same attempt and knowledge give the same one.

        What its merchant does not take is refused, unless it moves on: then it was taken once.
        """
        off = self._off
        if off and attempt.method in off.get(attempt.merchant, _NONE) and not tried:
            return Steered(AttemptStatus.METHOD_NOT_OFFERED)
        offered = offers.get(attempt.method, ())
        if attempt.channel is not None:
            offered = [each for each in offered if each.channel == attempt.channel]
        status = decide.attempt(attempt, offered)
        if status is not AttemptStatus.OPENED:
            return Steered(status)
        first = offered[0].channel
        if len(offered) == 1 and not (self._rules or tried or first in self._terms):
            return Steered(status, first, NAMED if attempt.channel else None)
        asked = filters.Asked(
            attempt.merchant,
            attempt.method,
            attempt.currency,
            attempt.amount_minor,
            attempt.country,
            self._clock.now().hour,
        )
        widest = max(map(_reach, offered))
        fates = {
            each.channel: self._bar(asked, each) or _misfit(each, attempt.device, widest)
            for each in offered
        }
        fates |= {channel: RouteFate.TRIED for channel in fates if channel in tried}
        planned = self._plan(asked, fates)
        decision = choose(planned.plan, attempt.id.bytes)
        if not decision.channel:
            return Steered(AttemptStatus.METHOD_NOT_OFFERED)
        if attempt.channel is not None:
            return Steered(status, attempt.channel, NAMED)
        reason = RouteReason.FAILED_OVER if tried else decision.reason
        key = (decision.channel, reason)
        if key not in planned.routes:
            planned.routes[key] = encode(_route(reason, planned.plan))
        return Steered(status, ChannelId(UUID(decision.channel)), planned.routes[key])

    def _bar(self, asked: filters.Asked, offer: Method) -> RouteFate:
        terms = self.terms_of(offer.channel)
        taken = self._taken
        if terms.volume_day_minor:  # What others took is some seconds old, what we took is not.
            key = (offer.channel, asked.currency)
            here = self._learning.unwritten_minor(*key)
            taken = {key: taken.get(key, 0) + here} if here else taken
        return filters.fate_of(asked, offer, terms, self._rules, taken)

    def _plan(self, asked: filters.Asked, fates: Mapping[ChannelId, RouteFate]) -> _Planned:
        """Give the plan of all payments that are alike; it counts until more is known."""
        if self._failures_count != self._learning.failures_count:
            self._failures_count = self._learning.failures_count
            self._plans.clear()
        merchant = asked.merchant if asked.merchant in self._ruled else None
        band = band_of(asked.amount_minor)
        key = (merchant, asked.method, asked.country, band, tuple(fates.items()))
        planned = self._plans.get(key)
        if planned is None:
            at_s = self._clock.now().timestamp()
            made = plan([self._candidate(asked, *each, band, at_s) for each in fates.items()])
            planned = self._plans[key] = _Planned(made, {})
        if self._gauges.is_needed and list(fates.values()).count(RouteFate.FREE) > 1:
            self._gauges.note({each.channel: each.share for each in planned.plan.options})
            self._uses += 1
            if self._uses % _CAPPED_PLAN_USES == 0:
                self._plans.clear()
        return planned

    def _candidate(
        self, asked: filters.Asked, channel: ChannelId, bar: RouteFate, band: int, at_s: float
    ) -> Candidate:
        terms, name = self.terms_of(channel), str(channel)
        segment = Segment(name, asked.method, asked.country, band)
        return Candidate(
            name,
            self._learning.book.estimate(segment, at_s),
            bar or self.fate_of(channel, at_s),
            filters.cost_share(terms.cost_minor, amount_of(band)) + terms.cost_permyriad / 10_000,
            filters.cost_share(terms.cost_failed_minor, amount_of(band)),
            terms.weight_percent / 100,
            self._gauges.price(name),
            is_pinned=filters.is_pinned(asked, channel, self._rules),
        )

    # Offering.

    def offer(self, question: OfferQuestion, offers: Offers) -> list[Method]:
        """List the methods that can take some such amount, the buyer's habit first.

        In a wallet's own browser that wallet is before it. Then the one of which most is left, to
        the percent: what differs by less keeps its place.
        Of what cannot be paid just now, or where the buyer's browser runs, nothing is shown while
        there is anything else.
        """
        now = self._clock.now()
        found: dict[str, tuple[tuple[bool, bool], int, Method]] = {}
        off = self._off.get(question.merchant, _NONE)
        for name, offered in offers.items():
            for each in offered if name not in off else ():
                amount_minor = max(question.amount_minor_min, each.amount_minor_min, 1)
                asked = filters.Asked(
                    question.merchant,
                    name,
                    question.currency,
                    amount_minor,
                    question.country,
                    now.hour,
                )
                if amount_minor > max(question.amount_minor_max, 1) or self._bar(asked, each):
                    continue
                band = band_of(amount_minor)
                likely = self._candidate(asked, each.channel, RouteFate.FREE, band, now.timestamp())
                able = (
                    question.device is None or each.works_on(question.device),
                    likely.fate is not RouteFate.AWAY,
                )
                kept = round(score(likely._replace(price=0.0), likely.chance.mean) * 100)
                if name not in found or (able, kept) > found[name][:2]:
                    found[name] = (able, kept, each)
        best = max((able for able, _, _ in found.values()), default=None)
        shown = sorted(
            (each for each in found.values() if each[0] == best),
            key=lambda each: (
                not each[2].is_at_home_in(question.device),
                each[2].method != question.habit,
                -each[1],
            ),
        )
        return [method for _, _, method in shown]


def _reach(offer: Method) -> int:
    """Say in how many kinds of browsers a way opens."""
    return len(offer.devices) or _EVERYWHERE


def _misfit(offer: Method, device: Device | None, widest: int) -> RouteFate:
    """Say whether others come first, for where the buyer's browser runs, or may turn out to."""
    is_fit = offer.works_on(device) if device is not None else _reach(offer) == widest
    return RouteFate.FREE if is_fit else RouteFate.DEVICE


def _route(reason: RouteReason, made: Plan) -> Route:
    return Route(
        reason,
        [
            RouteOption(
                ChannelId(UUID(each.channel)),
                round(each.chance * _PPM),
                round(each.score * _PPM),
                round(each.share * _PPM),
                each.fate,
            )
            for each in made.options
        ],
    )
