"""The statements that are the same for passkeys of every kind.

Such a service has in its own schema `passkey (id, <owner>, credential_id, public_key, sign_count,
name, made_at, used_at)` and `challenge (key, made_at)`; a key is a keyed hash of the challenge and
of all that it is bound to: good there, once.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from vendrail.kernel.db import Row, Transaction
from vendrail.kernel.passkeys.ceremonies import Made


class PasskeyRows:
    """Passkeys and challenges of one service; `owner` is the table of whose they are."""

    def __init__(self, schema: str, owner: str) -> None:
        self._passkey = f'"{schema}".passkey'
        self._challenge = f'"{schema}".challenge'
        self._owners = f'"{schema}"."{owner}"'
        self._owner = f'"{owner}"'

    async def add_challenge(self, tx: Transaction, key: bytes, now: datetime) -> None:
        """Keep a challenge that waits for its answer."""
        await tx.execute(f"insert into {self._challenge} (key, made_at) values ($1, $2)", key, now)

    async def take_challenge(self, tx: Transaction, key: bytes) -> datetime | None:
        """Take a challenge away, for it is good once; give when it was made."""
        row = await tx.fetch_row(
            f"delete from {self._challenge} where key = $1 returning made_at", key
        )
        return row["made_at"] if row is not None else None

    async def forget_challenges(self, tx: Transaction, before: datetime, rows_max: int) -> int:
        """Delete some challenges that are over."""
        return await tx.execute(
            f"delete from {self._challenge} where key in"
            f" (select key from {self._challenge} where made_at < $1 order by made_at limit $2)",
            before,
            rows_max,
        )

    async def load(self, tx: Transaction, credential_id: bytes) -> Row | None:
        """Load and lock a passkey: its counter is checked by one at a time."""
        return await tx.fetch_row(
            f"select * from {self._passkey} where credential_id = $1 for update", credential_id
        )

    async def use(self, tx: Transaction, id: UUID, sign_count: int, now: datetime) -> None:
        """Remember a passkey's use and its counter."""
        await tx.execute(
            f"update {self._passkey} set sign_count = $2, used_at = $3 where id = $1",
            id,
            sign_count,
            now,
        )

    async def lock_owner(self, tx: Transaction, owner: UUID) -> int:
        """Lock an owner, so that no passkey comes or goes meanwhile; count what they have."""
        await tx.execute(f"select 1 from {self._owners} where id = $1 for update", owner)
        row = await tx.fetch_row(
            f"select count(*) from {self._passkey} where {self._owner} = $1", owner
        )
        assert row is not None
        count: int = row["count"]
        return count

    async def add(
        self, tx: Transaction, id: UUID, owner: UUID, made: Made, name: str, now: datetime
    ) -> bool:
        """Write a passkey; false: its credential is somebody's already."""
        count = await tx.execute(
            f"insert into {self._passkey}"
            f" (id, {self._owner}, credential_id, public_key, sign_count, name, made_at)"
            " values ($1, $2, $3, $4, $5, $6, $7) on conflict (credential_id) do nothing",
            id,
            owner,
            made.credential_id,
            made.public_key,
            made.sign_count,
            name,
            now,
        )
        return count == 1

    async def list_of(self, tx: Transaction, owners: Sequence[UUID]) -> list[Row]:
        """List owners' passkeys, oldest first."""
        return await tx.fetch(
            f"select * from {self._passkey} where {self._owner} = any($1::uuid[])"
            " order by made_at, id",
            list(owners),
        )

    async def delete(
        self, tx: Transaction, passkeys: Sequence[UUID], owners: Sequence[UUID]
    ) -> set[UUID]:
        """Delete passkeys, each where it is its owner's."""
        rows = await tx.fetch(
            f"delete from {self._passkey} p using unnest($1::uuid[], $2::uuid[]) as n (id, owner)"
            f" where p.id = n.id and p.{self._owner} = n.owner returning p.id",
            list(passkeys),
            list(owners),
        )
        return {row["id"] for row in rows}
