"""The service: rates out of sheets, quotes that are kept, positions out of the ledger."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import combinations
from uuid import UUID

import structlog

from vendrail.api.fx import (
    Position,
    Quote,
    QuoteId,
    QuoteRequest,
    QuoteResult,
    QuoteStatus,
    QuoteUse,
    RatePair,
    RateResult,
    SourceView,
    UseResult,
    UseStatus,
)
from vendrail.api.ledger import Chart, Ledger
from vendrail.fx import decide, store
from vendrail.fx.decide import Terms
from vendrail.fx.settings import FxSettings
from vendrail.fx.sheets import Sheet, check_moment, check_move, origin
from vendrail.fx.sources import Sources
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database
from vendrail.kernel.errors import Malformed, Unavailable
from vendrail.kernel.money import EXPONENTS
from vendrail.kernel.telemetry import Metrics

_log = structlog.get_logger(__name__)

_LOOK_AGAIN = timedelta(seconds=5)
_FAILED_S = 60.0  # After a failure a source is tried again so soon.
_FORGOTTEN_MAX = 1_000


class FxService:
    """Fulfils `api.fx.Fx`."""

    def __init__(
        self, db: Database, clock: Clock, metrics: Metrics, settings: FxSettings, ledger: Ledger
    ) -> None:
        self._db = db
        self.clock = clock
        self._metrics = metrics
        for outcome in QuoteStatus:
            metrics.count("vendrail_quotes_total", outcome, by=0)
        self._settings = settings
        self._ledger = ledger
        self._sources = Sources(settings)
        self._terms = Terms(
            settings.age_s_max,
            _sources_min(settings),
            settings.disagreement_basis_points_max,
            settings.spread_basis_points,
            settings.quote_s,
        )
        self._sheets: list[Sheet] = []
        self._looked_at: datetime | None = None
        self._looking = asyncio.Lock()

    async def close(self) -> None:
        """Let go of connections to sources."""
        await self._sources.close()

    async def read_rates(self, pairs: Sequence[RatePair]) -> list[RateResult]:
        """Say what currencies are worth in others now."""
        sheets = await self._look()
        now = self.clock.now()
        return [decide.rate(pair, sheets, self._terms, now) for pair in pairs]

    async def quote_amounts(self, requests: Sequence[QuoteRequest]) -> list[QuoteResult]:
        """Promise amounts in other currencies; what was promised under an id stands."""
        if not requests:
            return []
        pairs = list({RatePair(each.currency, each.paid_currency) for each in requests})
        rates = dict(zip(pairs, await self.read_rates(pairs), strict=True))
        now = self.clock.now()
        ids = [request.id for request in requests]
        async with self._db.transaction() as tx:
            before = await store.load_quotes(tx, ids)
            made = self._quote(requests, before, rates, now)
            new = [each.quote for each in made if each.quote and each.quote.id not in before]
            if new:
                await store.add_quotes(tx, list({quote.id: quote for quote in new}.values()))
                # A rival may have been first with an id: what stands there is the answer.
                standing = before | await store.load_quotes(tx, [quote.id for quote in new])
                beaten = {quote.id for quote in new if standing[quote.id] != quote}
                if beaten:
                    before |= {id: standing[id] for id in beaten}
                    made = self._quote(requests, before, rates, now)
        self._metrics.count_each("vendrail_quotes_total", [(each.status.value,) for each in made])
        return made

    def _quote(
        self,
        requests: Sequence[QuoteRequest],
        before: dict[UUID, Quote],
        rates: dict[RatePair, RateResult],
        now: datetime,
    ) -> list[QuoteResult]:
        """Decide each in its turn: later ones of a batch see what earlier ones were promised."""
        known = dict(before)
        results = []
        for request in requests:
            result = decide.quote(request, known.get(request.id), rates, self._terms, now)
            if result.status is QuoteStatus.QUOTED and result.quote is not None:
                known[request.id] = result.quote
            results.append(result)
        return results

    async def use_quotes(self, uses: Sequence[QuoteUse]) -> list[UseResult]:
        """Spend quotes on orders, each once."""
        now = self.clock.now()
        results = []
        async with self._db.transaction() as tx:
            known = await store.lock_quotes(tx, [use.quote for use in uses])
            spent = await store.find_of_orders(tx, [use.order for use in uses])
            used: list[Quote] = []
            for use in uses:
                result = decide.use(use, known.get(use.quote), spent, now)
                if result.status is UseStatus.USED and result.quote is not None:
                    known[use.quote] = result.quote
                    spent[use.order] = use.quote
                    used.append(result.quote)
                results.append(result)
            if used:
                await store.use_quotes(tx, used)
        return results

    async def read_quotes(self, quotes: Sequence[QuoteId]) -> list[Quote | None]:
        """Read quotes."""
        async with self._db.reading() as tx:
            found = await store.load_quotes(tx, quotes)
        return [found.get(id) for id in quotes]

    async def list_sources(self) -> list[SourceView]:
        """List the sources in use, and how they stand."""
        now = self.clock.now()
        async with self._db.reading() as tx:
            rows = await store.load_sources(tx, self._sources.names)
        views = []
        for name in self._sources.names:
            row = rows.get(name)
            sheet = store.sheet_of(row) if row is not None else None
            views.append(
                SourceView(
                    name,
                    sheet is not None and decide.is_fresh(sheet.rated_at, self._terms, now),
                    len(sheet.rates) if sheet is not None else 0,
                    sheet.rated_at if sheet is not None else None,
                    row["fetched_at"] if row is not None else None,
                    row["tried_at"] if row is not None else None,
                    row["problem"] if row is not None else "",
                )
            )
        return views

    async def list_positions(self) -> list[Position]:
        """Read from the ledger what exchanges have left with the platform."""
        pairs = list(combinations(sorted(EXPONENTS), 2))
        sides = [Chart(one).fx(other).id for one, other in pairs]
        sides += [Chart(other).fx(one).id for one, other in pairs]
        balances = await self._ledger.read_balances(sides)
        credit = [balance.credit_minor if balance is not None else 0 for balance in balances]
        standing = [
            (pair, one_minor, other_minor)
            for pair, one_minor, other_minor in zip(
                pairs, credit[: len(pairs)], credit[len(pairs) :], strict=True
            )
            if one_minor or other_minor
        ]
        rates = await self.read_rates([RatePair(other, one) for (one, other), _, _ in standing])
        return [
            Position(
                one,
                other,
                one_minor,
                other_minor,
                one_minor + found.rate.price(other_minor).fair_minor if found.rate else None,
            )
            for ((one, other), one_minor, other_minor), found in zip(standing, rates, strict=True)
        ]

    async def fetch_due(self) -> bool:
        """Read the sources that are due; each in one process."""
        now = self.clock.now()
        before = now - timedelta(seconds=self._settings.fetch_s)
        failed_before = now - timedelta(seconds=min(_FAILED_S, self._settings.fetch_s))
        async with self._db.reading() as tx:
            due = await store.claim_sources(tx, self._sources.names, now, before, failed_before)
        await asyncio.gather(*(self._fetch(name) for name in due))
        return False

    async def _fetch(self, name: str) -> None:
        sheet, problem = None, ""
        try:
            sheet = await self._read(name)
        except (Malformed, Unavailable) as error:
            problem = error.message
        except Exception as error:  # noqa: BLE001  # Whatever it sent, the others go on.
            problem = f"{name} answered what cannot be read: {type(error).__name__}."
        async with self._db.reading() as tx:
            if sheet is not None and not await store.put_sheet(tx, sheet, self.clock.now()):
                problem = f"{name} told older rates; newer ones are kept."
            if problem:
                await store.put_problem(tx, name, problem)
        if problem:
            _log.warning("fx.source_failed", source=name, problem=problem)
        self._looked_at = None
        outcome = "failed" if problem else "read"
        self._metrics.count("vendrail_rate_fetches_total", name, outcome)

    async def _read(self, name: str) -> Sheet:
        """Read a source, and hold what it says against what it said before."""
        sheet = check_moment(await self._sources.fetch(name), self.clock.now())
        async with self._db.reading() as tx:
            rows = await store.load_sources(tx, [name])
        before = store.sheet_of(rows[name]) if name in rows else None
        if before is None or not decide.is_fresh(before.rated_at, self._terms, self.clock.now()):
            return sheet
        return check_move(sheet, before, self._settings.move_basis_points_max)

    async def forget(self) -> bool:
        """Delete some quotes that nobody has used; true: there are more."""
        before = self.clock.now() - timedelta(days=self._settings.keep_days)
        async with self._db.reading() as tx:
            return await store.forget_quotes(tx, before, _FORGOTTEN_MAX) == _FORGOTTEN_MAX

    async def _look(self) -> list[Sheet]:
        """Give the sheets as they were a few seconds ago at most."""
        async with self._looking:
            now = self.clock.now()
            if self._looked_at is None or now - self._looked_at >= _LOOK_AGAIN:
                async with self._db.reading() as tx:
                    rows = await store.load_sources(tx, self._sources.names)
                found = [store.sheet_of(row) for row in rows.values()]
                self._sheets = [sheet for sheet in found if sheet is not None]
                self._looked_at = now
            return self._sheets


def _sources_min(settings: FxSettings) -> int:
    """Say how many must agree: where several are named, none is believed alone."""
    origins = {origin(name) for name in settings.sources}
    if settings.sources_min > len(origins):
        raise Malformed(
            f"VENDRAIL_FX_SOURCES_MIN is {settings.sources_min}, and the sources that are named are"
            f" {len(origins)}: those that tell the European Central Bank's rates are one."
        )
    return max(settings.sources_min, 2) if len(origins) > 1 else settings.sources_min
