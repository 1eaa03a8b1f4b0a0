"""Settings: one frozen record per room, read once; each field carries its default and its help.

A value comes from the environment (`VENDRAIL_<ROOM>_<NAME>`, for the platform `VENDRAIL_<NAME>`),
else from `vendrail.toml` in the home folder (a table per room), else from its default.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.errors import Malformed

Settings = TypeVar("Settings")

_SHARED = ("home", "public_url", "trusted_proxies")  # Rooms that name these get the platform's.
_SECRET_NAME = re.compile(r"secret|password|passphrase|token|(^|_)key($|_)|dsn|database_url")
_IS_NUMBER_OF = re.compile(r"_(s|max|min|days|bytes|count)$")  # `data_key_s` is no secret.


class Help(Record, frozen=True):
    """What a setting does, in one sentence: `Annotated[int, Help("…")]`."""

    text: str


class Field(Record, frozen=True):
    """One row of the table of settings, as documentation and `vendrail config` show it."""

    name: str
    variable: str
    kind: str
    default: str
    help: str
    value: str = ""
    source: str = "default"  # `environment`, `file` or `default`.


class PlatformSettings(Record, frozen=True):
    """What concerns the whole platform, not one room."""

    home: Annotated[Path, Help("The folder with data, secrets and vendrail.toml.")] = Path("var")
    database_url: Annotated[
        str, Help("The DSN of your PostgreSQL (16 or newer); empty: the embedded server.")
    ] = ""
    is_pooled: Annotated[
        bool, Help("Whether a pooler stands before PostgreSQL: turns the statement cache off.")
    ] = False
    connections_max: Annotated[
        int, Meta(ge=1, le=500), Help("The most database connections of one process together.")
    ] = 24
    host: Annotated[str, Help("The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535), Help("The port to listen on; 0: any.")] = 8000
    public_url: Annotated[
        str, Help("Where buyers and providers reach the site; https turns HSTS on.")
    ] = "http://127.0.0.1:8000"
    rpc_secret_file: Annotated[
        str, Help("The file with the secret that services sign calls with; empty: in home/secrets.")
    ] = ""
    trusted_proxies: Annotated[
        tuple[str, ...],
        Help("Networks of proxies whose X-Forwarded-For is believed, parted by commas."),
    ] = ()
    body_bytes_max: Annotated[
        int, Meta(ge=1_024), Help("The largest request body that any route takes.")
    ] = 2_000_000
    log_level: Annotated[
        str, Meta(pattern="^(debug|info|warning|error)$"), Help("The least that is logged.")
    ] = "info"
    is_log_json: Annotated[bool, Help("Logs as JSON lines for machines.")] = False
    otlp_endpoint: Annotated[
        str, Help("Where traces go (OTLP over HTTP, as http://collector:4318); empty: nowhere.")
    ] = ""
    trace_ratio: Annotated[
        float, Meta(ge=0, le=1), Help("The part of traces that is recorded.")
    ] = 0.05
    workers: Annotated[
        int, Meta(ge=1, le=64), Help("Server processes of `vendrail serve` on this machine.")
    ] = 1
    only: Annotated[
        tuple[str, ...], Help("The services and faces that run here, parted by commas; empty: all.")
    ] = ()
    peers: Annotated[
        tuple[str, ...], Help("Where the other services run: name=url, parted by commas.")
    ] = ()
    metrics_token: Annotated[
        str, Help("A bearer token for /metrics from outside; empty: private addresses only.")
    ] = ""


def load(
    kind: type[Settings],
    prefix: str,
    environment: Mapping[str, str] | None = None,
    table: Mapping[str, Any] | None = None,
    inherited: Mapping[str, Any] | None = None,
) -> Settings:
    """Fill a room's settings: environment, then the table of the file, then what is inherited."""
    given = os.environ if environment is None else environment
    file = table or {}
    shape: Any = kind
    annotations = _annotations(shape)
    unknown = sorted(file.keys() - annotations.keys())
    if unknown:
        raise Malformed(
            f"vendrail.toml sets {unknown[0]!r}, no setting of {prefix or 'the platform'}; "
            f"there are: {', '.join(sorted(annotations))}."
        )
    values: dict[str, Any] = {}
    for name, annotation in annotations.items():
        variable = variable_name(prefix, name)
        if variable in given:
            values[name] = _convert(given[variable], annotation, variable)
        elif name in file:
            values[name] = _convert(file[name], annotation, f"{name} in vendrail.toml")
        elif inherited is not None and name in inherited:
            values[name] = inherited[name]
    return kind(**values)


def load_platform(
    environment: Mapping[str, str] | None = None, file: Mapping[str, Any] | None = None
) -> PlatformSettings:
    """Read what concerns the whole platform; the home folder is made absolute."""
    given = os.environ if environment is None else environment
    if file is None:
        file = read_file(_home(Path(given.get("VENDRAIL_HOME", "var"))))
    table = {name: value for name, value in file.items() if not isinstance(value, dict)}
    settings = load(PlatformSettings, "", given, table)
    for network in settings.trusted_proxies:
        _check_network(network)
    if settings.public_url and not settings.public_url.startswith(("http://", "https://")):
        raise Malformed("VENDRAIL_PUBLIC_URL must begin with http:// or https://.")
    return msgspec.structs.replace(
        settings, home=_home(settings.home), public_url=settings.public_url.rstrip("/")
    )


