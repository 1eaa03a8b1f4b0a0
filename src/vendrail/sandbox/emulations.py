"""The providers that are emulated: each registers itself, and what all have in common is here."""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from litestar import MediaType, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler

from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record, encode
from vendrail.kernel.errors import Unavailable
from vendrail.sandbox.provider import write_secret
from vendrail.sandbox.settings import Settings

ENTRY_POINTS = "vendrail.sandbox"


@dataclass(frozen=True)
class Place:
    """Where a provider is emulated: its folder, its time, its switches, who may order about it."""

    home: Path
    clock: Clock
    settings: Settings
    control_token: str


class ReadyAccount(Record, frozen=True):
    """A merchant's account that is open without a contract: what a channel needs to use it."""

    kind: str
    title: str
    settings: Mapping[str, str]
    currencies: Sequence[str] = ("CNY",)
    # A control route that is told where callbacks go, for who takes no address with a payment.
    endpoint: str = ""


class Emulation(Protocol):
    """One emulated provider."""

    name: str  # Its pages and doors are below `/<name>`, its control routes below `/sandbox`.

    @property
    def state(self) -> Mapping[str, object]:
        """Give what its routes find in the application's state."""
        ...

    @property
    def routes(self) -> Sequence[Any]:
        """Give its doors, its pages and its control routes."""
        ...

    def running(self) -> AbstractAsyncContextManager[None]:
        """Do what it does by itself while the body runs."""
        ...

    def open_account(self, base_url: str) -> ReadyAccount | None:
        """Open an account that is ready for use, the same each time; None: it needs a key first."""
        ...


def emulate(place: Place) -> list[Emulation]:
    """Make every provider that is installed, in the order of their names."""
    points = sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    return [point.load()(place) for point in points]


def read_control_token(home: Path) -> str:
    """Read the token that opens the control routes; it is made at first start."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        token = home / "control-token"
        if not token.exists():
            write_secret(token, secrets.token_urlsafe(32).encode())
        return token.read_text().strip()
    except OSError as error:
        raise Unavailable(f"The sandbox cannot write its folder {home}: {error}.") from error


def require_token(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let only the holder of the control token through."""
    wanted = f"Bearer {connection.app.state.control_token}"
    given = connection.headers.get("authorization", "")
    if not secrets.compare_digest(wanted.encode(), given.encode()):
        raise NotAuthorizedException("Send the control token of the sandbox as a bearer token.")


def answer_json(value: object, status: int = 200) -> Response[bytes]:
    """Answer with JSON."""
    return Response(encode(value), status_code=status, media_type=MediaType.JSON)
