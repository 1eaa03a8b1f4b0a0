"""What all operations on buyers stand on: keyed hashes, limits, and how sessions begin."""

import secrets
from datetime import datetime, timedelta
from uuid import UUID

from vendrail.api.buyers import (
    Browser,
    Buyer,
    BuyerId,
    BuyerSession,
    BuyerSessionId,
    CodeStatus,
    EntryStatus,
)
from vendrail.api.notify import Notify
from vendrail.buyers import store
from vendrail.buyers.settings import BuyersSettings
from vendrail.kernel.clock import Clock
from vendrail.kernel.datakeys import DataKeys
from vendrail.kernel.db import Database, Row, Transaction
from vendrail.kernel.errors import Broken
from vendrail.kernel.http.addresses import limit_key
from vendrail.kernel.ids import new_id
from vendrail.kernel.limits import Limits
from vendrail.kernel.passkeys import read_site
from vendrail.kernel.telemetry import Metrics
from vendrail.kernel.vault import DataKey, Vault

_DATA_KEY_LIFE = timedelta(hours=1)
PURPOSE = "buyers.email"
_AGENT_LENGTH_MAX = 300


class Ground:
    """Shared by the parts of the service."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        limits: Limits,
        metrics: Metrics,
        notify: Notify,
        settings: BuyersSettings,
    ) -> None:
        self._db = db
        self._vault = vault
        self.clock = clock
        self._metrics = metrics
        self._notify = notify
        self._settings = settings
        self._data_keys = DataKeys(db, vault, clock, life=_DATA_KEY_LIFE)
        self._address = limits.shared("buyer_address", settings.tries_per_address_max, 300)
        self._site = read_site(settings.public_url)
        codes_max, total_max = settings.codes_per_email_max, settings.codes_per_email_total_max
        self._email = limits.shared("buyer_email", codes_max, 900)
        self._device = limits.shared("buyer_device", codes_max, 900)
        self._mail = limits.shared("buyer_mail", total_max, 900)
        metrics.count("vendrail_buyer_codes_total", CodeStatus.SENT.value, by=0)
        for way in ("code", "passkey"):
            metrics.count("vendrail_buyer_sign_ins_total", way, EntryStatus.ACCEPTED.value, by=0)
        metrics.count("vendrail_buyer_passkeys_total", "added", by=0)
        for reason in ("signed_out", "everywhere", "replaced", "copied", "over", "deleted"):
            self._count_ended(0, reason)

    def _count_ended(self, number: int, reason: str) -> None:
        """Count sessions that have ended."""
        self._metrics.count("vendrail_buyer_sessions_ended_total", reason, by=number)

    def _hash(self, kind: str, text: str) -> bytes:
        """Hash an address, a code or a token: found again, and good for nothing by itself."""
        return self._vault.keyed_hash(f"buyers.{kind}", text.encode())

    def _new_token(self) -> tuple[str, bytes]:
        token = secrets.token_urlsafe(32)
        return token, self._hash("token", token)

    async def _wait(self, browser: Browser) -> float:
        """Count a try from a network: 0, or the seconds to wait before it."""
        return await self._address.take(limit_key(browser.address)) if browser.address else 0.0

    async def _known_session(self, tx: Transaction, token: str) -> Row | None:
        """Give the session of a token, whatever has become of it."""
        token_hash = self._hash("token", token)
        return (await store.load_tokens(tx, [token_hash])).get(token_hash)

    async def _live_session(self, tx: Transaction, token: str, now: datetime) -> Row | None:
        """Give the session that a token opens."""
        row = await self._known_session(tx, token) if token else None
        return row if row is not None and self._is_live(row, now) else None

    async def _begin(
        self, tx: Transaction, buyer: UUID, browser: Browser, shown: str, now: datetime
    ) -> str:
        """Confirm the session that the browser came with, or begin one: by a new token always.

        No token that was there before a sign-in opens anything after it.
        """
        token, token_hash = self._new_token()
        await store.welcome(tx, buyer, now)
        if shown:
            row = await self._known_session(tx, shown)
            if row is not None and row["buyer"] == buyer and self._is_live(row, now):
                await store.confirm(tx, row["id"], token_hash, now)
                return token
            if row is not None:
                await store.TOKENS.end(tx, [row["id"]])
                self._count_ended(1, "replaced")
        ends_at = now + timedelta(days=self._settings.session_days_max)
        agent = browser.agent[:_AGENT_LENGTH_MAX]
        await store.add_session(tx, new_id(now), buyer, agent, token_hash, now, ends_at)
        return token

    def _is_live(self, row: Row, now: datetime) -> bool:
        idle_max = timedelta(days=self._settings.session_idle_days_max)
        return store.shown(row).is_live(now, idle_max)

    def _session(self, row: Row, keys: dict[UUID, DataKey], token: str = "") -> BuyerSession:
        data_key = keys.get(row["data_key"])
        if data_key is None:
            raise Broken(f"The data key {row['data_key']} of buyer {row['buyer']} is missing.")
        email = self._vault.unseal(data_key, PURPOSE, row["buyer"], row["email_sealed"]).decode()
        buyer = Buyer(BuyerId(row["buyer"]), email, row["locale"], row["buyer_made_at"])
        return BuyerSession(
            BuyerSessionId(row["id"]),
            buyer,
            row["begun_at"],
            row["seen_at"],
            row["ends_at"],
            row["confirmed_at"],
            row["agent"],
            token,
        )
