"""Settings: one frozen record per room, read once from the environment and an optional file.

A setting `pay_window_s` of orders is `VENDRAIL_ORDERS_PAY_WINDOW_S` in the environment, or
`pay_window_s` below `[orders]` in `vendrail.toml` in the home folder. The environment wins.
"""

import os
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from vendrail.kernel.codec import Record
from vendrail.kernel.errors import Malformed

S = TypeVar("S", bound=Record)

_PREFIX = "VENDRAIL"
_PLATFORM = "platform"
_SECRET_WORDS = ("secret", "password", "token", "key", "database_url")


@dataclass(frozen=True)
class Help:
    """What a setting means, for people."""

    text: str


@dataclass(frozen=True)
class SettingLine:
    """One row of the table of settings."""

    variable: str
    default: str
    help: str
    value: str


class PlatformSettings(Record, frozen=True):
    """What holds for the whole platform."""

    home: Annotated[Path, Help("Folder of secrets, media and the embedded database.")] = Path("var")
    database_url: Annotated[
        str, Help("A PostgreSQL of your own; empty: the embedded server in the home folder.")
    ] = ""
    host: Annotated[str, Help("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Help("Port to listen on.")] = 8000
    public_url: Annotated[str, Help("Where buyers and providers reach this platform.")] = ""
    workers: Annotated[int, Help("Server processes on this machine.")] = 1
    only: Annotated[str, Help("Services to run here, with commas; empty: all.")] = ""
    peers: Annotated[str, Help("Where the others run: name=url, with commas.")] = ""
    is_pooled: Annotated[bool, Help("Is the database behind a pooler (PgBouncer)?")] = False
    trusted_proxies: Annotated[
        str, Help("Networks whose X-Forwarded-For is believed, with commas.")
    ] = ""
    log_level: Annotated[str, Help("debug, info, warning or error.")] = "info"
    log_format: Annotated[str, Help("console or json.")] = "console"
    trace_share: Annotated[float, Help("Share of orders that are traced, 0 to 1.")] = 0.05
    otlp_endpoint: Annotated[str, Help("Where traces are sent (OTLP over HTTP); empty: none.")] = ""

    @property
    def public_address(self) -> str:
        """The public URL, or the one that listening gives."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def only_names(self) -> list[str]:
        """The services that run here, as a list."""
        return [name.strip() for name in self.only.split(",") if name.strip()]

    @property
    def peer_urls(self) -> dict[str, str]:
        """Where the other services run, by name."""
        pairs = [pair.strip().partition("=") for pair in self.peers.split(",") if pair.strip()]
        bad = [name for name, sign, url in pairs if not (name and sign and url)]
        if bad:
            raise Malformed("VENDRAIL_PEERS is name=url, with commas between; as orders=http://….")
        return {name: url for name, _, url in pairs}


def load_platform(environment: Mapping[str, str] | None = None) -> PlatformSettings:
    """Read the platform's settings from the environment and the file in the home folder."""
    given = os.environ if environment is None else environment
    home = Path(given.get(f"{_PREFIX}_HOME", "") or "var").absolute()
    loaded = _load(PlatformSettings, _PLATFORM, given, _read_file(home))
    return msgspec.structs.replace(loaded, home=home)


def load_room(
    kind: type[S], room: str, platform: PlatformSettings, environment: Mapping[str, str]
) -> S:
    """Read one room's settings; `public_url` is the platform's unless the room has its own."""
    loaded = _load(kind, room, environment, _read_file(platform.home))
    name = f"{_PREFIX}_{room}_PUBLIC_URL".upper()
    if "public_url" in kind.__struct_fields__ and name not in environment:
        loaded = msgspec.structs.replace(loaded, public_url=platform.public_address)
    return loaded


def describe(kind: type[Record], room: str, values: Record | None = None) -> list[SettingLine]:
    """Give the table of a room's settings; secrets are masked."""
    lines = []
    hints = typing.get_type_hints(kind, include_extras=True)
    defaults = kind()
    for name in kind.__struct_fields__:
        default = str(getattr(defaults, name))
        value = str(getattr(values or defaults, name))
        if value and any(word in name for word in _SECRET_WORDS):
            value = "••••••"
        lines.append(SettingLine(_variable(room, name), default, _help(hints[name]), value))
    return lines


def _help(hint: Any) -> str:
    return next(
        (part.text for part in getattr(hint, "__metadata__", ()) if isinstance(part, Help)), ""
    )


def _variable(room: str, name: str) -> str:
    middle = "" if room == _PLATFORM else f"{room}_"
    return f"{_PREFIX}_{middle}{name}".upper()


def _read_file(home: Path) -> dict[str, Any]:
    path = home / "vendrail.toml"
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise Malformed(f"{path} is not TOML: {error}. Mend it or remove it.") from error


def _load(kind: type[S], room: str, environment: Mapping[str, str], file: Mapping[str, Any]) -> S:
    table = file.get(room, {})
    unknown = set(table) - set(kind.__struct_fields__)
    if unknown:
        raise Malformed(
            f"vendrail.toml: [{room}] has no setting {sorted(unknown)};"
            f" there are {sorted(kind.__struct_fields__)}."
        )
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for name in kind.__struct_fields__:
        variable = _variable(room, name)
        given = environment.get(variable, table.get(name))
        if given is not None and given != "":
            values[name] = _convert(variable, given, hints[name])
    return kind(**values)


def _convert(variable: str, given: Any, kind: Any) -> Any:
    if kind is Path:
        return Path(str(given))
    if kind is bool and isinstance(given, str):
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        if given.lower() not in words:
            raise Malformed(f"{variable}={given!r}: write true or false.")
        return words[given.lower()]
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Malformed(f"{variable}={given!r} does not fit: {error}.") from error
