"""Databases for tests: made of a template, dropped after use."""

import itertools
import os
from collections.abc import AsyncIterator

from vendrail.kernel.db import connect_once

_numbers = itertools.count()


def with_name(url: str, name: str) -> str:
    """Give the address of another database of the same server."""
    head, mark, tail = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}{mark}{tail}"


async def made_database(postgres_url: str, template: str) -> AsyncIterator[str]:
    """Make a database of a template, give its address, and drop it afterwards."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    owner = await connect_once(postgres_url)
    await owner.execute(f'create database "{name}" template "{template}"')
    try:
        yield with_name(postgres_url, name)
    finally:
        await owner.execute(f'drop database "{name}" with (force)')
        await owner.close()
