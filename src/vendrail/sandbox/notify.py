"""Notifications: what is told of a trade, and the courier who tells it until it is heard.

A merchant has heard when the answer is 200 with the seven bytes `success` and nothing else. Until
then the same text comes again, 4 m, 10 m, 10 m, 1 h, 2 h, 6 h and 15 h after the attempt before.
"""

import asyncio
import contextlib
import heapq
import json
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlencode

import httpx
import msgspec
import structlog

from vendrail.kernel.clock import Clock
from vendrail.kernel.waiting import end_tasks, wait_at_most
from vendrail.sandbox.alipay import BUYER_ID, BUYER_LOGON_ID, Event, fund_bills
from vendrail.sandbox.faults import NOTIFY_KINDS, Fault, FaultKind, Faults, falsify, tamper
from vendrail.sandbox.provider import Provider
from vendrail.sandbox.records import App, Delivery, Notice, NoticeEnd, stamp, yuan
from vendrail.sandbox.settings import Settings
from vendrail.sandbox.signatures import notification_text
from vendrail.sandbox.store import Store

_log = structlog.get_logger(__name__)

_ANSWER_LENGTH_MAX = 200
_LOG_LENGTH = 10_000
_QUEUE_MAX = 1_000
_REORDER_S_MAX = 5.0


def build_fields(app: App, event: Event, provider: Provider, clock: Clock) -> dict[str, str]:
    """Write all that is told of an event, unsigned."""
    trade, refund, now = event.trade, event.refund, clock.now()
    notify_id = f"{stamp(now)[:10].replace('-', '')}{secrets.token_hex(12)}"
    fields = {
        "app_id": app.app_id,
        "auth_app_id": app.app_id,
        "charset": "utf-8",
        "gmt_create": stamp(trade.opened_at or trade.created_at),
        "notify_id": notify_id,
        "notify_time": stamp(now),
        "notify_type": "trade_status_sync",
        "out_trade_no": trade.out_trade_no,
        "seller_id": app.seller_id,
        "subject": trade.subject,
        "total_amount": yuan(trade.total_minor),
        "trade_no": trade.trade_no,
        "trade_status": trade.status.value,
        "version": "1.0",
    }
    if trade.body:
        fields["body"] = trade.body
    if trade.passback_params:
        fields["passback_params"] = trade.passback_params
    if trade.paid_at is not None:
        total = yuan(trade.total_minor)
        fields |= {
            "buyer_id": BUYER_ID,
            "buyer_logon_id": BUYER_LOGON_ID,
            "buyer_pay_amount": total,
            "fund_bill_list": json.dumps(fund_bills(trade.total_minor), separators=(",", ":")),
            "gmt_payment": stamp(trade.paid_at),
            "invoice_amount": total,
            "point_amount": "0.00",
            "receipt_amount": total,
        }
    if refund is not None:
        fields |= {
            "gmt_refund": f"{stamp(refund.at)}.{refund.at.microsecond // 1000:03d}",
            "out_biz_no": refund.out_request_no,
            "refund_fee": yuan(trade.refunded_minor),
        }
    if trade.closed_at is not None:
        fields["gmt_close"] = stamp(trade.closed_at)
    if app.is_certified:
        fields["alipay_cert_sn"] = provider.certificate_number
    return fields


def _delay_of(fault: Fault, otherwise_s: float) -> float:
    return otherwise_s if fault.params.delay_s is None else fault.params.delay_s


def sign_fields(fields: dict[str, str], provider: Provider) -> dict[str, str]:
    """Sign what is told; `sign_type` is added after, for it is not part of the text."""
    signature = provider.sign(notification_text(fields).encode())
    return {**fields, "sign": signature, "sign_type": "RSA2"}


