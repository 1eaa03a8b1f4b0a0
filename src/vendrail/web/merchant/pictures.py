"""Pictures that merchants send: told by their first bytes, never by their names."""

import asyncio
import hashlib
from pathlib import Path

from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.languages import message
from vendrail.web.uploads import read_upload

_BYTES_MAX = 1_500_000
WRONG = message("Send a PNG, JPEG or WebP picture of at most 1.5 MB.")
_MAGIC = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg"}


async def take_picture(caller: Caller, media: Path) -> str:
    """Keep the picture of a form; give its path below the media folder, empty: it is none."""
    try:
        upload = await read_upload(caller.request, _BYTES_MAX)
    except Malformed:
        return ""
    try:
        content = await asyncio.to_thread(upload.file.read)
    finally:
        upload.close()
    kind = _kind_of(content)
    if not kind:
        return ""
    name = f"{hashlib.sha256(content).hexdigest()[:24]}.{kind}"
    path = f"merchants/{to_serial(caller.merchant)}/{name}"
    await asyncio.to_thread(_write, media / path, content)
    return path


def _kind_of(content: bytes) -> str:
    for magic, kind in _MAGIC.items():
        if content.startswith(magic):
            return kind
    return "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else ""


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(path)
