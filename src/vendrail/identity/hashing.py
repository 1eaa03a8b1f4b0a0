"""Passwords: argon2id over a keyed hash, made by a few threads, so that no loop waits for one."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from vendrail.identity.settings import IdentitySettings
from vendrail.kernel.errors import Overloaded
from vendrail.kernel.vault import Vault

Result = TypeVar("Result")

_WAITING_MAX = 64


class Passwords:
    """Hashes and checks passwords; the vault's key is mixed in, so that a stolen table is mute."""

    def __init__(self, vault: Vault, settings: IdentitySettings) -> None:
        self._vault = vault
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_rounds,
            memory_cost=settings.argon2_memory_kib,
            parallelism=1,
        )
        self._pool = ThreadPoolExecutor(settings.hashes_at_once_max, "identity-hash")
        self._waiting = 0

    def _keyed(self, password: str) -> str:
        return self._vault.keyed_hash("identity.password", password.encode()).hex()

    async def hash(self, password: str) -> str:
        """Hash a password as it is stored: with its salt and parameters."""
        return await self._run(self._hash, password)

    async def check(self, stored: str | None, password: str) -> bool:
        """Tell whether it is the password; without a stored one it takes as long, and is not."""
        return await self._run(self._check, stored, password)

    def is_outdated(self, stored: str) -> bool:
        """Tell whether a hash was made with other parameters than are set now."""
        return self._hasher.check_needs_rehash(stored)

    @cached_property
    def _nobodys(self) -> str:
        """What strangers are measured by; made when first wanted, not at every start."""
        return self._hash(secrets.token_hex(16))

    def _hash(self, password: str) -> str:
        return self._hasher.hash(self._keyed(password))

    def _check(self, stored: str | None, password: str) -> bool:
        nobodys = self._nobodys  # Asked for in any case: making it takes time that must not tell.
        try:
            self._hasher.verify(stored or nobodys, self._keyed(password))
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    async def _run(self, work: Callable[..., Result], *values: object) -> Result:
        if self._waiting >= _WAITING_MAX:
            raise Overloaded("Too many people sign in just now.", retry_after_s=5.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *values)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads; what they still do is waited for."""
        self._pool.shutdown(wait=True)
