"""Files that people send with a form: read as they arrive, past a size on disk, never in memory."""

from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from litestar import Request
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from vendrail.kernel.errors import Malformed

Asked = Request[Any, Any, Any]

_IN_MEMORY_MAX = 1 << 20
_FIELD_BYTES_MAX = 8_192
_FIELDS_MAX = 32
_TYPED_BYTES_MAX = 16 << 20  # Of a form with a file, read for what was typed beside it.


@dataclass
class Upload:
    """The fields of a form and its one file; to be closed."""

    fields: dict[str, str] = field(default_factory=dict)
    name: str = ""
    file: IO[bytes] = field(
        default_factory=lambda: SpooledTemporaryFile(_IN_MEMORY_MAX)  # noqa: SIM115  # The caller closes it.
    )
    size: int = 0

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()


async def read_upload(request: Asked, bytes_max: int, *, is_cut: bool = False) -> Upload:
    """Read a form with one file; a second file, or too much of anything, is refused.

    Where it `is_cut`, a file past the bound is kept up to it, with all that was typed beside it.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise Malformed("The form has no file.")
    upload = Upload()
    reader = _Reader(upload, bytes_max, is_cut=is_cut)
    try:
        with PushMultipartParser(options["boundary"], max_segment_count=_FIELDS_MAX) as parser:
            async for chunk in request.stream():
                if chunk:
                    for event in parser.parse(chunk):
                        reader.take(event)
    except (MultipartError, UnicodeDecodeError) as error:
        upload.close()
        raise Malformed("The form cannot be read.") from error
    except BaseException:
        upload.close()
        raise
    upload.file.seek(0)
    return upload


async def read_typed(request: Asked) -> tuple[dict[str, str], bool]:
    """Read what was typed into a form, and whether there was a file; the file is let go.

    Of a form that is cut short, or too large to be read to its end, what came first is given.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise Malformed("The form has no file.")
    typed, count = _Typed(Upload()), 0
    try:
        with PushMultipartParser(options["boundary"], max_segment_count=_FIELDS_MAX) as parser:
            async for chunk in request.stream():
                count += len(chunk)
                if count > _TYPED_BYTES_MAX:
                    break
                if chunk:
                    for event in parser.parse(chunk):
                        typed.take(event)
    except (MultipartError, UnicodeDecodeError, Malformed):
        pass
    finally:
        typed.upload.close()
    return typed.upload.fields, bool(typed.upload.name)


class _Reader:
    """Puts what the parser finds where it belongs."""

    def __init__(self, upload: Upload, bytes_max: int, *, is_cut: bool = False) -> None:
        self.upload = upload
        self._bytes_max = bytes_max
        self._is_cut = is_cut
        self._segment: MultipartSegment | None = None
        self._text = bytearray()

    def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        """Take the head of a part, a piece of it, or (None) its end."""
        upload = self.upload
        if isinstance(event, MultipartSegment):
            self._segment, self._text = event, bytearray()
            if event.filename is not None:
                if upload.name:
                    raise Malformed("Send one file at a time.")
                upload.name = event.filename or "file"
        elif self._segment is None:
            return
        elif event is None:
            if self._segment.filename is None:
                upload.fields[self._segment.name or ""] = self._text.decode()
            self._segment = None
        elif self._segment.filename is None:
            self._text += event
            if len(self._text) > _FIELD_BYTES_MAX:
                raise Malformed("The form is too large.")
        else:
            room = self._bytes_max - upload.size
            if len(event) > room and not self._is_cut:
                raise Malformed("The file is too large.")
            kept = event[:room]
            upload.size += len(kept)
            upload.file.write(kept)


class _Typed(_Reader):
    """Puts fields where they belong, and lets go of the file."""

    def __init__(self, upload: Upload) -> None:
        super().__init__(upload, 0)

    def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        """Take fields as they come, and nothing of a file."""
        is_piece = isinstance(event, bytes | bytearray)
        if is_piece and self._segment is not None and self._segment.filename is not None:
            return
        super().take(event)
