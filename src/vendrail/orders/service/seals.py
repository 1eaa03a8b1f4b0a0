"""What orders hash and seal: contacts, addresses, order secrets, idempotency keys."""

from datetime import timedelta
from functools import lru_cache
from uuid import UUID

from vendrail.api.orders import PlaceOrder
from vendrail.kernel.clock import Clock
from vendrail.kernel.datakeys import DataKeys
from vendrail.kernel.db import Database
from vendrail.kernel.errors import Broken
from vendrail.kernel.vault import DataKey, Vault

_DATA_KEY_LIFE = timedelta(minutes=10)
_PURPOSE = "orders.contact"


class Seals:
    """The vault as orders use it; one data key seals the contacts of ten minutes."""

    def __init__(self, db: Database, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self.data_keys = DataKeys(db, vault, clock, life=_DATA_KEY_LIFE)
        # Within one batch the same contact and address are hashed several times.
        self.contact_hash = lru_cache(maxsize=4096)(self._contact_hash)
        self.trace_hash = lru_cache(maxsize=4096)(self._trace_hash)

    def _contact_hash(self, contact: str) -> bytes:
        return self._vault.keyed_hash("orders.contact", contact.encode())[:16]

    def _trace_hash(self, kind: str, value: str) -> str:
        if not value:
            return ""
        return self._vault.keyed_hash(f"orders.{kind}", value.encode())[:16].hex()

    def idempotency_hash(self, order: PlaceOrder) -> bytes | None:
        """Hash an idempotency key, bound to the contact: another person's key finds nothing."""
        if not order.idempotency_key:
            return None
        text = f"{order.contact.strip().lower()}\x1f{order.idempotency_key}"
        return self._vault.keyed_hash("orders.idempotency", text.encode())[:16]

    def charge_key(self, merchant: UUID, number: str) -> bytes:
        """Hash a charge's number, bound to its merchant: it is its idempotency key."""
        return self._vault.keyed_hash("orders.charge", merchant.bytes + number.encode())[:16]

    def order_secret(self, order: UUID) -> str:
        """Derive the secret that opens an order: never stored, so never stolen."""
        return self._vault.token("order", order.bytes)

    def code_hash(self, contact: str, code: str) -> bytes:
        """Hash a one-time code, bound to its contact."""
        return self._vault.keyed_hash("orders.code", f"{contact}\x1f{code}".encode())

    def seal_contact(self, data_key: DataKey, order: UUID, contact: str) -> bytes:
        """Seal a contact, bound to its order."""
        return self._vault.seal(data_key, _PURPOSE, order, contact.encode())

    async def open_contacts(self, rows: list[tuple[UUID, UUID, bytes]]) -> list[str]:
        """Open sealed contacts: (order, data key, sealed)."""
        data_keys = await self.data_keys.load(row[1] for row in rows)
        contacts = []
        for order, key, text in rows:
            data_key = data_keys.get(key)
            if data_key is None:
                raise Broken(f"The data key {key} of order {order} is missing.")
            contacts.append(self._vault.unseal(data_key, _PURPOSE, order, text).decode())
        return contacts
