"""Notify's service: take durably, send in the background, once each."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.catalog import Catalog
from vendrail.api.identity import Identity
from vendrail.api.notify import (
    ChatAsk,
    ChatEndStatus,
    ChatTicket,
    ChatView,
    CheckReport,
    CheckStatus,
    ChoiceStatus,
    LetterChoice,
    LetterPreferences,
    LetterQuery,
    LetterRepeat,
    LetterState,
    LetterStop,
    LetterView,
    LetterWay,
    Message,
    MessageStatus,
    PreferencesStatus,
    RepeatStatus,
    RetryStatus,
)
from vendrail.api.orders import Orders
from vendrail.api.payments import Payments
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode
from vendrail.kernel.datakeys import DataKeys
from vendrail.kernel.db import Database, Row
from vendrail.kernel.outbox import Wakeups
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import Vault
from vendrail.notify import store
from vendrail.notify.bot import choose_bot
from vendrail.notify.chats import KINDS
from vendrail.notify.concerns import CHOSEN, TEMPLATES
from vendrail.notify.decide import FORMS, RANK_ASKED, stale_at, take
from vendrail.notify.notices import LIVES_S, NoticeFacts
from vendrail.notify.senders import choose_sender
from vendrail.notify.service.acting import Acting
from vendrail.notify.service.chats import Chats
from vendrail.notify.service.news import News
from vendrail.notify.service.readers import Readers
from vendrail.notify.service.room import PURPOSE, Content, Means
from vendrail.notify.service.sending import Sending
from vendrail.notify.service.watching import Watching
from vendrail.notify.settings import NotifySettings
from vendrail.notify.store import NewMessage
from vendrail.notify.store import chats as chats_store

_KEY_LIFE = timedelta(minutes=10)
_FORGOTTEN_MAX = 2_000


class NotifyService:
    """Fulfils `api.notify.Notify`."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        wakeups: Wakeups,
        metrics: Metrics,
        settings: NotifySettings,
    ) -> None:
        self._db = db
        self._vault = vault
        self._metrics = metrics
        self.clock = clock
        self.wakeups = wakeups
        self.settings = settings
        self._means = Means(db, clock, wakeups, metrics, settings)
        self._readers = Readers(self._means, vault)
        self._sender = choose_sender(settings)
        self._data_keys = DataKeys(db, vault, clock, life=_KEY_LIFE)
        self._bot = choose_bot(settings)
        self.chats = Chats(self._means, vault, self._data_keys, self._readers, self._bot)
        for template in (
            *FORMS,
            *LIVES_S,
            *sorted(set(TEMPLATES.values())),
        ):  # So that the first one is a change.
            metrics.count("vendrail_letters_total", template, "sent", by=0)
            if template in KINDS:
                metrics.count("vendrail_telegram_letters_total", template, "sent", by=0)

    def news(self, orders: Orders, catalog: Catalog) -> News:
        """Give what turns events of orders into letters."""
        return News(self._means, orders, catalog)

    def watching(
        self, orders: Orders, catalog: Catalog, identity: Identity, payments: Payments
    ) -> Watching:
        """Give what tells staff of what stands."""
        return Watching(self._means, orders, catalog, identity, payments, self.chats)

    def acting(self, identity: Identity) -> Acting:
        """Give what hands to the log what people did at Telegram."""
        return Acting(self._means, self._vault, self._data_keys, identity)

    def sending(self, news: News | None = None, watching: Watching | None = None) -> Sending:
        """Give what sends; without those who write news it sends what was asked for only."""
        return Sending(
            self._means,
            self._vault,
            self._data_keys,
            self._sender,
            self._bot,
            self._readers,
            self.chats,
            news,
            watching,
        )

    async def close(self) -> None:
        """Let go of connections."""
        if self._bot is not None:
            await self._bot.close()

    async def send_messages(self, messages: Sequence[Message]) -> list[MessageStatus]:
        """Take messages; they are delivered by themselves, once each."""
        statuses = [take(message, is_telling=self.settings.is_telling) for message in messages]
        # Of those that have one id the first is taken.
        sound: dict[UUID, Message] = {}
        for message, status in zip(messages, statuses, strict=True):
            if status is MessageStatus.TAKEN:
                sound.setdefault(message.id, message)
        added = await self._add(list(sound.values())) if sound else set()
        for at, message in enumerate(messages):
            if statuses[at] is MessageStatus.TAKEN:
                if message.id in added:
                    added.remove(message.id)
                else:
                    statuses[at] = MessageStatus.EXISTS
        return statuses

    async def _add(self, messages: Sequence[Message]) -> set[UUID]:
        now = self.clock.now()
        key = await self._data_keys.newest()
        ways = await self.chats.ways([(each.template, each.recipient) for each in messages])

        def sealed(message: Message, row: NewMessage) -> NewMessage:
            content = encode(Content(message.recipient, message.locale, message.values))
            return row._replace(sealed=self._vault.seal(key, PURPOSE, row.id, content))

        rows: list[NewMessage] = []
        copies: dict[UUID, NewMessage] = {}
        for message in messages:
            row, copy = self.chats.planned(
                NewMessage(
                    message.id,
                    message.template,
                    None,
                    stale_at(message, now),
                    message.stream,
                    RANK_ASKED,
                    FORMS[message.template].is_replaced,
                ),
                message.recipient,
                ways,
            )
            rows.append(sealed(message, row))
            if copy is not None:
                copies[row.id] = sealed(message, copy)
        replaced: list[str] = []
        async with self._db.transaction() as tx:
            added = await store.add_messages(tx, rows, key.id, now)
            beside = [copy for id, copy in copies.items() if id in added]
            if beside:
                await store.add_messages(tx, beside, key.id, now)
            replacing = {row.id for row in rows if row.is_replacing and row.stream} & added
            if replacing:
                replaced = await store.drop_replaced(tx, replacing)
        self._metrics.count_each(
            "vendrail_letters_total", [(template, "overtaken") for template in replaced]
        )
        if added:
            self.wakeups.wake("notify")
        return added

    async def list_letters(self, queries: Sequence[LetterQuery]) -> list[list[LetterView]]:
        """List letters, the newest first."""
        async with self._db.reading() as tx:
            return [
                [_view(row) for row in await store.list_letters(tx, query)] for query in queries
            ]

    async def read_letters(self, ids: Sequence[UUID]) -> list[LetterView | None]:
        """Read letters as they stand."""
        async with self._db.reading() as tx:
            rows = await store.load_letters(tx, ids)
        return [_view(rows[id]) if id in rows else None for id in ids]

    async def retry_letters(self, ids: Sequence[UUID]) -> list[RetryStatus]:
        """Send again what failed, or may have left; a person has decided that."""
        now = self.clock.now()
        async with self._db.transaction() as tx:
            rows = await store.load_letters(tx, ids)
            let = await store.retry_letters(tx, ids, now)
        if let:
            self.wakeups.wake("notify")
        return [RetryStatus.WAITING if id in let else _why_not(rows.get(id)) for id in ids]

    async def repeat_letters(self, repeats: Sequence[LetterRepeat]) -> list[RepeatStatus]:
        """Send the letters of delivered orders once more; few at once, so one by one."""
        if not self.settings.is_telling:
            return [RepeatStatus.OFF] * len(repeats)
        statuses = [await self._repeat(each) for each in repeats]
        if RepeatStatus.TAKEN in statuses:
            self.wakeups.wake("notify")
        return statuses

    async def _repeat(self, asked: LetterRepeat) -> RepeatStatus:
        now, template = self.clock.now(), "order_delivered"
        letter = NewMessage(
            asked.id,
            template,
            None,
            now + timedelta(seconds=LIVES_S[template]),
            asked.order,
            RANK_ASKED,
            subject=asked.order,
            facts=encode(NoticeFacts()),
        )
        since, count_max = now - timedelta(days=1), self.settings.repeats_per_day_max
        async with self._db.transaction() as tx:
            count = await store.count_asked(tx, asked.order, template, RANK_ASKED, since)
            if await store.load_letters(tx, [asked.id]):
                return RepeatStatus.EXISTS
            if count >= count_max:
                return RepeatStatus.TOO_MANY
            await store.add_messages(tx, [letter], None, now)
        return RepeatStatus.TAKEN

    async def choose_letters(self, choices: Sequence[LetterChoice]) -> list[ChoiceStatus]:
        """Write which letters merchants' staff get; few at once, so one by one."""
        statuses = []
        async with self._db.transaction() as tx:
            for choice in choices:
                if choice.template not in CHOSEN:
                    statuses.append(ChoiceStatus.TEMPLATE_UNKNOWN)
                    continue
                write = store.unmute if choice.is_wanted else store.mute
                is_changed = await write(tx, choice.merchant, choice.template)
                statuses.append(ChoiceStatus.CHANGED if is_changed else ChoiceStatus.UNCHANGED)
        return statuses

    async def read_choices(self, merchants: Sequence[UUID]) -> list[list[LetterChoice]]:
        """Give merchants' choices, one for each template there is."""
        async with self._db.reading() as tx:
            muted = await store.load_muted(tx, merchants)
        return [
            [
                LetterChoice(merchant, template, (merchant, template) not in muted)
                for template in CHOSEN
            ]
            for merchant in merchants
        ]

    async def put_preferences(
        self, preferences: Sequence[LetterPreferences]
    ) -> list[PreferencesStatus]:
        """Write what readers want; few at once, so one by one."""
        return [await self._readers.put(each) for each in preferences]

    async def read_preferences(self, addresses: Sequence[str]) -> list[LetterPreferences]:
        """Give what readers want."""
        return await self._readers.read(addresses)

    async def read_stops(self, links: Sequence[str]) -> list[LetterStop]:
        """Say what links of letters would switch off."""
        return [await self._readers.look(link) for link in links]

    async def stop_letters(self, links: Sequence[str]) -> list[LetterStop]:
        """Switch off the one kind that each link is of; few at once, so one by one."""
        return [await self._readers.stop(link) for link in links]

    async def read_chats(self, addresses: Sequence[str]) -> list[ChatView]:
        """Say whether readers get letters by Telegram."""
        return await self.chats.read(addresses)

    async def open_chats(self, asks: Sequence[ChatAsk]) -> list[ChatTicket]:
        """Give links that link a chat; few at once, so one by one."""
        return [await self.chats.open(each) for each in asks]

    async def end_chats(self, addresses: Sequence[str]) -> list[ChatEndStatus]:
        """Send readers nothing by Telegram any more; few at once, so one by one."""
        return [await self.chats.end(each) for each in addresses]

    async def report_checks(self, reports: Sequence[CheckReport]) -> list[CheckStatus]:
        """Keep the newest outcome of each check; few at once, so one by one."""
        async with self._db.transaction() as tx:
            kept = [await store.put_report(tx, report) for report in reports]
        return [CheckStatus.RECORDED if is_kept else CheckStatus.OLDER for is_kept in kept]

    async def list_checks(self) -> list[CheckReport]:
        """Give the newest outcome of each check that was ever made, by name."""
        async with self._db.reading() as tx:
            return await store.load_reports(tx)

    async def forget(self) -> bool:
        """Delete some outcomes that are too old; true: there are more."""
        before = self.clock.now() - timedelta(days=self.settings.keep_days)
        async with self._db.reading() as tx:
            await chats_store.forget_tickets(tx, self.clock.now())
            return await store.forget(tx, before, _FORGOTTEN_MAX) == _FORGOTTEN_MAX

    async def sum_waiting(self) -> tuple[int, datetime | None]:
        """Count what waits, and say since when the oldest does: for the metrics."""
        async with self._db.reading() as tx:
            return await store.sum_waiting(tx)


def _why_not(row: Row | None) -> RetryStatus:
    if row is None:
        return RetryStatus.LETTER_NOT_FOUND
    state = LetterState(row["state"])
    if state in (LetterState.WAITING, LetterState.SENDING):
        return RetryStatus.NOT_ENDED
    if state is LetterState.SENT:
        return RetryStatus.SENT_ALREADY
    if state in (LetterState.FAILED, LetterState.UNKNOWN) and row["facts"] is None:
        return RetryStatus.CONTENT_ERASED
    return RetryStatus.STALE


def _view(row: Row) -> LetterView:
    return LetterView(
        row["id"],
        row["template"],
        LetterState(row["state"]),
        row["subject"],
        row["attempts"],
        row["problem"] or "",
        row["taken_at"],
        row["due_at"],
        row["stale_at"],
        LetterWay(row["way"]),
    )
