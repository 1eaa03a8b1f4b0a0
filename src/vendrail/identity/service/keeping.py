"""Kept forms: sealed as they come, found by the browser that they were typed in, then forgotten."""

from collections.abc import Sequence

from vendrail.api.identity import KEPT_FORM_LIFE, KeptForm, KeptFormQuery
from vendrail.identity import decide
from vendrail.identity.service.ground import Ground
from vendrail.identity.store import forms
from vendrail.kernel.codec import decode, encode, replace
from vendrail.kernel.errors import Broken

_PURPOSE = "identity.kept_form"
_FORGOTTEN_MAX = 1_000


class KeptFormsService:
    """What was typed and could not be sent."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def keep_forms(self, kept: Sequence[KeptForm]) -> list[bool]:
        """Keep forms for an hour; false: it is too large, or names no browser."""
        ground, statuses = self._ground, []
        key = await ground.data_keys.newest()
        async with ground.db.transaction() as tx:
            now = ground.clock.now()
            for new in kept:
                statuses.append(decide.may_keep(new))
                if not statuses[-1]:
                    continue
                plain = encode(replace(new, browser="", kept_at=now))
                sealed = ground.vault.seal(key, _PURPOSE, new.id, plain)
                browser = ground.hash("browser", new.browser)
                await forms.add_form(tx, new.id, browser, key.id, sealed, now)
        return statuses

    async def read_kept_forms(self, queries: Sequence[KeptFormQuery]) -> list[KeptForm | None]:
        """Read forms that were kept within the last hour; None: it is gone, or another's."""
        return [await self._read(query) for query in queries]

    async def _read(self, query: KeptFormQuery) -> KeptForm | None:
        ground = self._ground
        since = ground.clock.now() - KEPT_FORM_LIFE
        async with ground.db.reading() as tx:
            row = await forms.load_form(tx, query.id, ground.hash("browser", query.browser), since)
            if row is None:
                return None
            key = (await ground.data_keys.load([row["data_key"]], tx)).get(row["data_key"])
        if key is None:
            raise Broken(
                f"The data key {row['data_key']} of identity is missing; restore it from a backup."
            )
        plain = ground.vault.unseal(key, _PURPOSE, query.id, row["sealed"])
        return replace(decode(plain, KeptForm), browser=query.browser)

    async def forget_forms(self) -> bool:
        """Delete some forms that are over; true: there may be more."""
        ground = self._ground
        async with ground.db.transaction() as tx:
            before = ground.clock.now() - KEPT_FORM_LIFE
            count = await forms.forget_forms(tx, before, _FORGOTTEN_MAX)
        return count == _FORGOTTEN_MAX