def load_room(
    kind: type[Settings],
    name: str,
    platform: PlatformSettings,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read a room's settings; its home, public_url and proxies are the platform's, unless set."""
    table = read_file(platform.home).get(name, {})
    shared = {key: getattr(platform, key) for key in _SHARED}
    return load(kind, name, environment, table, shared)


def read_file(home: Path) -> Mapping[str, Any]:
    """Read `vendrail.toml` of the home folder; none is as good as an empty one."""
    path = home / "vendrail.toml"
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Malformed(f"{path} cannot be read: {error}") from error


def variable_name(prefix: str, name: str) -> str:
    """Give the environment variable of a setting."""
    parts = ("VENDRAIL", prefix, name) if prefix else ("VENDRAIL", name)
    return "_".join(parts).upper()


def fields(kind: type[Any], prefix: str) -> list[Field]:
    """Give the table of a room's settings with their defaults, for the documentation."""
    return describe(kind(), prefix, {}, {})


def describe(
    settings: object,
    prefix: str,
    environment: Mapping[str, str] | None = None,
    table: Mapping[str, Any] | None = None,
) -> list[Field]:
    """Give the table of settings as they are, each with where it came from; secrets are masked."""
    given = os.environ if environment is None else environment
    kind: Any = type(settings)
    defaults = kind()
    rows = []
    for name, annotation in _annotations(kind).items():
        variable = variable_name(prefix, name)
        source = "default"
        if variable in given:
            source = "environment"
        elif name in (table or {}):
            source = "file"
        rows.append(
            Field(
                name=name,
                variable=variable,
                kind=_kind_text(annotation),
                default=_show(name, getattr(defaults, name)),
                help=_help(annotation),
                value=_show(name, getattr(settings, name)),
                source=source,
            )
        )
    return rows


@cache
def _annotations(kind: type[Any]) -> dict[str, Any]:
    """Read a settings record's fields; each must have a default, so that nothing must be set."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: hint for name, hint in hints.items() if not name.startswith("_")}


def _help(annotation: Any) -> str:
    for extra in getattr(annotation, "__metadata__", ()):
        if isinstance(extra, Help):
            return extra.text
    return ""


def _bare(annotation: Any) -> Any:
    """Take the help off; what msgspec checks (`Meta`) stays."""
    if get_origin(annotation) is not Annotated:
        return annotation
    base, *extras = get_args(annotation)
    kept = tuple(extra for extra in extras if isinstance(extra, Meta))
    return Annotated[(base, *kept)] if kept else base


def _plain(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _convert(value: Any, annotation: Any, source: str) -> Any:
    """Turn a text, or a value of the file, into the field's type, or say what is allowed."""
    if get_origin(_plain(annotation)) in (tuple, list, frozenset) and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    elif isinstance(value, str) and _plain(annotation) is not str:
        value = value.strip()
    try:
        return msgspec.convert(value, _bare(annotation), strict=False, dec_hook=_read_path)
    except msgspec.ValidationError as error:
        wanted = _help(annotation)
        raise Malformed(
            f"{source} is not right: {error}. It takes {_kind_text(annotation)}"
            + (f" ({wanted})" if wanted else ".")
        ) from error


def _read_path(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(f"Settings cannot be of type {kind}.")


def _kind_text(annotation: Any) -> str:
    kind = _plain(annotation)
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    if kind in names:
        text = names[kind]
    elif kind is Path:
        text = "a path"
    elif get_origin(kind) in (tuple, list, frozenset):
        text = "a list, parted by commas"
    elif isinstance(kind, type) and hasattr(kind, "__members__"):
        text = "one of " + ", ".join(member.value for member in kind.__members__.values())
    else:
        text = str(kind).replace("typing.", "")
    for extra in getattr(annotation, "__metadata__", ()):
        if isinstance(extra, Meta):
            if extra.ge is not None:
                text += f", {extra.ge} or more"
            if extra.le is not None:
                text += f", at most {extra.le}"
            if extra.pattern is not None:
                text += f" like {extra.pattern.strip('^$()')}"
    return text


def _show(name: str, value: Any) -> str:
    is_text = isinstance(value, (str, bytes))
    if is_text and value and _SECRET_NAME.search(name) and not _IS_NUMBER_OF.search(name):
        return _mask_url(value) if isinstance(value, str) and "://" in value else "•••"
    if isinstance(value, (tuple, list, frozenset)):
        return ",".join(str(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _mask_url(url: str) -> str:
    """Show a DSN without its password."""
    masked = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:•••@", url)
    return re.sub(r"(password=)[^&\s]*", r"\1•••", masked)


def _home(path: Path) -> Path:
    return path.expanduser().absolute()


def _check_network(network: str) -> None:
    try:
        ip_network(network, strict=False)
    except ValueError as error:
        raise Malformed(
            f"VENDRAIL_TRUSTED_PROXIES: {network!r} is no network; write 10.0.0.0/8 or an address."
        ) from error
