"""What PostgreSQL itself refuses to write into the books: the second of two guards."""

from uuid import uuid4

import asyncpg
import pytest

from vendrail.kernel.db import connect_once


@pytest.fixture
async def books(books_database, database_url):
    """A connection that may do whatever the constraints let it."""
    connection = await connect_once(database_url)
    yield connection
    await connection.close()


async def write(books, debit, credit, amount_minor, refusal=None):
    """Write one row of the journal, past the service."""
    await books.execute(
        "insert into ledger.transfer (id, subject, at, amount_minor, debit, credit, code, refusal)"
        " values ($1, $1, now(), $2, $3, $4, 'adjustment', $5)",
        uuid4(),
        amount_minor,
        debit,
        credit,
        refusal,
    )


@pytest.mark.parametrize(
    "debit, credit, amount_minor, refusal",
    [
        (None, 1, 100, None),
        (1, None, 100, None),
        (None, None, 100, None),
        (1, 1, 100, None),
        (1, 2, None, None),
        (1, 2, -1, None),
        (1, 2, 100, "balance_too_low"),
        (1, None, None, "balance_too_low"),
    ],
)
async def test_a_transfer_that_makes_value_is_refused(books, debit, credit, amount_minor, refusal):
    """What stands has two different sides and an amount; what was refused has neither."""
    await write(books, 1, 2, 100)
    await write(books, None, None, None, "balance_too_low")

    with pytest.raises(asyncpg.CheckViolationError):
        await write(books, debit, credit, amount_minor, refusal)
