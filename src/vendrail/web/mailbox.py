"""The mailbox: what the demo would have mailed, read in the browser. The demo alone has it."""

import asyncio
import email
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from vendrail.web.pages import guards
from vendrail.web.storefront.front import Asked, Front, Page

_SHOWN_MAX = 100
# A letter is somebody's words: it runs nothing, loads nothing, and its links open beside the page.
_LETTER_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; form-action 'none'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


class Letter(NamedTuple):
    """One letter of the folder."""

    id: str
    recipient: str
    subject: str
    at: datetime
    text: str = ""
    page: str = ""


class Mailbox:
    """Reads the folder that letters are written to where there is no mail server."""

    def __init__(self, front: Front, folder: Path) -> None:
        self._front = front
        self._folder = folder

    def handlers(self) -> Sequence[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            get("/mailbox", name="web.mailbox")(self.letters),
            get("/mailbox/{id:str}", name="web.letter")(self.letter),
            get("/mailbox/{id:str}/page", name="web.letter_page")(self.letter_page),
        ]

    async def letters(self, request: Asked) -> Page:
        """List the letters, the newest first."""
        return await self._show(request, None)

    async def letter(self, request: Asked, id: FromPath[str]) -> Page:
        """Show one letter, as HTML and as text."""
        letter = await asyncio.to_thread(self._read, id)
        if letter is None:
            return self._front.problem(request, 404)
        return await self._show(request, letter)

    async def _show(self, request: Asked, letter: Letter | None) -> Page:
        front = self._front
        return front.page(
            request,
            front.visitor(request),
            "mailbox.html",
            is_private=True,
            headers={"content-security-policy": _PAGE_POLICY},
            letters=await asyncio.to_thread(self._list),
            letter=letter,
            is_text="text" in request.query_params,
        )

    async def letter_page(self, id: FromPath[str]) -> Page:
        """Give a letter's HTML, for the frame it is shown in."""
        letter = await asyncio.to_thread(self._read, id)
        body = letter.page if letter is not None else ""
        body = body.replace("<head>", '<head><base target="_blank">', 1)
        headers = {
            "content-security-policy": _LETTER_POLICY,
            "x-frame-options": "SAMEORIGIN",
            "cache-control": "no-store",
            **guards(),
        }
        status = 200 if letter is not None else 404
        return Page(body.encode(), status_code=status, media_type="text/html", headers=headers)

    def _list(self) -> list[Letter]:
        paths = sorted(
            self._folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns, reverse=True
        )
        return [_parse(path.stem, path.read_bytes()) for path in paths[:_SHOWN_MAX]]

    def _read(self, id: str) -> Letter | None:
        try:
            name = str(UUID(id))  # Never a path of the visitor's making.
            return _parse(name, (self._folder / f"{name}.eml").read_bytes(), is_whole=True)
        except (ValueError, FileNotFoundError):
            return None


def _parse(id: str, content: bytes, *, is_whole: bool = False) -> Letter:
    mail = email.message_from_bytes(content, _class=EmailMessage, policy=default)
    head = Letter(id, str(mail["To"]), str(mail["Subject"]), mail["Date"].datetime)
    if not is_whole:
        return head
    text, page = mail.get_body(("plain",)), mail.get_body(("html",))
    return head._replace(
        text=text.get_content() if text is not None else "",
        page=page.get_content() if page is not None else "",
    )
