"""What is asked of others over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx


@contextmanager
def lost_lines() -> Iterator[None]:
    """Call a line that was lost while it was being opened by its name: `httpx.ConnectError`.

    On uvloop such a line has no socket any more, and anyio, which asks it for its peer, then fails
    with an `AttributeError` that no caller of HTTP looks for.
    """
    try:
        yield
    except AttributeError as error:
        if error.name != "getpeername":
            raise
        raise httpx.ConnectError("The other side hung up at once.") from error
