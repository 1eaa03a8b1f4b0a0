"""The SQL of people's passkeys that is not the same for passkeys of every kind."""

from uuid import UUID

from vendrail.kernel.db import Transaction
from vendrail.kernel.passkeys import PasskeyRows

PASSKEYS = PasskeyRows("identity", "person")


async def find_person(tx: Transaction, credential_id: bytes) -> UUID | None:
    """Say whose passkey it is, without a lock: people are locked before their passkeys."""
    found: UUID | None = await tx.fetch_value(
        "select person from identity.passkey where credential_id = $1", credential_id
    )
    return found
