"""Lists that are read a page at a time, for commands that show as many rows as they are asked."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

_PAGE_MAX = 500

Item = TypeVar("Item")


async def read_pages(
    read: Callable[[Item | None, int], Awaitable[list[Item]]], items_max: int
) -> list[Item]:
    """Read pages until there are so many items or no more; `read` takes the last one and a size."""
    found: list[Item] = []
    while len(found) < items_max:
        size = min(_PAGE_MAX, items_max - len(found))
        page = await read(found[-1] if found else None, size)
        found += page
        if len(page) < size:
            break
    return found
