"""Talking: what is written about an order, sealed, with files, read by those it concerns."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.orders import OrderView
from vendrail.api.support import (
    AttachmentFile,
    AttachmentQuery,
    AttachmentView,
    CannedAnswer,
    CannedStatus,
    InboxQuery,
    MessageView,
    Remedy,
    Side,
    TalkHead,
    TalkQuery,
    TalkView,
    WriteMessage,
    WriteStatus,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.db import Row
from vendrail.kernel.ids import derive
from vendrail.support import decide
from vendrail.support.service.ground import FILES, WORDS, Ground
from vendrail.support.store import complaints, talks
from vendrail.support.store.talks import NewFile, NewMessage

_SHOWN_MAX = 300
_PAGE_MAX = 200
_TITLE_LENGTH_MAX = 60
_MINUTE = timedelta(minutes=1)


class Talking:
    """Takes and gives what people write; few at once, so one by one."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._db = ground.db

    async def write_messages(self, asked: Sequence[WriteMessage]) -> list[WriteStatus]:
        """Write to whoever else the orders are of."""
        views = await self._ground.find_orders([(each.order, each.by) for each in asked])
        return [
            await self._write(each, view) if view is not None else WriteStatus.ORDER_NOT_FOUND
            for each, view in zip(asked, views, strict=True)
        ]

    async def _write(self, asked: WriteMessage, order: OrderView) -> WriteStatus:
        ground = self._ground
        if asked.by.side is Side.BUYER and order.paid_at is None:
            return WriteStatus.NOT_PAID
        now = ground.clock.now()
        length_min = 0 if asked.attachments else 1
        if not decide.is_prose(asked.text, length_min):
            return WriteStatus.TEXT_MALFORMED
        if not decide.are_sound(asked.attachments):
            return WriteStatus.ATTACHMENT_REFUSED
        files = [await self._seal_file(asked, at) for at in range(len(asked.attachments))]
        sealed = key = None
        if asked.text.strip():
            sealed, key = await ground.seal(WORDS, asked.id, asked.text.strip().encode())
        new = NewMessage(
            asked.id, asked.order, asked.by.side, asked.by.person, "", None, 0, sealed, key, now
        )
        async with self._db.transaction() as tx:
            count = await talks.lock(tx, asked.order, order.merchant, now)
            known = await talks.find_message(tx, asked.id)
            if known is not None:
                return WriteStatus.EXISTS
            recent = await talks.count_since(tx, asked.order, asked.by.side, now - _MINUTE)
            if recent >= decide.MESSAGES_PER_MINUTE_MAX or count >= decide.MESSAGES_MAX:
                return WriteStatus.TOO_MANY
            if files:
                kept = await talks.sum_files(tx, asked.order, asked.by.side)
                if kept + sum(each.size for each in files) > decide.ORDER_BYTES_MAX:
                    return WriteStatus.FULL
            await talks.add(tx, new, count + 1)
            await talks.add_files(tx, files)
            tell_at = now + timedelta(seconds=ground.settings.letter_pause_s)
            await talks.tell_later(tx, asked.order, asked.by.side, tell_at)
        ground.metrics.count("vendrail_messages_written_total", str(asked.by.side))
        ground.wake(asked.order)
        return WriteStatus.WRITTEN

    async def _seal_file(self, asked: WriteMessage, at: int) -> NewFile:
        each = asked.attachments[at]
        id = derive(asked.id, f"file:{at}")
        kind = decide.media_type(each.content)
        sealed, key = await self._ground.seal(FILES, id, each.content)
        name = decide.clean_name(each.name, kind)
        return NewFile(id, asked.id, asked.order, name, kind, len(each.content), sealed, key)

    async def read_talks(self, queries: Sequence[TalkQuery]) -> list[TalkView | None]:
        """Read conversations whole, as far as they are shown."""
        views = await self._ground.find_orders([(each.order, each.by) for each in queries])
        return [
            await self._read(each, view.merchant) if view is not None else None
            for each, view in zip(queries, views, strict=True)
        ]

    async def _read(self, asked: TalkQuery, merchant: UUID) -> TalkView:
        side = asked.by.side
        async with self._db.reading() as tx:
            head = (await talks.load(tx, [asked.order])).get(asked.order)
            rows = await talks.load_messages(tx, asked.order, _SHOWN_MAX)
            files = await talks.load_files(tx, asked.order)
            found = (await complaints.load_of_orders(tx, [asked.order])).get(asked.order, [])
            if asked.is_seen:
                await talks.see(tx, [asked.order], side)
        by_message: dict[UUID, list[AttachmentView]] = {}
        for each in files:
            view = AttachmentView(each["id"], each["name"], each["media_type"], each["size"])
            by_message.setdefault(each["message"], []).append(view)
        texts = await self._texts(rows)
        standing = [complaints.view_of(row) for row in found]
        count = head["count"] if head else 0
        moved = ".".join(f"{each.state}{each.frozen_minor}" for each in standing)
        return TalkView(
            asked.order,
            merchant,
            count,
            count - head[f"{side}_seen"] if head else 0,
            [_message(row, texts, by_message) for row in rows],
            standing,
            f"{count}.{moved}",
        )

    async def read_versions(self, orders: Sequence[UUID]) -> list[str]:
        """Say as what versions conversations stand; nothing is opened for that."""
        async with self._db.reading() as tx:
            found = await talks.load_versions(tx, orders)
        return [found[order] for order in orders]

    async def _texts(self, rows: Sequence[Row]) -> dict[UUID, str]:
        sealed = [row for row in rows if row["sealed"] is not None]
        opened = await self._ground.unseal(
            WORDS, [(row["id"], row["data_key"], row["sealed"]) for row in sealed]
        )
        return {row["id"]: text.decode() for row, text in zip(sealed, opened, strict=True)}

    async def list_talks(self, queries: Sequence[InboxQuery]) -> list[list[TalkHead]]:
        """List merchants' conversations, the last written first."""
        async with self._db.reading() as tx:
            return [
                await talks.load_inbox(tx, replace(each, talks_max=min(each.talks_max, _PAGE_MAX)))
                for each in queries
            ]

    async def read_attachments(
        self, queries: Sequence[AttachmentQuery]
    ) -> list[AttachmentFile | None]:
        """Open files of conversations."""
        views = await self._ground.find_orders([(each.order, each.by) for each in queries])
        files: list[AttachmentFile | None] = []
        for each, view in zip(queries, views, strict=True):
            async with self._db.reading() as tx:
                row = await talks.load_file(tx, each.id, each.order) if view is not None else None
            if row is None:
                files.append(None)
                continue
            [content] = await self._ground.unseal(
                FILES, [(row["id"], row["data_key"], row["sealed"])]
            )
            files.append(AttachmentFile(row["name"], row["media_type"], content))
        return files

    async def put_canned(self, answers: Sequence[CannedAnswer]) -> list[CannedStatus]:
        """Write, change or take away canned answers."""
        statuses = []
        async with self._db.transaction() as tx:
            for each in answers:
                known = (await talks.load_canned(tx, [each.merchant])).get(each.merchant, [])
                if not each.text.strip():
                    await talks.drop_canned(tx, each)
                    statuses.append(CannedStatus.REMOVED)
                elif not decide.is_prose(each.text) or not decide.is_prose(
                    each.title, 1, _TITLE_LENGTH_MAX
                ):
                    statuses.append(CannedStatus.TEXT_MALFORMED)
                elif len(known) >= decide.CANNED_MAX and each.id not in {a.id for a in known}:
                    statuses.append(CannedStatus.TOO_MANY)
                else:
                    await talks.put_canned(tx, each)
                    statuses.append(CannedStatus.WRITTEN)
        return statuses

    async def list_canned(self, merchants: Sequence[UUID]) -> list[list[CannedAnswer]]:
        """List merchants' canned answers by their titles."""
        async with self._db.reading() as tx:
            found = await talks.load_canned(tx, merchants)
        return [found.get(merchant, []) for merchant in merchants]

    async def take_unread(self, now: datetime, rows_max: int) -> list[tuple[UUID, Side, int]]:
        """Take those who have not read in time, each once until they have."""
        async with self._db.transaction() as tx:
            return await talks.take_unread(tx, now, rows_max)


def _message(
    row: Row, texts: dict[UUID, str], files: dict[UUID, list[AttachmentView]]
) -> MessageView:
    return MessageView(
        row["id"],
        row["number"],
        Side(row["side"]),
        row["person"],
        texts.get(row["id"], ""),
        row["at"],
        row["step"],
        Remedy(row["remedy"]) if row["remedy"] else None,
        row["amount_minor"],
        files.get(row["id"], []),
    )
