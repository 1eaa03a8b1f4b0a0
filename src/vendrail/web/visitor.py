"""Who is asking: the browser's language, theme, device cookie and form token; never a person."""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from litestar import Request
from litestar.datastructures import Cookie

from vendrail.kernel.errors import Malformed
from vendrail.kernel.http import Csrf
from vendrail.kernel.ids import from_serial, to_serial
from vendrail.kernel.vault import Vault
from vendrail.web.hosts import ShopDomain
from vendrail.web.languages import Language, choose
from vendrail.web.settings import WebSettings

DEVICE = "vr_device"
LANGUAGE = "vr_language"
THEME = "vr_theme"
RECENT = "vr_recent"
ORDER = "vr_order"
CURRENCY = "vr_currency"
LEAVING = "vr_leaving"
LEFT = "/account/left"
THEMES = ("light", "dark")
_RECENT_MAX = 6
_LEAVING_MAX = 30
_FORM_BYTES_MAX = 32_768


class Visitor:
    """What one request tells of its browser."""

    __slots__ = (
        "cookies",
        "country",
        "currency",
        "device",
        "domain",
        "is_new",
        "language",
        "mark",
        "mark_cookie",
        "recent",
        "theme",
    )

    def __init__(self, cookies: dict[str, str], accepted: str, default_language: str) -> None:
        self.cookies = cookies
        device = cookies.get(DEVICE, "")
        self.is_new = not (20 <= len(device) <= 64 and device.isascii() and device.isprintable())
        self.device = secrets.token_urlsafe(18) if self.is_new else device
        self.language: Language = choose(cookies.get(LANGUAGE, ""), accepted, default_language)
        self.currency = cookies.get(CURRENCY, "")  # As it asks; the storefront has the last word.
        self.domain: ShopDomain | None = None  # The shop's own one that the request came by.
        self.country = ""  # Where the address is, told by who knows addresses.
        self.mark = ""
        self.mark_cookie: Cookie | None = None  # To be set, where the browser has none yet.
        theme = cookies.get(THEME, "")
        self.theme = theme if theme in THEMES else ""
        self.recent = _serials(cookies.get(RECENT, "").split(".")[:_RECENT_MAX])

    @property
    def order_secret(self) -> str:
        """Give the secret that the order's own cookie holds (its path is the order's)."""
        return self.cookies.get(ORDER, "")[:256]


class Visitors:
    """Reads visitors from requests, and makes the cookies that they keep."""

    def __init__(self, vault: Vault, settings: WebSettings) -> None:
        self._csrf = Csrf(vault, settings.public_url)
        self._settings = settings
        self._is_secure = settings.public_url.startswith("https://")
        self._age_s = settings.cookie_days * 86_400

    def read(self, cookie: str, accepted: str) -> Visitor:
        """Read a visitor from the Cookie and Accept-Language headers."""
        visitor = Visitor(parse_cookies(cookie), accepted, self._settings.default_language)
        visitor.mark = visitor.cookies.get(self._csrf.cookie_name, "")
        if not visitor.mark:
            visitor.mark_cookie = self._csrf.new_cookie()
            visitor.mark = visitor.mark_cookie.value or ""
        return visitor

    def form_token(self, visitor: Visitor) -> str:
        """Give the token that the visitor's forms carry: nobody else can make it."""
        return self._csrf.token(visitor.mark)

    def is_own_form(self, visitor: Visitor, headers: Mapping[str, str], token: str) -> bool:
        """Whether a form came from one of our pages, in this browser."""
        return visitor.mark_cookie is None and self._csrf.is_ours(headers, visitor.mark, token)

    def is_from_here(self, headers: Mapping[str, str]) -> bool:
        """Whether the browser says that a form came from one of our pages, however old."""
        return self._csrf.is_from_here(headers)

    def cookie(self, name: str, value: str, path: str = "/", *, is_brief: bool = False) -> Cookie:
        """Make a cookie that scripts cannot read and other sites cannot send.

        A brief one ends when the browser is closed.
        """
        return Cookie(
            key=name,
            value=value,
            path=path,
            max_age=None if is_brief else self._age_s,
            httponly=True,
            secure=self._is_secure,
            samesite="lax",
        )

    def dropped(self, name: str, path: str = "/") -> Cookie:
        """Make a cookie that takes one back."""
        return Cookie(
            key=name,
            value="",
            path=path,
            max_age=0,
            httponly=True,
            secure=self._is_secure,
            samesite="lax",
        )

    def order_cookies(self, serial: str, secret: str, *, is_brief: bool = False) -> list[Cookie]:
        """Make the cookies that open one order, sent to that order's page and its door only."""
        paths = _order_paths(serial)
        return [self.cookie(ORDER, secret, path, is_brief=is_brief) for path in paths]

    def leaving(self, visitor: Visitor, serials: Iterable[str]) -> list[Cookie]:
        """Take back what opens these orders, and those that this browser placed or opened last.

        Their doors are taken back by a second answer, `left`: no head is to outgrow proxies.
        """
        known = dict.fromkeys([*visitor.recent, *serials])
        pages = [self.dropped(ORDER, _order_paths(each)[0]) for each in known]
        told = self.cookie(LEAVING, ".".join(known), LEFT, is_brief=True)
        return [self.dropped(RECENT), *pages, told]

    def left(self, visitor: Visitor) -> list[Cookie]:
        """Take back what opens the doors of the orders that `leaving` has closed."""
        told = visitor.cookies.get(LEAVING, "").split(".")[:_LEAVING_MAX]
        doors = [self.dropped(ORDER, _order_paths(each)[1]) for each in _serials(told)]
        return [self.dropped(LEAVING, LEFT), *doors]

    def recent_cookie(self, visitor: Visitor, serial: str) -> Cookie:
        """Remember which orders this browser placed: their numbers, not their secrets."""
        others = [each for each in visitor.recent if each != serial]
        return self.cookie(RECENT, ".".join([serial, *others][:_RECENT_MAX]))


def _order_paths(serial: str) -> tuple[str, str]:
    return f"/orders/{serial}", f"/pay/{serial}"


def parse_cookies(header: str) -> dict[str, str]:
    """Read a Cookie header; of several with one name the first, most specific one counts."""
    cookies: dict[str, str] = {}
    for part in header[:8192].split(";"):
        name, _, value = part.strip().partition("=")
        if name and name not in cookies:
            cookies[name] = value.strip('"')
    return cookies


def local_path(path: str) -> str:
    """Give back a path of this site, or the home page: never another site."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return quote(path, safe="/?&=%:@,;+-._~!$'()*") if is_ours else "/"


async def read_form(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Read a form, within a bound; the last field of a name counts."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES_MAX:
            raise Malformed("The form is too large.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=64)
    except ValueError:
        raise Malformed("The form cannot be read.") from None
    return dict(pairs)


def _serials(parts: Iterable[str]) -> list[str]:
    found = []
    for part in parts:
        try:
            found.append(to_serial(from_serial(part)))
        except Malformed:
            continue
    return found
