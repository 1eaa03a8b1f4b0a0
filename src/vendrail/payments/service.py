"""Payments, whole: what the api promises, each promise kept in the room that knows how."""

from collections.abc import Sequence
from uuid import UUID

from vendrail.api.payments import (
    Attempt,
    AttemptId,
    AttemptState,
    AttemptStatus,
    AttemptView,
    Callback,
    CallbackAnswer,
    Capture,
    CaptureId,
    CaptureReport,
    CaptureStatus,
    ChannelAccount,
    ChannelCheck,
    ChannelHealth,
    ChannelId,
    ChannelKind,
    ChannelProbe,
    ChannelStanding,
    ChannelStatus,
    ChannelTerms,
    CloseStatus,
    Decision,
    DecisionQuery,
    MerchantMethod,
    Method,
    MethodChoice,
    MethodChoiceStatus,
    OfferQuestion,
    PaymentAction,
    PayoutOrder,
    PayoutReport,
    PayoutWay,
    PresentRequest,
    Refund,
    RefundStatus,
    Route,
    RoutingRule,
    RuleId,
    RuleStatus,
    SegmentView,
    TermsStatus,
    UnmatchedQuery,
    UnmatchedStatus,
    UnmatchedVerdict,
)
from vendrail.api.payments.deposits import (
    DepositView,
    HoldingsPage,
    HoldingsQuery,
    PlanRequest,
    Published,
    SignedTransaction,
    TransactionPlan,
    UnpricedArrival,
    UnpricedQuery,
    UnpricedStatus,
    UnpricedVerdict,
)
from vendrail.api.payments.disputes import DisputeEvidence, EvidenceStatus
from vendrail.api.payments.saved import (
    AgreementOffer,
    AgreementOpened,
    AgreementOpening,
    SavedDrop,
    SavedPayment,
    SavedPayResult,
    SavedQuery,
    SavedWay,
)
from vendrail.kernel.clock import Clock
from vendrail.kernel.db import Database
from vendrail.kernel.numbers import Found
from vendrail.kernel.outbox import Cursor, EventPage, Wakeups, trim_events
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault
from vendrail.payments.accounts import Accounts
from vendrail.payments.agreeing import Agreements
from vendrail.payments.asking import Asking
from vendrail.payments.capturing import Capturing
from vendrail.payments.channels.line import Switchboard
from vendrail.payments.claiming import Claiming
from vendrail.payments.counts import Counts
from vendrail.payments.deposits import Deposits
from vendrail.payments.desk import Desk
from vendrail.payments.disputing import send_evidence
from vendrail.payments.health import Health
from vendrail.payments.learning import Learning
from vendrail.payments.numbers import Numbers
from vendrail.payments.paying import Paying
from vendrail.payments.presenting import Presenting
from vendrail.payments.probing import Probing
from vendrail.payments.refunding import Refunding
from vendrail.payments.ruling import Ruling
from vendrail.payments.saving import SavedWays
from vendrail.payments.settings import PaymentsSettings
from vendrail.payments.showing import Showing
from vendrail.payments.steering import Steering
from vendrail.payments.store import base
from vendrail.payments.store.base import Store, assert_no_transaction
from vendrail.payments.unpriced import Unpriced
from vendrail.payments.watching import Watching


