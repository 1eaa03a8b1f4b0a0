"""Records to JSON and back: the one form in which values travel and are stored."""

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from vendrail.kernel.errors import Malformed

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, gc=False):
    """Base of every value that travels between services: frozen, compared by value."""


_encoder = msgspec.json.Encoder()


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


def encode(value: object) -> bytes:
    """Give the JSON bytes of a record, or of lists and maps of them."""
    return _encoder.encode(value)


def decode(data: bytes | str, shape: type[T]) -> T:
    """Read JSON into the shape; what does not fit is `Malformed`, naming the place."""
    try:
        decoder: msgspec.json.Decoder[T] = _decoder(cast("Hashable", shape))
        result = decoder.decode(data)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise Malformed(f"The JSON does not fit: {error}.") from error
    return result


def replace(value: T, **changes: object) -> T:
    """Copy a record with some fields changed."""
    changed: T = msgspec.structs.replace(value, **changes)  # type: ignore[type-var]
    return changed
