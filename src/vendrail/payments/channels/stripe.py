"""Stripe: cards and wallets on its own page, codes shown here, refunds, reports, transfers.

No card number comes near us: the buyer types it on Stripe's page, and we hold names of things.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import stripe

from vendrail.api.payments import Callback, CallbackAnswer
from vendrail.kernel.codec import replace
from vendrail.kernel.money import EXPONENTS
from vendrail.payments.channels.base import (
    Account,
    Ask,
    Blame,
    CallbackFacts,
    CallbackRefusal,
    CloseOutcome,
    Doubt,
    MethodOffer,
    PayoutAnswer,
    PayoutAsk,
    PayoutOutcome,
    Presentation,
    QueryAnswer,
    QueryOutcome,
    RefundAnswer,
    RefundAsk,
    RefundOutcome,
    Setting,
    away,
)
from vendrail.payments.channels.line import FILE_BYTES_MAX, ProviderAway
from vendrail.payments.channels.statements import StatementAnswer, StatementKind, StatementOutcome
from vendrail.payments.channels.stripe_disputes import StripeDisputes
from vendrail.payments.channels.stripe_element import embed
from vendrail.payments.channels.stripe_events import read_event
from vendrail.payments.channels.stripe_funds import (
    PAYEE_KIND,
    find_run,
    find_transfer,
    read_report,
    report,
    transfer,
)
from vendrail.payments.channels.stripe_line import client_of, fields_of, is_replay, problem_of
from vendrail.payments.channels.stripe_messages import (
    BLAMES,
    DEVICES,
    SCAN,
    TYPES,
    StripeSettings,
    can_take,
    find_refund,
    idempotency_key,
    intent,
    read_code,
    read_found,
    read_intent,
    read_refund,
    read_session,
    read_visit,
    refund,
    search,
    session,
    text_of,
)
from vendrail.payments.channels.stripe_saving import StripeSaving
from vendrail.payments.channels.stripe_settings import API_URL, SETTINGS, read_settings

FILES_URL = "https://files.stripe.com"

# A clear no: everything else says nothing of what was done.
_NO = (stripe.InvalidRequestError, stripe.CardError)
_TELLINGS_MAX = 8


class StripeChannel(StripeSaving, StripeDisputes):
    """An account at Stripe."""

    kind = "stripe"
    signed_headers: Sequence[str] = ("stripe-signature",)
    name = "Stripe"
    currencies: Sequence[str] = tuple(sorted(EXPONENTS))
    expires_max = timedelta(hours=23)  # A page lives a day at most, from when it is opened.
    payee_kinds: Sequence[str] = (PAYEE_KIND,)
    blames: Mapping[str, Blame] = BLAMES
    settings_table: Sequence[Setting] = SETTINGS

    def read_settings(self, values: Mapping[str, str]) -> StripeSettings:
        """Give typed settings; the key travels with every request, so only sealed."""
        return read_settings(values)

    def offers(self, settings: StripeSettings) -> list[MethodOffer]:
        """Offer Stripe's page for each way, its form for cards, or a code of it."""
        return [
            MethodOffer(
                method,
                _shows(method, settings),
                TYPES[method.removesuffix(SCAN)][1],
                DEVICES.get(method, ()),
                is_saving=method == "card",
            )
            for method in settings.methods
        ]

    async def present(
        self, asks: Sequence[Ask], account: Account[StripeSettings], now: datetime
    ) -> list[Presentation]:
        """Have Stripe make a page, or a code; the same again for the same attempt."""
        return list(await asyncio.gather(*(self._present(ask, account) for ask in asks)))

    async def _present(self, ask: Ask, account: Account[StripeSettings]) -> Presentation:
        if not can_take(ask):
            return away()
        if ask.method == "card":
            shown = await embed(ask, account)
            if shown is not None:
                return shown
        if ask.reference.startswith("cs_"):
            begun = await self._visited(ask, account)
            if begun is not None:
                return begun
        is_code = ask.method.endswith(SCAN)
        asked = intent(ask, account.settings) if is_code else session(ask)
        try:
            try:
                made = await self._make(account, asked, idempotency_key(ask.out_trade_no))
            except stripe.IdempotencyError:
                # Made before with another way back: an answer that was lost, and a page never seen.
                key = idempotency_key(ask.out_trade_no, asked)
                made = await self._make(account, asked, key)
        except (ProviderAway, stripe.StripeError) as error:
            return away(said=str(getattr(error, "code", "") or ""))
        if is_code:
            return read_code(made)
        # What remembers a card is its buyer's alone, so it is looked at each time it is opened.
        return replace(read_session(made), is_kept=not ask.customer)

    async def _visited(self, ask: Ask, account: Account[StripeSettings]) -> Presentation | None:
        """Give the page that remembers the card of who asks; let go of one that does another's."""
        try:
            account.line.expect()
            sessions: Any = client_of(account.settings, account.line).v1.checkout.sessions
            known = fields_of(await sessions.retrieve_async(ask.reference))
            customer = text_of(known, "customer")
            if customer == ask.customer or text_of(known, "status") == "complete":
                return replace(read_session(known), is_kept=not customer)
            if text_of(known, "status") == "open":
                await sessions.expire_async(ask.reference)
        except (ProviderAway, stripe.StripeError):
            return away()
        return None

    async def _make(
        self, account: Account[StripeSettings], asked: Mapping[str, Any], key: str
    ) -> Mapping[str, Any]:
        account.line.expect()
        api: Any = client_of(account.settings, account.line).v1
        maker = api.checkout.sessions if "mode" in asked else api.payment_intents
        made = await maker.create_async(dict(asked), {"idempotency_key": key})
        return fields_of(made)

    async def query(self, ask: Ask, account: Account[StripeSettings], now: datetime) -> QueryAnswer:
        """Ask what became of a page or a code; without its name, search by our number."""
        try:
            account.line.expect()
            api: Any = client_of(account.settings, account.line).v1
            if ask.provider_number:
                found = await api.payment_intents.retrieve_async(
                    ask.provider_number, {"expand": ["latest_charge"]}
                )
                return read_intent(fields_of(found), ask)
            if ask.reference.startswith("cs_"):
                found = await api.checkout.sessions.retrieve_async(
                    ask.reference, {"expand": ["payment_intent.latest_charge"]}
                )
                return read_visit(fields_of(found), ask)
            if ask.reference:
                found = await api.payment_intents.retrieve_async(
                    ask.reference, {"expand": ["latest_charge"]}
                )
                return read_intent(fields_of(found), ask)
            found = await api.payment_intents.search_async(
                {"query": search(ask.out_trade_no), "expand": ["data.latest_charge"]}
            )
            return read_found(fields_of(found)["data"], ask)
        except stripe.InvalidRequestError as error:
            if error.code == "resource_missing":
                return QueryAnswer(QueryOutcome.NOT_FOUND)
            return QueryAnswer(QueryOutcome.UNKNOWN, problem=problem_of(error))
        except (ProviderAway, stripe.StripeError) as error:
            return QueryAnswer(QueryOutcome.UNKNOWN, problem=_words(error))

    def doubt(self, problem: str) -> Doubt:
        """Say by Stripe's words what is the matter; it signs no replies, and we no requests."""
        is_refused = re.match(r"AuthenticationError|PermissionError|account_invalid", problem)
        return Doubt.CREDENTIALS if is_refused or "API Key" in problem else Doubt.OTHER

    async def close(
        self, ask: Ask, account: Account[StripeSettings], now: datetime
    ) -> CloseOutcome:
        """Let a page expire, or cancel a payment."""
        if not ask.reference:
            return CloseOutcome.NOT_FOUND  # Whoever has no name of it was never shown it.
        try:
            account.line.expect()
            api: Any = client_of(account.settings, account.line).v1
            if ask.reference.startswith("cs_"):
                await api.checkout.sessions.expire_async(ask.reference)
            else:
                await api.payment_intents.cancel_async(ask.reference)
        except stripe.InvalidRequestError as error:
            is_missing = error.code == "resource_missing"
            return CloseOutcome.NOT_FOUND if is_missing else CloseOutcome.REFUSED
        except (ProviderAway, stripe.StripeError):
            return CloseOutcome.UNKNOWN
        return CloseOutcome.CLOSED

    async def refund(
        self, ask: RefundAsk, account: Account[StripeSettings], now: datetime
    ) -> RefundAnswer:
        """Refund under our number; Stripe forgets its keys after a day, so later we look first."""
        if ask.tries:
            known = await self.query_refund(ask, account, now)
            if known.outcome is not RefundOutcome.NOT_FOUND:
                return known
        try:
            account.line.expect()
            api: Any = client_of(account.settings, account.line).v1
            made = await self._tell(api.refunds, refund(ask), ask.refund_number)
        except _NO as error:
            return RefundAnswer(RefundOutcome.FAILED, problem_of(error))
        except (ProviderAway, stripe.StripeError) as error:
            return RefundAnswer(RefundOutcome.UNKNOWN, _words(error))
        return read_refund(made)

    async def _tell(self, maker: Any, asked: Mapping[str, Any], number: str) -> Mapping[str, Any]:
        """Tell Stripe to move money once.

        A refusal that is repeated was one of an earlier telling: that one moved nothing, and what
        it lacked may be there now. So it is told under the next key.
        """
        for telling in range(_TELLINGS_MAX):
            key = idempotency_key(f"{number}-{telling}" if telling else number)
            try:
                return fields_of(await maker.create_async(dict(asked), {"idempotency_key": key}))
            except _NO as error:
                if not is_replay(error) or telling == _TELLINGS_MAX - 1:
                    raise
        raise AssertionError("unreachable")

    async def query_refund(
        self, ask: RefundAsk, account: Account[StripeSettings], now: datetime
    ) -> RefundAnswer:
        """Look for ours among the payment's refunds."""
        try:
            account.line.expect()
            api: Any = client_of(account.settings, account.line).v1
            found = await api.refunds.list_async(
                {"payment_intent": ask.provider_number, "limit": 100}
            )
            listed = [fields_of(each) async for each in found.auto_paging_iter()]
        except stripe.InvalidRequestError as error:
            if error.code == "resource_missing":
                return RefundAnswer(RefundOutcome.NOT_FOUND)
            return RefundAnswer(RefundOutcome.UNKNOWN, problem_of(error))
        except (ProviderAway, stripe.StripeError) as error:
            return RefundAnswer(RefundOutcome.UNKNOWN, _words(error))
        return find_refund(listed, ask)

    def read_callback(
        self, raw: Callback, settings: StripeSettings, now: datetime
    ) -> CallbackFacts | CallbackRefusal:
        """Read a webhook: signed with the endpoint's secret, of this account, not long ago."""
        return read_event(raw, settings, now)

    def success_answer(self) -> CallbackAnswer:
        """Answer 200: Stripe reads no more than that."""
        return CallbackAnswer(200, b"success")

    def failure_answer(self) -> CallbackAnswer:
        """Answer what is no 2xx, so that it is sent again."""
        return CallbackAnswer(400, b"failure")

    # Beside payments.

    async def download_statement(
        self, kind: StatementKind, day: date, account: Account[StripeSettings], now: datetime
    ) -> StatementAnswer:
        """Have Stripe write a report of a day, UTC; it takes minutes, so ask again."""
        begun = datetime.combine(day, time(), UTC)
        if now < begun + timedelta(days=1):
            return StatementAnswer(StatementOutcome.NOT_READY, problem="the day is not over")
        try:
            account.line.expect()
            api: Any = client_of(account.settings, account.line).v1
            asked = report(kind, begun)
            listed = fields_of(await api.reporting.report_runs.list_async({"limit": 100}))
            run = find_run(listed["data"], asked)
            if run is None:
                key = idempotency_key(f"{kind}-{day}-{now:%Y%m%d%H}", asked)
                made = await api.reporting.report_runs.create_async(asked, {"idempotency_key": key})
                run = fields_of(made)
            return await self._fetch(run, kind, day, account)
        except stripe.InvalidRequestError as error:
            is_early = "data_available_end" in (error.user_message or "")
            outcome = StatementOutcome.NOT_READY if is_early else StatementOutcome.UNKNOWN
            return StatementAnswer(outcome, problem=problem_of(error))
        except (ProviderAway, stripe.StripeError) as error:
            return StatementAnswer(StatementOutcome.UNKNOWN, problem=_words(error))

    async def _fetch(
        self,
        run: Mapping[str, Any],
        kind: StatementKind,
        day: date,
        account: Account[StripeSettings],
    ) -> StatementAnswer:
        if run["status"] == "pending":
            return StatementAnswer(StatementOutcome.NOT_READY, problem="it is being written")
        url = text_of(run.get("result") or {}, "url")
        settings = account.settings
        is_real = settings.api_url == API_URL
        # The key goes along: to nobody else.
        if not url.startswith(f"{FILES_URL if is_real else settings.api_url}/"):
            return StatementAnswer(StatementOutcome.UNKNOWN, problem="no address of a file")
        headers = {"Authorization": f"Bearer {settings.secret_key}"}
        if settings.connected_account:
            headers["Stripe-Account"] = settings.connected_account
        reply = await account.line.send("GET", url, headers=headers, bytes_max=FILE_BYTES_MAX)
        return read_report(reply.body, reply.status_code, kind, day)

    def can_pay_out(self, settings: StripeSettings) -> bool:
        """Transfers to connected accounts need no more than the key."""
        return bool(settings.secret_key)

    async def pay_out(
        self, ask: PayoutAsk, account: Account[StripeSettings], now: datetime
    ) -> PayoutAnswer:
        """Transfer to a connected account."""
        if ask.tries:
            known = await self.query_payout(ask, account, now)
            if known.outcome is not PayoutOutcome.NOT_FOUND:
                return known
        try:
            account.line.expect()
            api: Any = client_of(account.settings, account.line).v1
            made = await self._tell(api.transfers, transfer(ask), ask.payout_number)
        except _NO as error:
            return PayoutAnswer(PayoutOutcome.FAILED, problem=problem_of(error))
        except (ProviderAway, stripe.StripeError) as error:
            return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=_words(error))
        return find_transfer([made], ask)

    async def query_payout(
        self, ask: PayoutAsk, account: Account[StripeSettings], now: datetime
    ) -> PayoutAnswer:
        """Look for ours among the transfers of its group."""
        try:
            account.line.expect()
            api: Any = client_of(account.settings, account.line).v1
            found = await api.transfers.list_async({"transfer_group": ask.payout_number})
        except (ProviderAway, stripe.StripeError) as error:
            return PayoutAnswer(PayoutOutcome.UNKNOWN, problem=_words(error))
        return find_transfer(fields_of(found)["data"], ask)


def _shows(method: str, settings: StripeSettings) -> str:
    if method.endswith(SCAN):
        return "qr"
    return "embed" if method == "card" and settings.publishable_key else "redirect"


def _words(error: Exception) -> str:
    return problem_of(error) if isinstance(error, stripe.StripeError) else str(error)