class Courier:
    """Brings notices to merchants: bounded in parallel, patient, and keeping a log."""

    def __init__(
        self, store: Store, provider: Provider, faults: Faults, settings: Settings, clock: Clock
    ) -> None:
        self.log: deque[Delivery] = deque(maxlen=_LOG_LENGTH)
        self._store = store
        self._provider = provider
        self._faults = faults
        self._settings = settings
        self._clock = clock
        self._due: list[tuple[float, int, Notice]] = []
        self._sequence = 0
        self._held: list[Notice] = []
        self._followers: dict[str, list[Notice]] = {}  # By the notice that goes before them.
        self._news = asyncio.Event()
        self._queue: asyncio.Queue[Notice] = asyncio.Queue(_QUEUE_MAX)
        self._tasks: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver while the body runs; what is still due is in the journal for next time."""
        limits = httpx.Limits(max_connections=self._settings.notify_workers)
        async with httpx.AsyncClient(
            timeout=self._settings.notify_timeout_s,
            limits=limits,
            follow_redirects=False,
            trust_env=False,
        ) as client:
            for notice in self._store.notices.values():
                self._schedule(notice, max(notice.due_at, time.time()))
            self._tasks = [asyncio.create_task(self._dispatch())]
            for _ in range(self._settings.notify_workers):
                self._tasks.append(asyncio.create_task(self._work(client)))
            try:
                yield
            finally:
                await end_tasks(self._tasks)

    def announce(self, events: Sequence[Event]) -> None:
        """Write, sign and send off what is due to be told."""
        for event in events:
            if self._is_told(event):
                self._announce(event)

    def _is_told(self, event: Event) -> bool:
        trade = event.trade
        if not trade.notify_url:
            return False
        if trade.paid_at is None:
            return self._settings.notifies_time_out
        is_whole = event.refund is not None and trade.refunded_minor == trade.total_minor
        return not is_whole or self._settings.notifies_full_refund

    def _announce(self, event: Event) -> None:
        trade = event.trade
        faults = self._faults.take(NOTIFY_KINDS, trade.out_trade_no, trade.app_id)
        notice = self.write(event, faults)
        kinds = {fault.kind: fault for fault in faults}
        if FaultKind.DROP in kinds:
            self._note(notice, "dropped")
            return
        self._store.save(notice)
        if FaultKind.DUPLICATE in kinds:
            for _ in range(kinds[FaultKind.DUPLICATE].params.times - 1):
                self._schedule(msgspec.structs.replace(notice), time.time())
        delay_s = 0.0
        if FaultKind.DELAY in kinds:
            delay_s = _delay_of(kinds[FaultKind.DELAY], 1.0)
        if FaultKind.REORDER in kinds:
            # Held back until the next notice has gone, but not for ever.
            delay_s = _delay_of(kinds[FaultKind.REORDER], _REORDER_S_MAX)
            self._held.append(notice)
        elif self._held:
            self._followers[notice.notify_id] = self._held
            self._held = []
        self._schedule(notice, time.time() + delay_s)

    def write(self, event: Event, faults: Sequence[Fault] = ()) -> Notice:
        """Write the form of a notification, with the faults that were ordered for it."""
        trade = event.trade
        fields = build_fields(self._store.apps[trade.app_id], event, self._provider, self._clock)
        falsify(fields, faults)
        signed = sign_fields(fields, self._provider)
        tamper(signed, faults)
        return Notice(
            notify_id=fields["notify_id"],
            out_trade_no=trade.out_trade_no,
            url=trade.notify_url,
            form=urlencode(signed),
            faults=[fault.kind.value for fault in faults],
        )

    def forge(self, event: Event, fault: Fault) -> None:
        """Send a success that nobody signed, whatever the trade's state."""
        notice = self.write(event, [fault])
        self._store.save(notice)
        self._schedule(notice, time.time())

    def _schedule(self, notice: Notice, due_at: float) -> None:
        self._sequence += 1
        notice.due_at = due_at
        heapq.heappush(self._due, (due_at, self._sequence, notice))
        self._news.set()

    async def _dispatch(self) -> None:
        while True:
            self._news.clear()
            now = time.time()
            while self._due and self._due[0][0] <= now:
                due_at, _, notice = heapq.heappop(self._due)
                if due_at == notice.due_at:  # Else it was put at another time since.
                    await self._queue.put(notice)
            wait_s = self._due[0][0] - time.time() if self._due else None
            await wait_at_most(self._news, wait_s)

    async def _work(self, client: httpx.AsyncClient) -> None:
        while True:
            notice = await self._queue.get()
            try:
                await self._deliver(client, notice)
            except OSError as error:  # The journal cannot be written: others still go out.
                _log.error("notice.not_kept", notify_id=notice.notify_id, error=str(error))

    async def _deliver(self, client: httpx.AsyncClient, notice: Notice) -> None:
        is_copy = self._store.notices.get(notice.notify_id) is not notice
        status_code, answer = 0, b""
        try:
            reply = await client.post(
                notice.url,
                content=notice.form,
                headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
            )
            status_code, answer = reply.status_code, reply.content
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            answer = f"{type(error).__name__}: {error}".encode()
        notice.attempts += 1
        is_taken = status_code == 200 and answer == b"success"
        ladder = self._settings.notify_ladder_s
        if is_taken:
            outcome = "taken"
        elif is_copy:
            outcome = "not_taken"
        elif notice.attempts > len(ladder):
            outcome = "given_up"
        else:
            outcome = "retrying"
        self._note(notice, outcome, status_code, answer)
        if outcome == "retrying":
            step_s = ladder[notice.attempts - 1] * self._settings.notify_ladder_scale
            self._schedule(notice, time.time() + step_s)
            self._store.save(notice)
        elif not is_copy:
            self._store.save(NoticeEnd(notice.notify_id))
        for follower in self._followers.pop(notice.notify_id, ()):
            if follower.attempts == 0:
                self._schedule(follower, time.time())

    def _note(
        self, notice: Notice, outcome: str, status_code: int = 0, answer: bytes = b""
    ) -> None:
        self.log.append(
            Delivery(
                notify_id=notice.notify_id,
                out_trade_no=notice.out_trade_no,
                url=notice.url,
                form=notice.form,
                attempt=notice.attempts,
                at=self._clock.now(),
                outcome=outcome,
                status_code=status_code,
                answer=answer.decode("utf-8", "replace")[:_ANSWER_LENGTH_MAX],
                faults=notice.faults,
            )
        )
