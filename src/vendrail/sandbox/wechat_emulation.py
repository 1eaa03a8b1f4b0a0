"""WeChat Pay in the sandbox: its API, its login, its wallet pages, its courier."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from vendrail.sandbox.emulations import Place, ReadyAccount
from vendrail.sandbox.provider import public_pem
from vendrail.sandbox.wechat_control import CONTROL_ROUTES
from vendrail.sandbox.wechat_http import API_ROUTES
from vendrail.sandbox.wechat_keys import make_key, private_pem
from vendrail.sandbox.wechat_records import Mode
from vendrail.sandbox.wechat_service import PREFIX, WechatProvider
from vendrail.sandbox.wechat_wallet import WALLET_ROUTES

_READY = "Vendrail demo"


class WechatEmulation:
    """WeChat Pay, API v3."""

    name = "wechat"

    def __init__(self, place: Place) -> None:
        self._provider = WechatProvider(place)

    @property
    def state(self) -> Mapping[str, object]:
        """Give what its routes find in the application's state."""
        return {self.name: self._provider}

    @property
    def routes(self) -> Sequence[Any]:
        """Give its doors, its pages and its control routes."""
        return [*API_ROUTES, *WALLET_ROUTES, *CONTROL_ROUTES]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell merchants while the body runs."""
        try:
            async with self._provider.courier.running():
                yield
        finally:
            self._provider.store.close()

    def open_account(self, base_url: str) -> ReadyAccount | None:
        """Open the one merchant that needs no key of anybody's: its key is made here."""
        provider = self._provider
        known = [each for each in provider.store.merchants.values() if each.name == _READY]
        if known:
            merchant = known[0]
        else:
            key = make_key()
            merchant = provider.register(_READY, public_pem(key.public_key()), Mode.PUBLIC_KEY)
            merchant.private_key_pem = private_pem(key)
            provider.store.save(merchant)
        url = f"{provider.place.settings.base_url or base_url}{PREFIX}"
        settings = provider.settings_of(merchant, url) | {"private_key": merchant.private_key_pem}
        return ReadyAccount("wechat", "微信支付", settings)
