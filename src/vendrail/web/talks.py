"""Conversations on pages: forms with a file, parts that come by themselves, harmless files."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import NamedTuple
from uuid import UUID

from litestar import Response

from vendrail.api.support import (
    Attachment,
    AttachmentQuery,
    OpenStatus,
    Party,
    Side,
    StepStatus,
    Support,
    TalkView,
    WriteMessage,
    WriteStatus,
)
from vendrail.kernel.batcher import Batcher
from vendrail.kernel.cards import holds_card
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.http import as_attachment, leave_to_page, limit_key
from vendrail.kernel.waiting import wait_at_most
from vendrail.web.languages import message
from vendrail.web.live import LivePages
from vendrail.web.pages import guards
from vendrail.web.uploads import Asked, read_upload

Page = Response[bytes]

FORM_BYTES_MAX = 2_200_000
PART = "parts/talk.html"
_TICK_S = 1.0
_BEAT_TICKS = 15
_LIFE_TICKS = 900  # Then the browser connects again.
_FILE_POLICY = "default-src 'none'; sandbox"  # Whatever a file holds, it runs nothing.

NO_CARD = message(
    "Take the card number out: it belongs on the payment provider's page, never here."
)
SAID = {
    WriteStatus.TEXT_MALFORMED: message("Write something, in at most 4,000 letters."),
    WriteStatus.ATTACHMENT_REFUSED: message(
        "Only pictures (PNG, JPEG, WebP), PDF and plain text files of at most 2 MB are taken."
    ),
    WriteStatus.NOT_PAID: message("You can write to the merchant once the order is paid."),
    WriteStatus.FULL: message("There is no room for more files about this order: 20 MB in all."),
    WriteStatus.TOO_MANY: message("That was a lot at once. Wait a minute, then send it again."),
    OpenStatus.EXISTS_DIFFERENT: message("This form has been sent before. Reload the page."),
    OpenStatus.ID_MALFORMED: message("This form was too old. It is new now: send it again."),
    OpenStatus.NOT_DELIVERED: message("Only delivered orders can be complained of."),
    OpenStatus.NOTHING_LEFT: message("All of its money has gone back, or is on its way."),
    OpenStatus.TEXT_MALFORMED: message("Say what is wrong in a sentence or two."),
    OpenStatus.POSITIONS_MALFORMED: message("Choose the keys that do not work."),
    OpenStatus.TOO_LATE: message("The time for this is over. You can still write to the merchant."),
    OpenStatus.ONE_IS_OPEN: message("A complaint about this order is open already: it is below."),
    OpenStatus.DECIDED: message(
        "A complaint about this order was decided, and that stands. You can still write below."
    ),
    OpenStatus.TOO_MANY: message(
        "Three complaints about one order are the most. You can still write to the merchant."
    ),
    OpenStatus.TOO_SOON: message(
        "You took a complaint back less than a day ago. Wait a day, or write to the merchant."
    ),
    StepStatus.NOT_THEIR_TURN: message("It has moved on meanwhile. See where it stands now."),
    StepStatus.REMEDY_MALFORMED: message("Choose what is done."),
    StepStatus.CANNOT_REPLACE: message("What this order delivered cannot be replaced."),
    StepStatus.AMOUNT_OUT_OF_RANGE: message("A part is more than nothing and less than all of it."),
    StepStatus.TEXT_MALFORMED: message("Say why: the other side reads it."),
}


class Sent:
    """A form of a conversation: its fields, and the file that came with it, if any."""

    def __init__(
        self,
        fields: dict[str, str],
        attachments: list[Attachment],
        count_card: Callable[[], None],
    ) -> None:
        self.fields = fields
        self.attachments = attachments
        self.count_card = count_card

    def written(self, name: str, length_max: int = 5_000) -> str:
        """Give a field, trimmed; empty where there is none."""
        return self.fields.get(name, "").strip()[:length_max].replace("\r\n", "\n")

    @property
    def has_card(self) -> bool:
        """Whether a card number is where none belongs: in a field, a file's name, or a text."""
        written = [f"{name}={value}".encode() for name, value in self.fields.items()]
        for each in self.attachments:
            written.append(each.name.encode())
            if _is_text(each.content):
                written.append(each.content)
        return any(map(holds_card, written))


