"""Stripe's forms: nested by brackets, each field known, of its kind, and within its bounds."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from vendrail.sandbox.calls import is_url

_NAME = re.compile(r"([A-Za-z0-9_]+)((?:\[[^\[\]]*\])*)")
_METADATA_MAX = 50
_DOCS = "https://stripe.com/docs/error-codes/"


class Refused(Exception):
    """A request that is not carried out: Stripe's type, code and words."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str = "",
        is_early: bool = False,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.is_early = is_early  # Before anything began: no reply is kept under the key.
        error: dict[str, Any] = {"type": kind, "message": message}
        if code:
            error |= {"code": code, "doc_url": _DOCS + code.replace("_", "-")}
        if param:
            error["param"] = param
        self.error = error | dict(more or {})


class Text(msgspec.Struct, frozen=True):
    """A text; empty only where it may be."""

    length_max: int = 5_000


class Url(msgspec.Struct, frozen=True):
    """An address."""


class Whole(msgspec.Struct, frozen=True):
    """A whole number."""

    least: int = 0
    most: int = 99_999_999_999


class Flag(msgspec.Struct, frozen=True):
    """`true` or `false`."""


class Choice(msgspec.Struct, frozen=True):
    """One of some words."""

    words: tuple[str, ...]


class Metadata(msgspec.Struct, frozen=True):
    """Names and values of the merchant's own."""


class Group(msgspec.Struct, frozen=True):
    """Fields below a field."""

    fields: "Mapping[str, Kind]"
    needed: tuple[str, ...] = ()


class Many(msgspec.Struct, frozen=True):
    """A list."""

    kind: "Kind"


Kind = Text | Url | Whole | Flag | Choice | Metadata | Group | Many


def _early(code: str, message: str, param: str) -> Refused:
    return Refused(code, message, param=param, is_early=True)


def parse(data: bytes) -> dict[str, Any]:
    """Read a form into nested groups; lists are groups whose names are numbers."""
    try:
        pairs = parse_qsl(data.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(data))
    except ValueError:
        raise _early("", "Invalid request body: it could not be parsed as a form.", "") from None
    form: dict[str, Any] = {}
    for name, value in pairs:
        match = _NAME.fullmatch(name)
        if match is None:
            raise _early("parameter_unknown", f"Received unknown parameter: {name}", name)
        path = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        place = form
        for step in path[:-1]:
            below = place.setdefault(step or str(len(place)), {})
            if not isinstance(below, dict):
                raise _early("", f"Invalid hash: {name}", name)
            place = below
        place[path[-1] or str(len(place))] = value
    return form


def read(
    form: Mapping[str, Any], fields: Mapping[str, Kind], needed: Sequence[str] = (), path: str = ""
) -> dict[str, Any]:
    """Check a form against what is known, straight down; give typed values."""
    for name in form:
        if name not in fields:
            whole = f"{path}[{name}]" if path else name
            raise _early("parameter_unknown", f"Received unknown parameter: {whole}", whole)
    for name in needed:
        if name not in form:
            whole = f"{path}[{name}]" if path else name
            raise _early("parameter_missing", f"Missing required param: {whole}.", whole)
    return {
        name: _value(value, fields[name], f"{path}[{name}]" if path else name)
        for name, value in form.items()
    }


def _value(value: Any, kind: Kind, path: str) -> Any:
    if isinstance(kind, Group):
        if not isinstance(value, dict):
            raise _early("", "Invalid object", path)
        return read(value, kind.fields, kind.needed, path)
    if isinstance(kind, Many):
        return _list(value, kind, path)
    if isinstance(kind, Metadata):
        return _metadata(value, path)
    if not isinstance(value, str):
        raise _early("parameter_invalid_string_blank", "Invalid string: {...}", path)
    may_be_empty = isinstance(kind, Text) or (isinstance(kind, Choice) and "" in kind.words)
    if value == "" and not may_be_empty:
        raise _early("parameter_invalid_empty", f"You passed an empty string for '{path}'.", path)
    return _single(value, kind, path)


def _single(value: str, kind: Text | Url | Whole | Flag | Choice, path: str) -> Any:
    """Check a value that stands alone."""
    match kind:
        case Text(length_max):
            if len(value) > length_max:
                words = f"Invalid string: must be at most {length_max} characters"
                raise _early("parameter_invalid_string", words, path)
        case Url():
            if not is_url(value.replace("{CHECKOUT_SESSION_ID}", "id")):
                raise _early("url_invalid", "Not a valid URL", path)
        case Whole(least, most):
            return _whole(value, least, most, path)
        case Flag():
            if value not in {"true", "false"}:
                raise _early("", f"Invalid boolean: {value[:40]}", path)
            return value == "true"
        case Choice(words):
            if value not in words:
                raise _early("", f"Invalid {path}: must be one of {', '.join(words)}", path)
    return value


def _whole(value: str, least: int, most: int, path: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", value):
        raise _early("parameter_invalid_integer", f"Invalid integer: {value[:40]}", path)
    if not least <= int(value) <= most:
        code = "amount_too_large" if int(value) > most else "parameter_invalid_integer"
        raise _early(code, f"This value must be between {least} and {most}.", path)
    return int(value)


def _list(value: Any, kind: Many, path: str) -> list[Any]:
    if not isinstance(value, dict):
        raise _early("", "Invalid array", path)
    try:
        places = sorted(value, key=int)
    except ValueError:
        raise _early("", "Invalid array", path) from None
    return [_value(value[place], kind.kind, f"{path}[{place}]") for place in places]


def _metadata(value: Any, path: str) -> dict[str, str]:
    if not isinstance(value, dict) or any(not isinstance(each, str) for each in value.values()):
        raise _early("", "Invalid metadata: it is a set of names and texts.", path)
    if len(value) > _METADATA_MAX:
        words = f"Metadata can have up to {_METADATA_MAX} keys."
        raise _early("", words, path)
    for name, text in value.items():
        if len(name) > 40 or len(text) > 500:
            words = "Metadata keys can have up to 40 characters, and values up to 500 characters."
            raise _early("", words, f"{path}[{name}]")
    return {name: text for name, text in value.items() if text}
