"""Forms that only our own pages can send: same-site cookie, token in the form, origin check."""

import base64
import os
from collections.abc import Mapping

from litestar.datastructures import Cookie

from vendrail.kernel.vault import Vault, is_same

_SALT_BYTES = 9
_MARK_LENGTH = 32


class Csrf:
    """Gives each browser a random mark in a cookie, and each form a token that fits the mark."""

    def __init__(self, vault: Vault, public_url: str) -> None:
        self._vault = vault
        self._origin = public_url.rstrip("/")
        self._is_https = public_url.startswith("https://")
        # A name with __Host- cannot be set by a neighbour domain or over plain HTTP.
        self.cookie_name = "__Host-vendrail-mark" if self._is_https else "vendrail-mark"

    def new_cookie(self) -> Cookie:
        """Make the cookie of a browser that has none."""
        return Cookie(
            key=self.cookie_name,
            value=os.urandom(_MARK_LENGTH // 2).hex(),
            path="/",
            secure=self._is_https,
            httponly=True,
            samesite="lax",
        )

    def token(self, mark: str) -> str:
        """Make a form's token: another text each time, so that compression tells nothing."""
        return self._token(mark, os.urandom(_SALT_BYTES))

    def is_ours(self, headers: Mapping[str, str], mark: str, token: str) -> bool:
        """Tell whether a form came from our own page, in the browser the page was made for."""
        site = headers.get("sec-fetch-site", "")
        if site not in ("", "same-origin", "none"):
            return False
        origin = headers.get("origin", "null")
        host = headers.get("host", "")
        if origin not in ("null", self._origin) and origin.partition("://")[2] != host:
            return False
        return len(mark) == _MARK_LENGTH and self._fits(mark, token)

    def is_from_here(self, headers: Mapping[str, str]) -> bool:
        """Tell whether the browser itself says that a form was sent from one of our pages.

        That is enough to give back what was typed, never to do what it asks.
        """
        is_own = headers.get("origin", "") == self._origin
        return headers.get("sec-fetch-site", "same-origin" if is_own else "") == "same-origin"

    def _fits(self, mark: str, token: str) -> bool:
        try:
            salt = base64.urlsafe_b64decode(token[:12])
        except ValueError:
            return False
        return len(salt) == _SALT_BYTES and is_same(token, self._token(mark, salt))

    def _token(self, mark: str, salt: bytes) -> str:
        proof = self._vault.keyed_hash("csrf", salt + mark.encode())[:18]
        return base64.urlsafe_b64encode(salt + proof).decode()