def _is_text(content: bytes) -> bool:
    """Whether a file would be kept as text; others hold numbers that mean nothing."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return not content.startswith(b"%PDF-")


async def read_sent(request: Asked) -> Sent:
    """Read such a form, as it arrives; no file chosen is no file."""
    count_card = leave_to_page(request.scope)  # What was typed is shown again, with what is wrong.
    upload = await read_upload(request, FORM_BYTES_MAX)
    try:
        content = await asyncio.to_thread(upload.file.read)
    finally:
        upload.close()
    files = [Attachment(upload.name[:200], content)] if content else []
    return Sent(upload.fields, files, count_card)


async def holds_card_number(sent: Sent) -> bool:
    """Tell whether a card number is in what was sent, and count it."""
    is_found = await asyncio.to_thread(lambda: sent.has_card)
    if is_found:
        sent.count_card()
    return is_found


async def send(support: Support, id: UUID, order: UUID, by: Party, sent: Sent) -> str:
    """Write what a form says; give what is wrong, to be translated: empty where it was written."""
    if await holds_card_number(sent):
        return NO_CARD
    new = WriteMessage(id, order, by, sent.written("text"), sent.attachments)
    [status] = await support.write_messages([new])
    return SAID.get(status, "")


async def open_file(support: Support, id: UUID | None, order: UUID, by: Party) -> Page | None:
    """Give a file to be kept, never to be run; None: it is not there, or not theirs."""
    if id is None:
        return None
    [found] = await support.read_attachments([AttachmentQuery(id, order, by)])
    return as_file(found.name, found.media_type, found.content) if found is not None else None


def as_file(name: str, media_type: str, content: bytes) -> Page:
    """Give a file to be kept: whatever it holds, it runs nothing."""
    headers = {
        "cache-control": "private, max-age=3600",
        "content-disposition": as_attachment(name),
        **guards(),
        "content-security-policy": _FILE_POLICY,
    }
    is_text = media_type == "text/plain"
    shown = "text/plain; charset=utf-8" if is_text else media_type
    return Page(content, media_type=shown, headers=headers)


class Follow(NamedTuple):
    """Whose page follows which conversation."""

    order: UUID
    side: Side
    address: str
    seen: str  # As which version the page has it.

    @property
    def keys(self) -> tuple[str, str]:
        """What it counts by."""
        return f"{self.side}:{self.order}", f"from:{limit_key(self.address)}"


class Following:
    """Follows conversations: whatever many pages wait for costs one statement a tick."""

    def __init__(self, live: LivePages, support: Support) -> None:
        self._live = live
        versions: Batcher[UUID, str] = Batcher(support.read_versions, name="web.read_talk_versions")
        self.version: Callable[[UUID], Awaitable[str]] = versions.submit

    def refusal(self, follow: Follow) -> Page | None:
        """Refuse one page too many, which asks every few seconds instead; None: it may follow."""
        if self._live.admits(*follow.keys):
            return None
        return Page(b"", status_code=503, media_type="text/plain", headers={"retry-after": "9"})

    async def parts(
        self,
        follow: Follow,
        read: Callable[[], Awaitable[TalkView | None]],
        write: Callable[[TalkView], str],
        may: Callable[[], Awaitable[bool]] | None = None,
        is_over: Callable[[TalkView], bool] = lambda _: False,
    ) -> AsyncGenerator[bytes, None]:
        """Give the part anew at every change, and a sign of life between.

        Whether they still may is asked before each part, and now and then between.
        """
        yield b"retry: 2000\n\n"
        live, order, seen = self._live, follow.order, follow.seen
        if not live.admits(*follow.keys):  # Others came between.
            return
        with live.admit(*follow.keys), live.follow(f"talk:{order}") as hint:
            for tick in range(_LIFE_TICKS):
                if live.is_closing:
                    return
                hint.clear()  # Before reading: a hint that comes meanwhile must not be lost.
                try:
                    is_new = await self.version(order) != seen
                    is_asked = is_new or tick % _BEAT_TICKS == 0
                    if is_asked and may is not None and not await may():
                        return
                    talk = await read() if is_new else None
                except Unavailable:
                    await _pause(hint)
                    continue
                if talk is not None:
                    seen = talk.version
                    lines = "".join(f"data: {line}\n" for line in write(talk).splitlines())
                    yield f"event: talk\n{lines}\n".encode()
                    if is_over(talk):
                        return
                elif is_new:
                    return
                elif tick % _BEAT_TICKS == 0:
                    yield b": still here\n\n"
                await _pause(hint)


async def _pause(hint: asyncio.Event) -> None:
    """Wait for a hint or the tick that all have in common, so that they look together."""
    await wait_at_most(hint, _TICK_S - asyncio.get_running_loop().time() % _TICK_S)


def no_content() -> Page:
    """Say that nothing has changed."""
    return Page(b"", status_code=204, headers={"cache-control": "no-store"})
