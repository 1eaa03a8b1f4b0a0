"""Acting: what people did at Telegram goes into the log, each once."""

from vendrail.api.identity import Act, Identity
from vendrail.kernel.codec import decode, encode
from vendrail.kernel.datakeys import DataKeys
from vendrail.kernel.db import Transaction
from vendrail.kernel.vault import DataKey, Vault
from vendrail.notify.service.room import Means, Room
from vendrail.notify.store import chats as store

_ACT = "notify.act"
_ACTS_MAX = 50


async def keep_act(tx: Transaction, vault: Vault, key: DataKey, act: Act) -> None:
    """Keep an act in the commit in which it is done, sealed: it names an address."""
    sealed = vault.seal(key, _ACT, act.id, encode(act))
    await store.add_act(tx, act.id, key.id, sealed)


class Acting(Room):
    """Hands acts to the log; each has its id, so that none is written twice."""

    def __init__(self, means: Means, vault: Vault, data_keys: DataKeys, identity: Identity) -> None:
        super().__init__(means)
        self._vault = vault
        self._data_keys = data_keys
        self._identity = identity

    async def hand_on(self) -> bool:
        """Hand on what there is; true: there may be more."""
        async with self._db.reading() as tx:
            rows = await store.load_acts(tx, _ACTS_MAX)
            keys = await self._data_keys.load((row["data_key"] for row in rows), tx)
        if not rows:
            return False
        acts = [
            decode(self._vault.unseal(keys[row["data_key"]], _ACT, row["id"], row["sealed"]), Act)
            for row in rows
        ]
        await self._identity.record_acts(acts)
        async with self._db.reading() as tx:
            await store.end_acts(tx, [row["id"] for row in rows])
        return len(rows) == _ACTS_MAX
