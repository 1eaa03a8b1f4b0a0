"""Stripe's files: uploaded in a form of parts, known by their content, given to a dispute."""

from base64 import b64encode
from hashlib import sha256
from io import BytesIO
from typing import NamedTuple

from multipart import MultipartError, MultipartParser, parse_options_header

from vendrail.sandbox.stripe_acts import Act, Form
from vendrail.sandbox.stripe_forms import Refused
from vendrail.sandbox.stripe_records import Thing

MULTIPART = "multipart/form-data"
PURPOSE = "dispute_evidence"
_BYTES_MAX = 5_000_000
EVIDENCE_BYTES_MAX = 4_500_000  # Of all files of one dispute.
_MAGIC = {b"%PDF-": "pdf", b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg"}


class Part(NamedTuple):
    """One part of a form, as it came."""

    name: str
    filename: str | None
    content: bytes


def read_parts(content_type: str, body: bytes) -> list[Part]:
    """Read a form of parts."""
    _, options = parse_options_header(content_type)
    boundary = options.get("boundary", "")
    try:
        if not boundary:
            raise MultipartError("no boundary")
        limit = _BYTES_MAX * 2
        parser = MultipartParser(BytesIO(body), boundary, memory_limit=limit, disk_limit=limit)
        return [Part(part.name, part.filename or None, part.raw) for part in parser.parts()]
    except MultipartError as error:
        raise Refused("", "Invalid multipart/form-data request.", is_early=True) from error


def digest(content_type: str, body: bytes) -> bytes:
    """Sum up a form of parts: another boundary is no other form."""
    sums = [
        f"{part.name}|{part.filename}|{sha256(part.content).hexdigest()}"
        for part in read_parts(content_type, body)
    ]
    return "\n".join(sorted(sums)).encode()


def read_upload(content_type: str, body: bytes) -> Form:
    """Read what an upload says: what it is for, and the one file."""
    form: Form = {}
    for part in read_parts(content_type, body):
        if part.name not in ("purpose", "file") or part.name in form:
            words = f"Received unknown parameter: {part.name[:80]}"
            raise Refused("parameter_unknown", words, param=part.name[:80], is_early=True)
        if (part.filename is not None) != (part.name == "file"):
            raise Refused("", f"Invalid {part.name}.", param=part.name, is_early=True)
        form[part.name] = part if part.name == "file" else part.content.decode("utf-8", "replace")
    for name in ("purpose", "file"):
        if name not in form:
            words = f"Missing required param: {name}."
            raise Refused("parameter_missing", words, param=name, is_early=True)
    return form


def create_file(act: Act, form: Form) -> Thing:
    """Keep a file that was uploaded."""
    part: Part = form["file"]
    if form["purpose"] != PURPOSE:
        words = f"Invalid purpose: the sandbox takes {PURPOSE} only."
        raise Refused("", words, param="purpose", is_early=True)
    if not part.content:
        raise Refused("", "The file is empty.", param="file")
    if len(part.content) > _BYTES_MAX:
        words = "The file is too large: files for this purpose are at most 5 MB."
        raise Refused("", words, param="file")
    kind = next((kind for magic, kind in _MAGIC.items() if part.content.startswith(magic)), "")
    if not kind:
        words = "Invalid file type: files for this purpose are PDF, JPEG or PNG."
        raise Refused("", words, param="file")
    made = act.store.add(
        act.account,
        "file",
        act.now,
        {
            "object": "file",
            "expires_at": None,
            "filename": part.filename or "blob",
            "purpose": PURPOSE,
            "size": len(part.content),
            "title": None,
            "type": kind,
            "url": None,
        },
        hidden={"content": b64encode(part.content).decode()},
    )
    made.shown["url"] = f"{act.base_url}/v1/files/{made.id}/contents"
    act.store.save(made)
    return made


def check_evidence(act: Act, files: Form) -> None:
    """Refuse files that are not there, are for something else, or are too much together."""
    size = 0
    for field, id in files.items():
        found = act.store.thing(act.account, id, "file")
        if found is None or found.shown["purpose"] != PURPOSE:
            words = f"No such file upload: '{id[:80]}'"
            raise Refused("resource_missing", words, param=f"evidence[{field}]")
        size += found.shown["size"]
    if size > EVIDENCE_BYTES_MAX:
        raise Refused("", "The evidence files are larger than 4.5 MB together.", param="evidence")
