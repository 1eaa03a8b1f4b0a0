"""The till: our accounts at the sandbox's providers, which the buyers pay through."""

from collections.abc import Mapping
from pathlib import Path

import httpx

from vendrail.api.payments import ChannelAccount, ChannelId, ChannelStatus, Payments
from vendrail.app.demo.folder import Folder, Marker
from vendrail.app.keys import make_key_pair
from vendrail.app.wiring import House
from vendrail.kernel.codec import Record, decode, encode
from vendrail.kernel.errors import Broken, Unavailable
from vendrail.kernel.ids import named_id

CHANNEL = "alipay"
_TIMEOUT_S = 10.0


class _Application(Record, frozen=True):
    app_id: str
    seller_id: str
    alipay_public_key: str


class _Ready(Record, frozen=True):
    """An account that a provider of the sandbox opens without a key of ours."""

    kind: str
    title: str
    settings: dict[str, str]
    currencies: list[str]
    endpoint: str


class _ReadyList(Record, frozen=True):
    accounts: list[_Ready]


async def _ask(sandbox_url: str, sandbox_home: Path, path: str, body: object) -> bytes:
    """Order something of the sandbox."""
    token = (sandbox_home / "control-token").read_text("utf-8").strip()
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
        try:
            answer = await client.post(
                f"{sandbox_url}{path}",
                headers={"authorization": f"Bearer {token}"},
                content=encode(body),
            )
        except httpx.HTTPError as error:
            raise Unavailable(
                f"The sandbox at {sandbox_url} does not answer: {error!r}."
            ) from error
    if answer.status_code != 201:
        raise Broken(f"The sandbox refused our account: {answer.text}")
    return answer.content


async def register(sandbox_url: str, sandbox_home: Path, public_key_pem: str) -> _Application:
    """Register our public key with the sandbox; the same key gives the same application."""
    body = {"public_key_pem": public_key_pem, "name": "Vendrail demo", "has_withholding": True}
    answer = await _ask(sandbox_url, sandbox_home, "/sandbox/apps", body)
    told: Mapping[str, object] = decode(answer, dict[str, object])
    return _Application(*(str(told[name]) for name in _Application.__struct_fields__))


async def open_till(
    house: House, folder: Folder, marker: Marker, local_url: str, public_url: str
) -> Marker:
    """Make our key pair at first start, register it, and keep the private key sealed.

    Beside that every provider is used that opens an account by itself, after the first.

    The sandbox is asked at its local address; buyers' browsers go to its public one.
    """
    payments: Payments = house.api(Payments)
    known = any(account.name == CHANNEL for account in await payments.list_channels())
    private_key_pem, public_key_pem = "", marker.public_key_pem  # Written empty, it stays.
    if not known or not public_key_pem:
        private_key_pem, public_key_pem = make_key_pair()
    ours = await register(local_url, folder.home / "sandbox", public_key_pem)
    account = ChannelAccount(
        id=ChannelId(named_id(f"vendrail.demo.channel.{CHANNEL}")),
        name=CHANNEL,
        kind="alipay",
        title="支付宝",
        currencies=["CNY"],
        settings={
            "app_id": ours.app_id,
            "seller_id": ours.seller_id,
            "alipay_public_key": ours.alipay_public_key,
            "app_private_key": private_key_pem,
            "gateway_url": f"{public_url}/alipay/gateway.do",
            "agreement_scene": "INDUSTRY|DIGITAL_MEDIA",
        },
    )
    opened = await _ask(local_url, folder.home / "sandbox", "/sandbox/accounts", public_url)
    ready = decode(opened, _ReadyList).accounts
    accounts = [account, *(_account_of(each) for each in ready)]
    for status in await payments.put_channels(accounts):
        if status not in {ChannelStatus.CREATED, ChannelStatus.CHANGED, ChannelStatus.UNCHANGED}:
            raise Broken(
                f"The demo's channel account was refused: {status}. Begin again with --fresh."
            )
    for each, told in zip(ready, accounts[1:], strict=True):
        if each.endpoint:
            callbacks = f"{house.platform.public_url.rstrip('/')}/callbacks/{told.id}"
            await _ask(local_url, folder.home / "sandbox", each.endpoint, callbacks)
    # Only now: what is remembered is the half of a key whose other half is sealed.
    return folder.remember(marker, public_key_pem=public_key_pem)


def _account_of(ready: _Ready) -> ChannelAccount:
    """Write a channel account of what the sandbox opened for us."""
    return ChannelAccount(
        id=ChannelId(named_id(f"vendrail.demo.channel.{ready.kind}")),
        name=ready.kind,
        kind=ready.kind,
        title=ready.title,
        currencies=ready.currencies,
        settings=ready.settings,
    )
