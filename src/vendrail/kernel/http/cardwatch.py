"""Looks for card numbers in bodies as they come: in fields, names of files, and text files.

Pictures and the like are not looked through: their bytes are numbers that mean nothing.
"""

import codecs
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Protocol

from litestar.types import Receive
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from vendrail.kernel.cards import LONGEST, holds_card

_KEY = "vendrail.card_watch"
_PDF = b"%PDF-"  # Its text is packed, and what can be read of it counts bytes.


class _Look(Protocol):
    def found(self, chunk: bytes) -> bool:
        """Look through the next piece; true: a card's number is in it."""
        ...


class _Text:
    """Text, however it is cut on its way."""

    def __init__(self, before: bytes = b"") -> None:
        self._before = before

    def found(self, chunk: bytes) -> bool:
        seen = self._before + chunk
        self._before = seen[-LONGEST:]
        return holds_card(seen)


class _File:
    """A file, as far as it is text."""

    def __init__(self) -> None:
        self._text = _Text()
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_begun = False
        self._is_text = True

    def found(self, chunk: bytes) -> bool:
        if not self._is_begun:
            self._is_begun = True
            self._is_text = not chunk.startswith(_PDF)
        if self._is_text:
            try:
                self._decoder.decode(chunk)
            except UnicodeDecodeError:
                self._is_text = False
        return self._is_text and self._text.found(chunk)


class _Parts:
    """A form that carries files; what cannot be read as one is text."""

    def __init__(self, boundary: str) -> None:
        self._parser = PushMultipartParser(boundary, strict=True)
        self._part: _Look = _Text()
        self._whole: _Text | None = None

    def found(self, chunk: bytes) -> bool:
        if self._whole is None:
            try:
                return any(self._takes(event) for event in self._parser.parse(chunk))
            except (MultipartError, UnicodeDecodeError):
                self._whole = _Text()
        return self._whole.found(chunk)

    def _takes(self, event: MultipartSegment | bytes | bytearray | None) -> bool:
        if event is None:
            return False
        if not isinstance(event, MultipartSegment):
            return self._part.found(bytes(event))
        name = (event.name or "").encode()
        if event.filename is None:
            self._part = _Text(name + b"=")
            return holds_card(name)
        self._part = _File()
        return holds_card(name + b"=" + event.filename.encode())


def _look_at(headers: Iterable[tuple[bytes, bytes]]) -> _Look:
    """Say how a body is looked through, by what it says it is."""
    for name, value in headers:
        if name == b"content-type":
            kind = value[:10].lower()
            if kind == b"multipart/":
                _, options = parse_options_header(value.decode("latin-1"))
                with suppress(MultipartError):
                    return _Parts(options.get("boundary", ""))
            return _File() if kind.startswith(b"image/") else _Text()
    return _Text()


class _Watch:
    """What looks through one body, and whether its page does that itself."""

    __slots__ = ("count", "is_left_to_page")

    def __init__(self, count: Callable[[], None]) -> None:
        self.count = count
        self.is_left_to_page = False


def watched(
    scope: MutableMapping[str, Any],
    receive: Receive,
    count: Callable[[], None],
    refusal: Callable[[], Exception],
) -> Receive:
    """Look through a body as it is read, and stop where it holds a card's number."""
    watch = scope[_KEY] = _Watch(count)
    look = _look_at(scope["headers"])

    async def receive_watched() -> Any:
        message = await receive()
        body = message["body"] if message["type"] == "http.request" else b""
        if body and not watch.is_left_to_page and look.found(body):
            count()
            raise refusal()
        return message

    return receive_watched


def leave_to_page(scope: Mapping[str, object]) -> Callable[[], None]:
    """Let a page look for card numbers itself, to say it in its own words; give what counts them.

    To be called before the body is read.
    """
    watch = scope.get(_KEY)
    if not isinstance(watch, _Watch):
        return lambda: None
    watch.is_left_to_page = True
    return watch.count