class PaymentsService:
    """Attempts, captures and refunds, in batches, over any channel."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        wakeups: Wakeups,
        settings: PaymentsSettings,
        metrics: Metrics,
    ) -> None:
        self.clock = clock
        self.wakeups = wakeups
        self._db = db
        self._settings = settings
        self._store = store = Store(db)
        self._lines = Switchboard(clock, settings, assert_no_transaction)
        self._accounts = Accounts(store, vault, clock, self._lines, wakeups)
        self._health = Health(store, self._accounts, self._lines, clock)
        self._probing = Probing(self._accounts, self._lines, clock)
        counts = Counts(metrics)
        self._learning = learning = Learning(store, clock)
        self._steering = steering = Steering(store, learning, self._lines, clock, wakeups)
        self._ruling = Ruling(store, learning, steering, clock, wakeups)
        self._capturing = Capturing(
            store, self._accounts, self._lines, clock, wakeups, settings, counts, learning
        )
        self._watching = Watching(store, self._accounts, self._capturing, clock)
        self._deposits = Deposits(store, self._accounts, self._watching, clock)
        self._asking = Asking(store, self._accounts, self._capturing, clock, counts, self._deposits)
        self._saved_ways = SavedWays(
            store, self._accounts, clock, wakeups, settings, counts, self._asking
        )
        self._agreements = Agreements(store, self._accounts, clock, settings, self._saved_ways)
        showing = Showing(
            store,
            self._accounts,
            clock,
            settings,
            counts,
            learning,
            steering,
            self._asking,
            self._deposits,
            self._saved_ways,
        )
        self._presenting = Presenting(store, self._accounts, clock, steering, showing)
        self._refunding = Refunding(store, self._accounts, clock, wakeups, counts, self._deposits)
        self._paying = Paying(self._accounts, clock, counts)
        self._claiming = Claiming(store, self._accounts, self._capturing, clock, counts)
        self._unpriced = Unpriced(store, self._accounts, self._watching, clock)
        self._desk = Desk(store, self._accounts, clock, wakeups, counts)
        self._numbers = Numbers(store, self._accounts)

    async def close(self) -> None:
        """Let go of connections to providers, and of threads."""
        await self._lines.close()

    # Channels.

    async def put_channels(self, channels: Sequence[ChannelAccount]) -> list[ChannelStatus]:
        """Write channel accounts whole, by id; an empty secret keeps the one that is there."""
        return await self._accounts.put(channels)

    async def check_channels(self, channels: Sequence[ChannelAccount]) -> list[ChannelCheck]:
        """Say how writing each of them would end, and what is the matter; write nothing."""
        return await self._accounts.check(channels)

    async def list_channels(self) -> list[ChannelAccount]:
        """List channel accounts; secrets are masked."""
        return await self._accounts.read()

    async def list_kinds(self) -> list[ChannelKind]:
        """List the kinds of channels that are installed, with what their accounts ask for."""
        return self._accounts.kinds()

    async def read_health(self, ids: Sequence[ChannelId]) -> list[ChannelHealth]:
        """Say how providers answered in the last minutes, and which are left alone."""
        return await self._health.read(ids)

    async def probe_channels(self, ids: Sequence[ChannelId]) -> list[ChannelProbe]:
        """Ask providers about a payment that does not exist: harmless, signed, and telling."""
        return await self._probing.probe(ids)

    async def list_methods(self, currency: str) -> list[Method]:
        """List the ways to pay that are offered now in a currency, in the order of preference."""
        return await self._accounts.methods(currency)

    # Routing.

    async def offer_methods(self, questions: Sequence[OfferQuestion]) -> list[list[Method]]:
        """List the ways to pay for each, the likeliest first: each once, none that cannot be."""
        await self._steering.refresh()
        offers = await self._accounts.offers()
        return [self._steering.offer(question, offers) for question in questions]

    async def put_method_choices(self, choices: Sequence[MethodChoice]) -> list[MethodChoiceStatus]:
        """Write which ways merchants do not take; one at least stays."""
        return await self._ruling.put_method_choices(choices, await self._accounts.offers())

    async def list_merchant_methods(self, merchants: Sequence[UUID]) -> list[list[MerchantMethod]]:
        """List the ways that accounts offer, each once, and whether each merchant takes them."""
        return await self._ruling.list_merchant_methods(merchants, await self._accounts.offers())

    async def put_terms(self, terms: Sequence[ChannelTerms]) -> list[TermsStatus]:
        """Write what channels cost and may take, whole."""
        return await self._ruling.put_terms(terms)

    async def list_terms(self) -> list[ChannelTerms]:
        """List the terms of every channel, those nobody has written too."""
        return await self._ruling.list_terms()

    async def put_rules(self, rules: Sequence[RoutingRule]) -> list[RuleStatus]:
        """Write rules; one that is there never changes."""
        return await self._ruling.put_rules(rules)

    async def drop_rules(self, rules: Sequence[RuleId]) -> list[bool]:
        """Take rules back; false: there was none."""
        return await self._ruling.drop_rules(rules)

    async def list_rules(self) -> list[RoutingRule]:
        """List the rules, oldest first."""
        return await self._ruling.list_rules()

    async def list_segments(self, channels: Sequence[ChannelId]) -> list[list[SegmentView]]:
        """Say what is known of each channel's payments, the widest segment first."""
        return await self._ruling.list_segments(channels)

    async def read_standings(self, channels: Sequence[ChannelId]) -> list[ChannelStanding | None]:
        """Say how channels stand in the choice now."""
        return await self._ruling.read_standings(channels)

    async def list_decisions(self, queries: Sequence[DecisionQuery]) -> list[list[Decision]]:
        """List what was decided and what came of it; an empty page ends."""
        return await self._ruling.list_decisions(queries, await self._accounts.all())

    async def read_routes(self, attempts: Sequence[UUID]) -> list[Route | None]:
        """Read why attempts went over their channels; None: there is no such attempt."""
        return await self._ruling.read_routes(attempts)

    # Attempts.

    async def open_attempts(self, attempts: Sequence[Attempt]) -> list[AttemptStatus]:
        """Open attempts; no provider is called."""
        return await self._presenting.open(attempts)

    async def present_attempts(self, requests: Sequence[PresentRequest]) -> list[PaymentAction]:
        """Sign or fetch the way to pay: called when the buyer opens it."""
        return await self._presenting.present(requests)

    async def read_attempts(self, orders: Sequence[UUID]) -> list[list[AttemptView]]:
        """Read orders' attempts, first to last."""
        return await self._presenting.read(orders)

    async def query_attempts(self, ids: Sequence[AttemptId]) -> list[AttemptState | None]:
        """Ask the provider now; None: it did not say."""
        return await self._asking.query(ids)

    async def close_attempts(self, orders: Sequence[UUID]) -> list[CloseStatus]:
        """Close orders' open attempts with the provider, then ask again whether money arrived."""
        return await self._asking.close(orders)

    # Saved ways.

    async def list_saved(self, queries: Sequence[SavedQuery]) -> list[list[SavedWay]]:
        """List the ways that can be paid with now, the last used first."""
        return await self._saved_ways.list_ways(queries)

    async def offer_agreements(self, buyers: Sequence[UUID]) -> list[list[AgreementOffer]]:
        """List the ways that each can agree to be charged by, and has not yet."""
        return await self._agreements.offer([SavedQuery(buyer) for buyer in buyers])

    async def open_agreements(self, openings: Sequence[AgreementOpening]) -> list[AgreementOpened]:
        """Say where buyers agree; asked again, it is the same agreement, signed once at most."""
        return await self._agreements.open(openings)

    async def pay_saved(self, payments: Sequence[SavedPayment]) -> list[SavedPayResult]:
        """Pay with saved ways, nobody being there."""
        return await self._saved_ways.pay(payments)

    async def forget_saved(self, drops: Sequence[SavedDrop]) -> list[bool]:
        """Forget ways at once, and have providers forget them too; false: not theirs, or gone."""
        return await self._saved_ways.forget(drops)

    async def forget_customers(self, buyers: Sequence[UUID]) -> None:
        """Forget all ways of buyers, those too that a provider has not told of yet."""
        await self._saved_ways.forget_customers(buyers)

    # Money that arrives.

    async def take_callbacks(self, callbacks: Sequence[Callback]) -> list[CallbackAnswer]:
        """Verify, bind, compare, store; give the answer for the provider, after commit."""
        return await self._capturing.take(callbacks)

    async def record_captures(self, reports: Sequence[CaptureReport]) -> list[CaptureStatus]:
        """Record money found by query, by hand or in a bill, through the same one way."""
        return await self._capturing.record(reports)

    async def read_captures(self, orders: Sequence[UUID]) -> list[list[Capture]]:
        """Read orders' captures, first to last."""
        return await self._capturing.read(orders)

    async def find_captures(self, provider_numbers: Sequence[str]) -> list[list[Capture]]:
        """Find captures by their number at the provider, of whatever channel."""
        return await self._capturing.find(provider_numbers)

    async def find_numbers(self, numbers: Sequence[str]) -> list[list[Found]]:
        """Find attempts, captures, refunds and what was seen on chains, by any number."""
        return await self._numbers.find(numbers)

    # Money that is seen on a chain.

    async def read_deposits(self, attempts: Sequence[AttemptId]) -> list[DepositView | None]:
        """Read what is asked for at attempts' addresses, and what has come; None: elsewhere."""
        return await self._deposits.read(attempts)

    async def read_holdings(self, queries: Sequence[HoldingsQuery]) -> list[HoldingsPage]:
        """Ask what the treasury holds, and the addresses that something came to."""
        return await self._deposits.holdings(queries)

    async def plan_transactions(self, requests: Sequence[PlanRequest]) -> list[TransactionPlan]:
        """Make what is to be signed offline: refunds, or money swept to the treasury."""
        return await self._deposits.plan(requests)

    async def publish_transactions(self, signed: Sequence[SignedTransaction]) -> list[Published]:
        """Hand signed transactions to their chains, in order."""
        return await self._deposits.publish(signed)

    # Money that goes back.

    async def request_refunds(self, refunds: Sequence[Refund]) -> list[RefundStatus]:
        """Commit the intent, ask the provider, record; asking again gives how it stands."""
        return await self._refunding.request(refunds)

    async def send_evidence(self, evidence: Sequence[DisputeEvidence]) -> list[EvidenceStatus]:
        """Send what is said against disputes to their providers; each id once."""
        return await send_evidence(self._accounts, self.clock, evidence)

    # Money that goes out.

    async def list_payout_ways(self) -> list[PayoutWay]:
        """List the active channel accounts whose provider pays out."""
        return await self._paying.ways()

    async def send_payouts(self, orders: Sequence[PayoutOrder]) -> list[PayoutReport]:
        """Tell providers of payouts; the same number never moves money twice."""
        return await self._paying.send(orders)

    async def ask_payouts(self, orders: Sequence[PayoutOrder]) -> list[PayoutReport]:
        """Ask providers what became of payouts."""
        return await self._paying.ask(orders)

    # The desk.

    async def list_unmatched(self, queries: Sequence[UnmatchedQuery]) -> list[list[Capture]]:
        """List money that fits nothing and waits for a person, oldest first; a short page ends."""
        return await self._desk.list_unmatched(queries)

    async def read_unmatched(self, captures: Sequence[CaptureId]) -> list[Capture | None]:
        """Read money that waits for a person; None for what does not, or not any more."""
        return await self._desk.read_unmatched(captures)

    async def settle_unmatched(self, verdicts: Sequence[UnmatchedVerdict]) -> list[UnmatchedStatus]:
        """Record what people decided about unmatched money."""
        return await self._desk.settle(verdicts)

    async def list_unpriced(self, queries: Sequence[UnpricedQuery]) -> list[list[UnpricedArrival]]:
        """List money at orders' addresses whose worth nobody knows, oldest first."""
        return await self._unpriced.find(queries)

    async def price_arrivals(self, verdicts: Sequence[UnpricedVerdict]) -> list[UnpricedStatus]:
        """Count such money as what a person says: it is unmatched money from then on."""
        return await self._unpriced.price(verdicts)

    async def read_events(self, cursors: Sequence[Cursor]) -> list[EventPage]:
        """Read `PaymentEvent`s after a cursor."""
        async with self._store.reading() as tx:
            return [await base.read_events(tx, cursor) for cursor in cursors]

    # Jobs: each asks about what is due, and says whether there is more at once.

    async def ask_presented(self) -> bool:
        """Ask about presented attempts that reached an age: a lost callback strands nobody."""
        return await self._asking.walk()

    async def confirm_captures(self) -> bool:
        """Ask providers about what a signature alone does not prove: claims, large captures."""
        has_claims = await self._claiming.ask_due()
        return await self._desk.confirm_due() or has_claims

    async def watch_chains(self) -> bool:
        """Look at the chains that are due, and count what has become final."""
        return await self._watching.look_due()

    async def ask_refunds(self) -> bool:
        """Ask again about refunds whose end is not known."""
        return await self._refunding.ask_due()

    async def look_saved(self) -> bool:
        """Ask providers what they remember for buyers who have agreed to it of late."""
        return await self._saved_ways.look_due()

    async def forget_ways(self) -> bool:
        """Tell providers to forget saved ways, until they have."""
        return await self._saved_ways.forget_due()

    async def note_health(self) -> bool:
        """Write how providers and payments did here since the last time; ask who is away."""
        await self._steering.refresh()
        away = {id for id, line in self._lines.all().items() if line.breaker.is_open}
        await self._probing.try_again(sorted(away | self._steering.away))
        await self._learning.write()
        self._steering.forget()  # What was written here counts as everybody's from now on.
        return await self._health.note()

    async def trim_events(self) -> bool:
        """Delete some events that are old and were read by all; true: there may be more."""
        return await trim_events(self._db, self.clock.now(), self._settings.events_keep_days)

    async def forget_callbacks(self) -> bool:
        """Drop raw callbacks that are older than evidence is kept."""
        return await self._capturing.forget()
