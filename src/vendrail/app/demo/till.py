"""The till: our application at the sandbox, and the channel account that the buyers pay through."""

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


async def register(sandbox_url: str, sandbox_home: Path, public_key_pem: str) -> _Application:
    """Register our public key with the sandbox; the same key gives the same application."""
    token = (sandbox_home / "control-token").read_text("utf-8").strip()
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
        try:
            answer = await client.post(
                f"{sandbox_url}/sandbox/apps",
                headers={"authorization": f"Bearer {token}"},
                content=encode({"public_key_pem": public_key_pem, "name": "Vendrail demo"}),
            )
        except httpx.HTTPError as error:
            raise Unavailable(
                f"The sandbox at {sandbox_url} does not answer: {error!r}."
            ) from error
    if answer.status_code != 201:
        raise Broken(f"The sandbox refused our application: {answer.text}")
    told: Mapping[str, object] = decode(answer.content, dict[str, object])
    return _Application(*(str(told[name]) for name in _Application.__struct_fields__))


async def open_till(
    house: House, folder: Folder, marker: Marker, local_url: str, public_url: str
) -> Marker:
    """Make our key pair at first start, register it, and keep the private key sealed.

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
        },
    )
    (status,) = await payments.put_channels([account])
    if status not in {ChannelStatus.CREATED, ChannelStatus.CHANGED, ChannelStatus.UNCHANGED}:
        raise Broken(f"The demo's channel account was refused: {status}. Begin again with --fresh.")
    # Only now: what is remembered is the half of a key whose other half is sealed.
    return folder.remember(marker, public_key_pem=public_key_pem)
