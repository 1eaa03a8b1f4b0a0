"""The buyer who is signed in in a browser, if any: a cookie, and what it opens."""

from collections.abc import Awaitable, Callable

from litestar.datastructures import Cookie

from vendrail.api.buyers import Browser, Buyers, BuyerSession, BuyerSessionQuery
from vendrail.kernel.batcher import Batcher
from vendrail.kernel.clock import Clock
from vendrail.kernel.http import key_domain
from vendrail.kernel.telemetry import Metrics
from vendrail.web.settings import WebSettings
from vendrail.web.visitor import Visitor

_TOKEN_LENGTH_MAX = 100
_KNOWN = "vr_known"
_FRESH_S = 900  # For what is grave: so long ago a proof may have been.


class SignedIn:
    """Reads buyers' sessions; who has no cookie costs nothing."""

    def __init__(
        self, buyers: Buyers, clock: Clock, settings: WebSettings, metrics: Metrics | None = None
    ) -> None:
        self.buyers = buyers
        self.has_passkeys = bool(key_domain(settings.public_url))
        self._clock = clock
        self._is_secure = settings.public_url.startswith("https://")
        self._age_s = settings.cookie_days * 86_400
        # A name with __Host- cannot be set by a neighbour domain or over plain HTTP.
        self.cookie_name = "__Host-vendrail-buyer" if self._is_secure else "vendrail-buyer"
        self._reads: Batcher[BuyerSessionQuery, BuyerSession | None] = Batcher(
            buyers.read_sessions, name="web.read_buyer_sessions", metrics=metrics
        )
        self._read: Callable[[BuyerSessionQuery], Awaitable[BuyerSession | None]] = (
            self._reads.submit
        )

    def token(self, visitor: Visitor) -> str:
        """Give what the browser came with; on a shop's own domain nobody is signed in.

        Whoever has that domain could have a cookie sent there that was taken elsewhere.
        """
        if visitor.domain is not None:
            return ""
        return visitor.cookies.get(self.cookie_name, "")[:_TOKEN_LENGTH_MAX]

    async def session(self, visitor: Visitor, *, is_renewing: bool = False) -> BuyerSession | None:
        """Give the session that the browser's cookie opens.

        A page that is renewing hands `BuyerSession.token`, where there is one, to the browser.
        """
        token = self.token(visitor)
        if not token:
            return None
        return await self._read(BuyerSessionQuery(token, is_renewing))

    def is_fresh(self, session: BuyerSession) -> bool:
        """Whether a buyer has proven who they are within the last minutes."""
        return (self._clock.now() - session.confirmed_at).total_seconds() <= _FRESH_S

    def cookie(self, token: str) -> Cookie:
        """Make the cookie that opens a session; empty: none any more."""
        return Cookie(
            key=self.cookie_name,
            value=token,
            path="/",
            max_age=self._age_s if token else 0,
            httponly=True,
            secure=self._is_secure,
            samesite="lax",
        )

    def known_cookie(self, known: str) -> Cookie:
        """Make the cookie by which a browser is known again; it opens nothing."""
        return Cookie(
            key=_KNOWN,
            value=known,
            path="/account",
            max_age=self._age_s,
            httponly=True,
            secure=self._is_secure,
            samesite="lax",
        )

    @staticmethod
    def browser(visitor: Visitor, address: str, agent: str) -> Browser:
        """Say where a request comes from. A browser that has no mark yet is known by that mark."""
        known = visitor.cookies.get(_KNOWN, "")[:_TOKEN_LENGTH_MAX]
        return Browser(address, visitor.device, agent[:300], known)

    async def drain(self) -> None:
        """Wait until nothing is under way: before a stop."""
        await self._reads.drain()
