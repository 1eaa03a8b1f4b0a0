"""Notify's service: take durably, send in the background, once each."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from jinja2 import TemplateError

from vendrail.api.notify import Message, MessageStatus
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record, decode, encode
from vendrail.kernel.db import Database
from vendrail.kernel.errors import Broken
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.vault import DataKey, Vault
from vendrail.notify import letters, store
from vendrail.notify.decide import Fate, State, retry, stale_at, take
from vendrail.notify.senders import Letter, Outcome, Report, choose_sender
from vendrail.notify.settings import NotifySettings
from vendrail.notify.store import DueMessage, NewMessage

_log = structlog.get_logger(__name__)
_PURPOSE = "notify.message"
_KEY_LIFE = timedelta(minutes=10)
_CLAIMED_MAX = 8
_FORGOTTEN_MAX = 2_000


class _Content(Record, frozen=True):
    """What is sealed of a message."""

    recipient: str
    locale: str
    values: dict[str, str]


class NotifyService:
    """Fulfils `api.notify.Notify`."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        wakeups: Wakeups,
        settings: NotifySettings,
    ) -> None:
        self._db = db
        self._vault = vault
        self.clock = clock
        self.wakeups = wakeups
        self._settings = settings
        self._sender = choose_sender(settings)
        self._key: DataKey | None = None
        self._key_made_at: datetime | None = None
        self._making_key = asyncio.Lock()

    async def send_messages(self, messages: Sequence[Message]) -> list[MessageStatus]:
        """Take messages; they are delivered by themselves, once each."""
        statuses = [take(message) for message in messages]
        sound = {
            message.id: message
            for message, status in zip(reversed(messages), reversed(statuses), strict=True)
            if status is MessageStatus.TAKEN
        }
        added = await self._add(list(sound.values())) if sound else set()
        for at, message in enumerate(messages):
            if statuses[at] is MessageStatus.TAKEN:
                if message.id in added:
                    added.remove(message.id)
                else:
                    statuses[at] = MessageStatus.EXISTS
        return statuses

    async def _add(self, messages: Sequence[Message]) -> set[object]:
        now = self.clock.now()
        key = await self._data_key(now)
        rows = [
            NewMessage(
                message.id,
                message.template,
                self._vault.seal(
                    key,
                    _PURPOSE,
                    message.id,
                    encode(_Content(message.recipient, message.locale, message.values)),
                ),
                stale_at(message, now),
            )
            for message in messages
        ]
        async with self._db.reading() as tx:
            added = await store.add_messages(tx, rows, key.id, now)
        if added:
            self.wakeups.wake("notify")
        return set(added)

    async def _data_key(self, now: datetime) -> DataKey:
        """Give the data key of this time slice, stored before it seals anything."""
        async with self._making_key:
            made_at = self._key_made_at
            if self._key is None or made_at is None or now - made_at >= _KEY_LIFE:
                key = self._vault.new_data_key()
                async with self._db.reading() as tx:
                    await store.add_data_key(tx, key, now)
                self._key, self._key_made_at = key, now
            return self._key

    async def send_due(self) -> bool:
        """Send a few due messages, no faster than is allowed; true: there may be more."""
        now = self.clock.now()
        # Long enough for each of them to time out, one after another.
        lost_at = now + timedelta(seconds=60 + _CLAIMED_MAX * 3 * self._settings.smtp_timeout_s)
        async with self._db.transaction() as tx:
            await store.drop_stale(tx, now)
            claimed = await store.claim_messages(tx, now, lost_at, _CLAIMED_MAX)
            keys = await store.load_data_keys(
                tx, self._vault, {message.data_key for message in claimed}
            )
        for message in claimed:
            fate = await self._send(message, keys.get(message.data_key))
            async with self._db.reading() as tx:
                await store.end_message(tx, message, fate)
            if fate.state is not State.SENT:
                _log.warning(
                    "notify.not_sent",
                    message=str(message.id),
                    state=str(fate.state),
                    problem=fate.problem,
                )
            await self.clock.sleep(1.0 / self._settings.messages_per_s_max)
        return len(claimed) == _CLAIMED_MAX

    async def _send(self, message: DueMessage, key: DataKey | None) -> Fate:
        """Send one claimed message; no transaction is open meanwhile."""
        now = self.clock.now()
        if message.was_sending and not self._sender.is_repeatable:
            return Fate(State.UNKNOWN, now, "Its sender was lost; it may have left.")
        if message.stale_at <= now:
            return Fate(State.STALE, now, "")
        if key is None:
            return Fate(State.FAILED, now, "Its data key is gone.")
        try:
            sealed = self._vault.unseal(key, _PURPOSE, message.id, message.sealed)
            content = decode(sealed, _Content)
            email = letters.write(
                message.id,
                message.template,
                content.locale,
                content.values,
                recipient=content.recipient,
                sender=self._settings.sender_address,
                site_name=self._settings.site_name,
                at=now,
            )
        except (Broken, TemplateError, ValueError) as error:
            return Fate(State.FAILED, now, f"It cannot be written: {type(error).__name__}.")
        report = await self._sender.send(Letter(message.id, email))
        return self._fate(message, report)

    def _fate(self, message: DueMessage, report: Report) -> Fate:
        now = self.clock.now()
        if report.outcome is Outcome.SENT:
            return Fate(State.SENT, now, "")
        if report.outcome is Outcome.REFUSED:
            return Fate(State.FAILED, now, report.problem)
        if report.outcome is Outcome.UNKNOWN:
            return Fate(State.UNKNOWN, now, report.problem)
        attempts_max = self._settings.attempts_max
        return retry(message.attempts, attempts_max, now, message.stale_at, report.problem)

    async def forget(self) -> bool:
        """Delete some outcomes that are too old; true: there are more."""
        before = self.clock.now() - timedelta(days=self._settings.keep_days)
        async with self._db.reading() as tx:
            return await store.forget(tx, before, _FORGOTTEN_MAX) == _FORGOTTEN_MAX
