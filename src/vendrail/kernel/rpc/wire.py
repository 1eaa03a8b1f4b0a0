"""What travels between services: signatures, replies, and errors that stay what they were."""

import hmac
import os
from collections.abc import Mapping
from pathlib import Path

from vendrail.kernel.codec import Record
from vendrail.kernel.errors import Broken, Error, Malformed, Overloaded, Unavailable
from vendrail.kernel.vault import ensure_secret, is_same, new_secret, parse_secret, read_secret

REQUEST_BYTES_MAX = 32_000_000
REPLY_BYTES_MAX = 64_000_000
WINDOW_S = 60  # How far the clocks of two services may be apart.
SIGNATURE_HEADER = "x-vendrail-signature"


class Reply(Record, frozen=True):
    """What came back: an HTTP status, the body, and the header that proves whose it is."""

    status: int
    body: bytes
    signature: str = ""


def call_path(service: str, operation: str) -> str:
    """Give the address of an operation below a server."""
    return f"/rpc/{service}/{operation}"


def load_secret(home: Path, file: str = "", environment: Mapping[str, str] | None = None) -> bytes:
    """Read the secret that services sign with: VENDRAIL_RPC_SECRET, a file, or the home's own."""
    given = os.environ if environment is None else environment
    text = given.get("VENDRAIL_RPC_SECRET", "").strip()
    if text:
        return parse_secret(text, "VENDRAIL_RPC_SECRET")
    if file:
        content = read_secret(Path(file))
        if content is None:
            raise Malformed(f"There is no file {file}, which VENDRAIL_RPC_SECRET_FILE names.")
        return parse_secret(content, file)
    path = home / "secrets" / "rpc.key"
    return parse_secret(ensure_secret(path, new_secret), str(path))


def _sign(secret: bytes, head: str, body: bytes) -> str:
    return hmac.digest(secret, head.encode() + b"\n" + body, "sha256").hex()


def sign_request(secret: bytes, path: str, timestamp_s: int, body: bytes) -> str:
    """Give the signature header of a call: its time, and an HMAC over all that it says."""
    head = f"POST\n{path}\n{timestamp_s}"
    return f"{timestamp_s}.{_sign(secret, head, body)}"


def is_signed(secret: bytes, path: str, header: str, body: bytes, now_s: float) -> bool:
    """Tell whether a call was signed with our secret, for this path and body, just now."""
    timestamp, _, _ = header.partition(".")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return False
    if abs(now_s - int(timestamp)) > WINDOW_S:
        return False
    return is_same(header, sign_request(secret, path, int(timestamp), body))


def sign_reply(secret: bytes, request_signature: str, status: int, body: bytes) -> str:
    """Bind a reply to its request, so that nobody between can put another in its place."""
    return _sign(secret, f"REPLY\n{request_signature}\n{status}", body)


class Problem(Record, frozen=True, omit_defaults=True):
    """An error as it travels (RFC 9457), and comes back as the same class."""

    type: str
    status: int
    detail: str
    retry_after_s: float = 1.0


_KINDS: dict[str, tuple[type[Error], int]] = {
    "malformed": (Malformed, 400),
    "overloaded": (Overloaded, 503),
    "unavailable": (Unavailable, 503),
    "broken": (Broken, 500),
}
PROBLEM_TYPE = "urn:vendrail:problem:"


def to_problem(error: Error) -> Problem:
    """Write an error for its way."""
    for name, (kind, status) in _KINDS.items():
        if isinstance(error, kind):
            retry_after_s = getattr(error, "retry_after_s", 1.0)
            return Problem(PROBLEM_TYPE + name, status, error.message, retry_after_s)
    return Problem(PROBLEM_TYPE + "broken", 500, error.message)


def to_error(problem: Problem) -> Error:
    """Read it back as the class it was."""
    kind, _ = _KINDS.get(problem.type.removeprefix(PROBLEM_TYPE), (Broken, 500))
    if issubclass(kind, Unavailable):
        return kind(problem.detail, problem.retry_after_s)
    return kind(problem.detail)
