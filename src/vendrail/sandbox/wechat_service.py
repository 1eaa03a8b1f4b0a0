"""The emulated WeChat Pay as a whole: its memory, its keys, its courier."""

import secrets
from collections.abc import Sequence

import httpx
import msgspec

from vendrail.sandbox import wechat
from vendrail.sandbox.courier import Courier
from vendrail.sandbox.emulations import Place
from vendrail.sandbox.faults import NOTIFY_KINDS, Fault, FaultKind, Faults
from vendrail.sandbox.provider import public_pem, read_public_key
from vendrail.sandbox.records import Notice
from vendrail.sandbox.wechat import News
from vendrail.sandbox.wechat_calls import REFUSALS
from vendrail.sandbox.wechat_keys import PUBLIC_KEY_ID, WechatKeys, make_secret, seal
from vendrail.sandbox.wechat_records import Merchant, Mode, Order, WechatStore, now_of, stamp

PREFIX = "/wechat"

# When an answer was no success: 15s 15s 30s 3m 10m 20m 30m 30m 30m 60m 3h 3h 3h 6h 6h.
_LADDER_S = (15, 15, 30, 180, 600, 1_200, 1_800, 1_800, 1_800, 3_600, *[10_800] * 3, *[21_600] * 2)
_OPENING_MINOR = 100_000_000


class WechatProvider:
    """Everything the emulated WeChat Pay knows and can do."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.keys = WechatKeys(place.home)
        self.store = WechatStore(
            place.home / "wechat-journal.jsonl", place.settings.journal_compact_bytes
        )
        self.faults = Faults(REFUSALS, "query")
        self.codes: dict[str, tuple[str, str]] = {}  # Of logins: whose application, and who.
        self.courier = Courier(
            self.store,
            place.settings,
            place.clock,
            _LADDER_S,
            self._write_callback,
            lambda status_code, _: status_code in {200, 204},
        )

    def settings_of(self, merchant: Merchant, url: str) -> dict[str, str]:
        """Give what a channel needs to be this merchant, but for its private key."""
        settings = {
            "appid": merchant.appid,
            "mchid": merchant.mchid,
            "serial_no": merchant.serial_no,
            "api_key": merchant.api_key,
            "app_secret": merchant.app_secret,
            "products": "native,h5,jsapi",
            "api_url": url,
            "login_url": f"{url}/connect/oauth2/authorize",
            "openid_url": f"{url}/sns/oauth2/access_token",
        }
        if merchant.mode is not Mode.CERTIFICATE:
            settings |= {"public_key_id": PUBLIC_KEY_ID, "public_key": self.keys.public_key_pem}
        return settings

    def register(self, name: str, public_key_pem: str, mode: Mode) -> Merchant:
        """Register a merchant: numbers, a certificate's serial number, and secrets."""
        pem = public_pem(read_public_key(public_key_pem))
        merchant = Merchant(
            mchid=self.store.make_mchid(),
            appid=f"wx{secrets.token_hex(8)}",
            name=name,
            serial_no=secrets.token_hex(20).upper(),
            public_key_pem=pem,
            api_key=make_secret(),
            app_secret=make_secret(),
            mode=mode,
            opening_minor=_OPENING_MINOR,
        )
        self.store.save(merchant)
        return merchant

    def is_certified(self, merchant: Merchant, serial: str = "") -> bool:
        """Tell whether something is signed by the certified key, or by the one with a number."""
        if merchant.mode is Mode.BOTH:
            return not serial.startswith("PUB_KEY_ID_")
        return merchant.mode is Mode.CERTIFICATE

    # Telling merchants.

    def tell(self, news: News | None, merchant: Merchant, faults: Sequence[Fault] = ()) -> None:
        """Seal what happened and have it brought, until it is heard."""
        if news is None or not news.url:
            return
        faults = faults or self.faults.take(NOTIFY_KINDS, news.out_trade_no, merchant.mchid)
        notice = Notice(
            notify_id=f"EV-{merchant.mchid}-{secrets.token_hex(12)}",
            out_trade_no=news.out_trade_no,
            url=news.url,
            form="",
            faults=[fault.kind.value for fault in faults],
        )
        notice.form = self.write_envelope(notice.notify_id, news, merchant, faults).decode()
        self.courier.send(notice, faults)

    def write_envelope(
        self, id: str, news: News, merchant: Merchant, faults: Sequence[Fault] = ()
    ) -> bytes:
        """Write what a merchant is sent."""
        news = wechat.falsify(news, faults)
        now = now_of(merchant, self.place.clock.now())
        text = msgspec.json.encode(news.resource)
        return msgspec.json.encode(
            {
                "id": id,
                "create_time": stamp(now),
                "resource_type": "encrypt-resource",
                "event_type": news.event_type,
                "summary": news.summary,
                "resource": seal(text, merchant.api_key, news.original_type, news.original_type),
            }
        )

    def sign_callback(
        self, merchant: Merchant, body: bytes, faults: Sequence[str] = ()
    ) -> tuple[dict[str, str], bytes]:
        """Sign what is sent, at the moment it is; some faults change it after that."""
        now = now_of(merchant, self.place.clock.now())
        headers = self.keys.sign(body, now, is_certified=self.is_certified(merchant))
        if FaultKind.UNSIGNED_SUCCESS in faults:
            headers["Wechatpay-Signature"] = "WECHATPAY/SIGNTEST/" + secrets.token_urlsafe(48)
        if FaultKind.TAMPER in faults:
            body = body.replace(b'"summary":"', b'"summary":"!', 1)
        return {**headers, "Content-Type": "application/json"}, body

    def _write_callback(self, client: httpx.AsyncClient, notice: Notice) -> httpx.Request:
        merchant = self.store.merchants[notice.notify_id.split("-")[1]]
        headers, body = self.sign_callback(merchant, notice.form.encode(), notice.faults)
        return client.build_request("POST", notice.url, content=body, headers=headers)

    # What buyers do.

    def pay(self, order: Order, *, is_forced: bool = False, openid: str = "") -> bool:
        """The buyer pays, and the merchant is told."""
        merchant = self.store.merchants[order.mchid]
        now = now_of(merchant, self.place.clock.now())
        news = wechat.pay(self.store, order, now, is_forced=is_forced, openid=openid)
        self.tell(news, merchant)
        return order.paid_at is not None
