"""Stripe in the sandbox: its API, its pages, its webhooks, its control routes."""

import asyncio
import contextlib
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from vendrail.kernel.errors import Malformed
from vendrail.kernel.waiting import end_tasks
from vendrail.sandbox import stripe, stripe_api, stripe_funds, stripe_reports
from vendrail.sandbox.courier import Courier
from vendrail.sandbox.emulations import Place, ReadyAccount
from vendrail.sandbox.faults import GATEWAY_KINDS, NOTIFY_KINDS, Fault, FaultKind, Faults
from vendrail.sandbox.records import Notice
from vendrail.sandbox.stripe_acts import Act, Form
from vendrail.sandbox.stripe_api import Answer, Ask
from vendrail.sandbox.stripe_control import CONTROL
from vendrail.sandbox.stripe_element import ELEMENT
from vendrail.sandbox.stripe_forms import Refused
from vendrail.sandbox.stripe_operations import Operation
from vendrail.sandbox.stripe_pages import PAGES
from vendrail.sandbox.stripe_records import Endpoint, Replay, Seller, StripeStore, Thing, make_token
from vendrail.sandbox.stripe_webhooks import (
    CAPTURES,
    LADDER_S,
    Pen,
    endpoints_of,
    falsify,
    is_taken,
    number_of,
    write_events,
)

_OPENING_MINOR = 100_000_000
_READY = "Vendrail demo"
_SWEEP_INTERVAL_S = 0.5
_REPORT_S = 1.0  # How long a report takes; the real one takes minutes.
_REFUND_S = 1.0
_METHODS = "card,paynow_qr,alipay,wechat_qr"


