"""API keys: with which a merchant's own programs come in, made, shown once, revoked."""

from datetime import datetime, timedelta
from uuid import UUID

from litestar.handlers import HTTPRouteHandler

from vendrail.api.identity import (
    KEY_SCOPES,
    ApiKey,
    ApiKeyChange,
    ApiKeyChangeStatus,
    ApiKeyResult,
    ApiKeyStatus,
    ChangeStatus,
    NewApiKey,
    Permission,
)
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk, Entry
from vendrail.web.console.exports import LISTED, save_whole, saved_at
from vendrail.web.console.tables import API_KEYS
from vendrail.web.languages import message
from vendrail.web.merchant.acting import log_export, read_id
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Page

_ROOT = "/merchant/api-keys"
_DAYS = (0, 30, 90, 365)  # How long a key may be good; 0: until it is revoked.
_NETWORKS_LENGTH_MAX = 8_000
_NETWORKS = message(
    "Write addresses or networks, one a line, such as 203.0.113.7 or 2001:db8::/48; at most 50."
)
_REFUSALS = {
    ApiKeyStatus.NAME_MALFORMED: message("Give the key a name of one short line."),
    ApiKeyStatus.SCOPES_MALFORMED: message("Choose at least one thing that the key may do."),
    ApiKeyStatus.NETWORKS_MALFORMED: _NETWORKS,
    ApiKeyStatus.TOO_MANY: message("There are as many keys as there may be: revoke one first."),
    ApiKeyStatus.NOT_ALLOWED: message("Your role does not include this."),
}


class Programs:
    """The keys of a merchant's programs."""

    entries = (Entry(_ROOT, message("API keys"), "plug", Permission.API_KEYS_WRITE),)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._identity = desk.apis.identity

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of the page."""
        desk, write = self._desk, Permission.API_KEYS_WRITE
        return [
            desk.get(_ROOT, self.keys, write),
            desk.get(f"{_ROOT}.csv", self.export, write),
            desk.post(_ROOT, self.make, write, is_grave=True),
            desk.post(f"{_ROOT}/{{serial:str}}/networks", self.change, write, is_grave=True),
            desk.post(f"{_ROOT}/{{serial:str}}/revoke", self.revoke, write),
        ]

    async def keys(self, caller: Caller) -> Page:
        """Show the keys there are, never their secrets."""
        return await self._keys(caller)

    async def export(self, caller: Caller) -> Page:
        """Give the keys as CSV, never their secrets; who took them is kept."""
        turned = await log_export(self._desk, caller, LISTED, "list:api-keys")
        if turned is not None:
            return turned
        [keys] = await self._identity.list_api_keys([caller.merchant])
        return save_whole("api-keys", API_KEYS, keys)

    async def _keys(
        self,
        caller: Caller,
        *,
        problem: str = "",
        secret: str = "",
        status: int = 200,
        changed: UUID | None = None,
    ) -> Page:
        now = self._desk.clock.now()
        [keys] = await self._identity.list_api_keys([caller.merchant])
        return self._desk.page(
            caller,
            "merchant/api_keys.html",
            exported=saved_at(caller, _ROOT, ()),
            path=_ROOT,
            status=status,
            keys=sorted(keys, key=lambda each: not _is_open(each, now)),  # Open ones first.
            open_ids={each.id for each in keys if _is_open(each, now)},
            scopes=[scope.value for scope in KEY_SCOPES],
            chosen={scope.value for scope in KEY_SCOPES if _field(scope) in caller.form},
            days=_DAYS,
            days_chosen=caller.written("days"),
            name=caller.written("name") if problem else "",
            networks=caller.written("networks", _NETWORKS_LENGTH_MAX) if problem else "",
            changed=changed,
            address=self._desk.front.address_of(caller.request.scope),
            nonce=to_serial(new_id(now)),
            secret=secret,
            problem=self._desk.say(caller, problem) if problem else "",
        )

    async def make(self, caller: Caller) -> Page:
        """Make a key; its secret is on this one answer, and nowhere else."""
        nonce = read_id(caller.written("nonce"))
        days = caller.written("days")
        if nonce is None or days not in {str(each) for each in _DAYS}:
            return self._desk.problem(caller.request, 400, caller)
        now = self._desk.clock.now()
        key = ApiKey(
            derive(nonce, f"api_key:{caller.merchant}"),
            caller.merchant,
            caller.written("name"),
            [scope for scope in KEY_SCOPES if _field(scope) in caller.form],
            ends_at=now + timedelta(days=int(days)) if int(days) else None,
            networks=caller.written("networks", _NETWORKS_LENGTH_MAX).split(),
        )
        result: ApiKeyResult
        [result] = await self._identity.make_api_keys([NewApiKey(key, caller.actor)])
        if result.status in _REFUSALS:
            return await self._keys(caller, problem=_REFUSALS[result.status], status=422)
        if not result.secret:  # The form was sent twice: the key was shown the first time.
            return onward(_ROOT)
        return await self._keys(caller, secret=result.secret)

    async def change(self, caller: Caller) -> Page:
        """Say from which networks a key may come."""
        key = read_id(caller.part("serial"))
        if key is None:
            return self._desk.problem(caller.request, 404, caller)
        networks = caller.written("networks", _NETWORKS_LENGTH_MAX).split()
        change = ApiKeyChange(caller.merchant, key, networks, caller.actor)
        status: ApiKeyChangeStatus
        [status] = await self._identity.change_api_keys([change])
        if status is ApiKeyChangeStatus.NETWORKS_MALFORMED:
            return await self._keys(caller, problem=_NETWORKS, status=422, changed=key)
        if status is ApiKeyChangeStatus.NOT_FOUND:
            return self._desk.problem(caller.request, 404, caller)
        return onward(_ROOT)

    async def revoke(self, caller: Caller) -> Page:
        """End a key: within seconds it opens nothing any more."""
        key = read_id(caller.part("serial"))
        status = ChangeStatus.NOT_FOUND
        if key is not None:
            [status] = await self._identity.revoke_api_keys([(caller.merchant, key)], caller.actor)
        if status is ChangeStatus.NOT_FOUND:
            return self._desk.problem(caller.request, 404, caller)
        return onward(_ROOT)


def _field(scope: Permission) -> str:
    """Name the box of a scope: each has its own."""
    return f"scope_{scope.value}"


def _is_open(key: ApiKey, now: datetime) -> bool:
    return key.revoked_at is None and (key.ends_at is None or key.ends_at > now)
