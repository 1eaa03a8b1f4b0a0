"""One HTTP request and its answer, without ceremony: the API's budget is some 100 µs a request."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar, cast
from urllib.parse import parse_qsl

import msgspec
from litestar.types import HTTPScope, Receive, Send
from litestar.types.asgi_types import HTTPResponseBodyEvent, HTTPResponseStartEvent

from vendrail.gateway.problems import (
    BODY_MALFORMED,
    BODY_TOO_LARGE,
    MEDIA_TYPE_WRONG,
    QUERY_MALFORMED,
    Problem,
)
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.http import as_attachment
from vendrail.kernel.soldfiles import SoldFile

T = TypeVar("T")
Pairs = list[tuple[bytes, bytes]]

_NUL = re.compile(
    rb"(?<!\\)(?:\\\\)*\\u0000"
)  # As JSON writes it; no text of a database can hold it.
_JSON = (b"content-type", b"application/json")
_FILE = (b"content-type", b"application/octet-stream")
_PROBLEM = (b"content-type", b"application/problem+json")
_NOT_STORED = (b"cache-control", b"no-store")


class Refusal(Exception):
    """Ends a request with a problem; raised while it is being read, answered in one place."""

    def __init__(
        self,
        problem: Problem,
        detail: str = "",
        headers: Iterable[tuple[str, str]] = (),
        members: dict[str, object] | None = None,
    ) -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.detail = detail
        self.members = members  # What the problem tells beyond RFC 9457.
        self.headers = [(name.encode(), value.encode()) for name, value in headers]


class Exchange:
    """A request as it came; its body is read when asked for, within a bound."""

    __slots__ = ("headers", "method", "path", "receive", "scope")

    def __init__(self, scope: HTTPScope, receive: Receive, path: str) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.path = path
        self.headers = dict(scope["headers"])

    def header(self, name: bytes) -> str:
        """Give a header (name in lower case), or nothing."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value else ""

    def query(self) -> dict[str, str]:
        """Give the parameters of the address; the last of a name counts."""
        text = self.scope["query_string"].decode("latin-1")
        if "%00" in text:
            raise Refusal(QUERY_MALFORMED, "NUL is in no text.")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=50)) if text else {}

    async def body(self, bytes_max: int) -> bytes:
        """Read the whole body, or refuse what is larger than allowed."""
        event = await self.receive()
        if event["type"] != "http.request":
            raise ConnectionResetError
        whole = event["body"]
        if event["more_body"]:
            chunks = [whole]
            size = len(whole)
            while event["more_body"]:
                event = await self.receive()
                if event["type"] != "http.request":
                    raise ConnectionResetError
                size += len(event["body"])
                if size > bytes_max:
                    break
                chunks.append(event["body"])
            whole = b"".join(chunks) if size <= bytes_max else bytes(bytes_max + 1)
        if len(whole) > bytes_max:
            raise Refusal(BODY_TOO_LARGE, f"At most {bytes_max} bytes are read here.")
        return whole

    async def json(self, decoder: "msgspec.json.Decoder[T]", bytes_max: int) -> T:
        """Read the body as JSON of the decoder's shape."""
        content_type = self.headers.get(b"content-type", b"application/json")
        if not content_type.startswith(b"application/json"):
            raise Refusal(MEDIA_TYPE_WRONG)
        data = await self.body(bytes_max)
        if b"u0000" in data and _NUL.search(data):
            raise Refusal(BODY_MALFORMED, "NUL is in no text.")
        try:
            return decoder.decode(data)
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refusal(BODY_MALFORMED, f"{error}.") from None


class Answer:
    """A status, headers and a body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: Pairs) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    async def send(self, send: Send) -> None:
        """Write the answer out."""
        self.headers.append((b"content-length", b"%d" % len(self.body)))
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(cast("HTTPResponseStartEvent", start))
        body = {"type": "http.response.body", "body": self.body, "more_body": False}
        await send(cast("HTTPResponseBodyEvent", body))


class FileAnswer(Answer):
    """A file to keep, for the asker alone: sent piece by piece, whatever its size."""

    __slots__ = ("_file",)

    def __init__(self, file: SoldFile) -> None:
        name = as_attachment(file.name).encode()
        length = (b"content-length", b"%d" % file.size)
        super().__init__(200, b"", [_FILE, (b"content-disposition", name), _NOT_STORED, length])
        self._file = file

    async def send(self, send: Send) -> None:
        """Write the file out, as long as it was when it was opened."""
        with self._file as file:
            start = {"type": "http.response.start", "status": 200, "headers": self.headers}
            await send(cast("HTTPResponseStartEvent", start))
            is_more = True
            while is_more:
                piece = await asyncio.to_thread(file.read)
                is_more = bool(piece)
                body = {"type": "http.response.body", "body": piece, "more_body": is_more}
                await send(cast("HTTPResponseBodyEvent", body))


Handler = Callable[[Exchange, str], Awaitable[Answer]]


def said(status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> Answer:
    """Answer with JSON that belongs to the asker alone."""
    return Answer(status, body, [_JSON, _NOT_STORED, *headers])


def shown(body: bytes, cache_s: int) -> Answer:
    """Answer with JSON that anybody may keep for a while."""
    return Answer(200, body, [_JSON, (b"cache-control", b"public, max-age=%d" % cache_s)])


def refused(
    problem: Problem,
    detail: str = "",
    headers: Iterable[tuple[bytes, bytes]] = (),
    members: dict[str, object] | None = None,
) -> Answer:
    """Answer with a problem."""
    body = problem.body(detail)
    if members:
        body = encode(decode(body, dict[str, object]) | members)
    return Answer(problem.status, body, [_PROBLEM, _NOT_STORED, *headers])