class StripeEmulation:
    """Stripe."""

    name = "stripe"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.store = StripeStore(
            place.home / "stripe-journal.jsonl", place.settings.journal_compact_bytes
        )
        self.faults = Faults(stripe_api.REFUSALS, "query")
        self.pen = Pen(self.store, place.clock)
        self.courier = Courier(
            self.store, place.settings, place.clock, LADDER_S, self.pen.write, is_taken
        )
        self._under_way: set[tuple[str, str]] = set()
        self.base_url = ""

    @property
    def state(self) -> Mapping[str, object]:
        """Give what its routes find in the application's state."""
        return {self.name: self}

    @property
    def routes(self) -> Sequence[Any]:
        """Give its doors, its pages and its control routes."""
        return [*PAGES, *ELEMENT, *CONTROL]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let pages expire, refunds arrive and reports be written, and tell merchants."""
        sweeper = asyncio.create_task(self._sweep_for_ever())
        try:
            async with self.courier.running():
                yield
        finally:
            await end_tasks([sweeper])
            self.store.close()

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL_S)
            self.sweep()

    def sweep(self) -> None:
        """Do what happens by itself."""
        now = self.place.clock.now()
        for thing in list(self.store.pending.values()):
            act = self.act(thing.account)
            age_s = (now - thing.at).total_seconds()
            if thing.kind == "checkout.session":
                stripe.expire_due(act, thing)
            elif thing.kind == "refund" and age_s >= _REFUND_S:
                stripe_funds.settle_refund(act, thing, is_paid=True)
            elif thing.kind == "reporting.report_run" and age_s >= _REPORT_S:
                stripe_reports.finish_report(act, thing)
            self.announce(act)

    def open_account(self, base_url: str) -> ReadyAccount | None:
        """Open the one account that needs no registration."""
        self.base_url = self.place.settings.base_url or base_url
        known = [each for each in self.store.sellers.values() if each.name == _READY]
        seller = known[0] if known else self.register(_READY, _OPENING_MINOR)
        [endpoint] = [x for x in self.store.endpoints.values() if x.account == seller.id]
        settings = {
            "secret_key": seller.secret_key,
            "publishable_key": seller.publishable_key,
            "script_url": f"{self.base_url}/stripe/js/v3/",
            "webhook_secret": endpoint.secret,
            "methods": _METHODS,
            "api_url": f"{self.base_url}/stripe",
        }
        return ReadyAccount(
            "stripe", "Stripe", settings, ("SGD",), f"/sandbox/stripe/endpoints/{endpoint.id}"
        )

    def register(self, name: str, opening_minor: int, platform: str = "") -> Seller:
        """Open an account, with an endpoint that does not know yet where it is."""
        if platform and platform not in self.store.sellers:
            raise Malformed(f"{platform!r} is not registered here.")
        seller = Seller(
            f"acct_{make_token(16)}",
            name,
            f"sk_test_{make_token(40)}",
            f"pk_test_{make_token(40)}",
            opening_minor,
            platform,
        )
        endpoint = Endpoint(f"we_{make_token(24)}", seller.id, "", f"whsec_{make_token(32)}", ["*"])
        self.store.save(seller, endpoint)
        return seller

    def act(self, account: str) -> Act:
        """Begin an act of an account's."""
        settings = self.place.settings
        return Act(
            self.store,
            account,
            self.place.clock.now(),
            f"{settings.base_url or self.base_url}/stripe",
            settings.has_bill_today,
        )

    def announce(self, act: Act, ordered: Sequence[Fault] = ()) -> None:
        """Keep an act's events, and have them brought to who wants to hear them."""
        events = write_events(act)
        act.events.clear()
        is_capture = any(event.shown["type"] in CAPTURES for event in events)
        faults = list(ordered)
        if is_capture and not faults:
            number = number_of(self.store, events[-1].shown["data"]["object"])
            faults = self.faults.take(NOTIFY_KINDS, number, act.account)
        for event in events:
            suffered = faults if event.shown["type"] in CAPTURES else []
            for notice in self.notices(event, suffered):
                if notice.url:
                    self.courier.send(notice, suffered)

    def notices(self, event: Thing, faults: Sequence[Fault] = ()) -> list[Notice]:
        """Write an event down for each endpoint."""
        made = []
        for endpoint in endpoints_of(self.store, event.account, event.shown["type"]):
            told = falsify(event, endpoint, faults)
            notice = Notice(
                notify_id=f"{endpoint.id}:{event.id}",
                out_trade_no=number_of(self.store, told["data"]["object"]),
                url=endpoint.url,
                form=msgspec.json.encode(told).decode(),
                faults=[fault.kind.value for fault in faults],
            )
            made.append(notice)
        return made

    # The API.

    async def answer(self, ask: Ask, base_url: str) -> Answer:
        """Answer a request as api.stripe.com would."""
        self.base_url = self.base_url or base_url
        id = f"req_{make_token(14)}"
        try:
            answer = await self._answer(ask)
        except Refused as refused:
            answer = stripe_api.encode_error(refused)
        key = ask.headers.get("idempotency-key", "")
        told = {"Request-Id": id, "Stripe-Version": stripe_api.VERSION}
        answer.headers |= told | ({"Idempotency-Key": key} if key else {})
        return answer

    async def _answer(self, ask: Ask) -> Answer:
        seller = stripe_api.identify(self.store, ask)
        if ask.path.startswith("/v1/files/") and ask.path.endswith("/contents"):
            return self._give_file(ask, seller)
        operation, id = stripe_api.find_operation(ask)
        act = self.act(seller.id)
        key = ask.headers.get("idempotency-key", "") if ask.method == "POST" else ""
        if (seller.id, key) in self._under_way:
            words = "There is currently another in-progress request using this Idempotent Key."
            raise Refused("idempotency_key_in_use", words, status=409, is_early=True)
        if key and (known := stripe_api.find_replay(self.store, ask, seller, act)) is not None:
            return Answer(known.status, known.body.encode(), {"Idempotent-Replayed": "true"})
        form = stripe_api.read_fields(operation, id, ask)
        if stripe_api.is_public(self.store, ask):
            stripe_api.check_secret(act, form)
            form["is_public"] = True
        faults = self._take_faults(operation, act, form)
        if key:
            self._under_way.add((seller.id, key))
        try:
            return await self._carry_out(ask, operation, act, form, faults)
        finally:
            self._under_way.discard((seller.id, key))

    def _take_faults(self, operation: Operation, act: Act, form: Form) -> dict[FaultKind, Fault]:
        if not self.faults.open:
            return {}
        subject = self.store.any_thing(form.get("payment_intent") or form["id"])
        shown = subject.shown if subject is not None else form
        number = number_of(self.store, shown)
        taken = self.faults.take(GATEWAY_KINDS, number, act.account, operation.name)
        return {fault.kind: fault for fault in taken}

    async def _carry_out(
        self,
        ask: Ask,
        operation: Operation,
        act: Act,
        form: Form,
        faults: Mapping[FaultKind, Fault],
    ) -> Answer:
        await self._be_slow(faults, is_after=False)
        down = faults.get(FaultKind.GATEWAY_DOWN)
        if down is not None and not down.params.is_after:
            return await self._be_away(down)
        if FaultKind.QUERY_UNKNOWN in faults:
            raise stripe_api.refuse("rate_limit")
        business = faults.get(FaultKind.BUSINESS_ERROR)
        try:
            if business is not None and not business.params.is_after:
                raise stripe_api.refuse(business.params.sub_code)
            shown = operation.run(act, form)
            if form.get("is_public"):
                shown = stripe_api.for_browsers(shown)
            answer = Answer(200, msgspec.json.encode(stripe_api.expand(act, shown, form)))
        except Refused as refused:
            if refused.is_early:
                raise
            answer = stripe_api.encode_error(refused)
        self._keep_replay(ask, act, answer)
        self.announce(act)
        if FaultKind.QUERY_DISAGREES in faults:
            answer = stripe_api.disagree(answer, faults[FaultKind.QUERY_DISAGREES].params)
        await self._be_slow(faults, is_after=True)
        if business is not None and business.params.is_after:
            raise stripe_api.refuse(business.params.sub_code)
        return await self._be_away(down) if down is not None else answer

    def _keep_replay(self, ask: Ask, act: Act, answer: Answer) -> None:
        key = ask.headers.get("idempotency-key", "")
        if ask.method == "POST" and key:
            digest = stripe_api.digest_of(ask)
            kept = Replay(act.account, key, digest, answer.status, answer.body.decode(), act.now)
            self.store.save(kept)

    async def _be_slow(self, faults: Mapping[FaultKind, Fault], *, is_after: bool) -> None:
        slow = faults.get(FaultKind.SLOW)
        if slow is not None and slow.params.is_after == is_after:
            delay_s = slow.params.delay_s
            await self.place.clock.sleep(1.0 if delay_s is None else delay_s)

    async def _be_away(self, down: Fault) -> Answer:
        await self.place.clock.sleep(down.params.timeout_s)
        return Answer(down.params.status, b"<html>Service Unavailable</html>", {}, "text/html")

    def _give_file(self, ask: Ask, seller: Seller) -> Answer:
        id = ask.path.removeprefix("/v1/files/").removesuffix("/contents")
        file = self.store.thing(seller.id, id, "file")
        if file is None or ask.method != "GET":
            raise Refused("resource_missing", f"No such file: '{id[:80]}'", status=404)
        if "content" in file.hidden:
            content = b64decode(file.hidden["content"])
            return Answer(200, content, {}, "application/octet-stream")
        return Answer(200, file.hidden["text"].encode(), {}, "text/csv")
