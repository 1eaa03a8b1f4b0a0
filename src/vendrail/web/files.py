"""Files: the built assets, kept for ever under their hash, and what lies in the media folder."""

import gzip
from functools import lru_cache
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import File

from vendrail.kernel.http import find_below
from vendrail.web.pages import Assets, guards

_DRAWING_BYTES_MAX = 1_000_000
_PICTURES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".gif": "image/gif",
}
_MEDIA_HEADERS = {
    # Pictures may be SVG: opened by themselves they must not run anything.
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "cache-control": "public, max-age=3600",
    **guards(),
}


def file_handlers(assets: Assets, media: Path) -> list[HTTPRouteHandler]:
    """Give the routes of assets and media."""

    def asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        """Give a built file; its name holds its hash, so it may be kept for ever."""
        file = assets.files.get(name)
        if file is None:
            raise NotFoundException
        headers = {"cache-control": "public, max-age=31536000, immutable", **guards()}
        content = _fitting(request, headers, file.content, file.compressed)
        return Response(content, media_type=file.media_type, headers=headers)

    def icon(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Give the mark to browsers that ask for it by the old name."""
        return asset(request, assets.address("mark.svg").rpartition("/")[2])

    def picture(request: Request[Any, Any, Any], path: FromPath[str]) -> Response[bytes] | File:
        """Give a picture from the media folder: all that lies there is public."""
        found = find_below(media, path)
        if found is None:
            raise NotFoundException
        kind = found.suffix.lower()
        headers = dict(_MEDIA_HEADERS)
        state = found.stat()
        if kind == ".svg" and state.st_size <= _DRAWING_BYTES_MAX:
            plain, compressed = _drawing(found, state.st_mtime_ns)
            content = _fitting(request, headers, plain, compressed)
            return Response(content, media_type=_PICTURES[kind], headers=headers)
        is_shown = kind in _PICTURES
        return File(
            found,
            filename=found.name,
            media_type=_PICTURES.get(kind, "application/octet-stream"),
            content_disposition_type="inline" if is_shown else "attachment",
            headers=headers,
        )

    return [
        get("/assets/{name:str}", name="web.assets", sync_to_thread=False)(asset),
        get("/favicon.ico", name="web.icon", sync_to_thread=False)(icon),
        get("/media/{path:path}", name="web.media", sync_to_thread=False)(picture),
    ]


def _fitting(
    request: Request[Any, Any, Any], headers: dict[str, str], plain: bytes, compressed: bytes
) -> bytes:
    """Choose the form that the browser takes."""
    headers["vary"] = "Accept-Encoding"
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return plain
    headers["content-encoding"] = "gzip"
    return compressed


@lru_cache(256)
def _drawing(path: Path, _changed_ns: int) -> tuple[bytes, bytes]:
    plain = path.read_bytes()
    return plain, gzip.compress(plain, 9, mtime=0)
