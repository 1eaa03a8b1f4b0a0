"""Bringing: a call to an address that somebody else gave us, which may lead nowhere inside.

A name is looked up once, judged, and the call goes to the address that was judged, so that nobody
can lead the name elsewhere in between. No redirects, a bound on the answer, and a bound on time.
Nor does it lead back to ourselves, by whatever name: not to an address of this machine, and not to
one by which the world reaches us.
"""

import asyncio
import socket
import time
from collections.abc import Mapping, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import httpx

from vendrail.kernel.http.outgoing import lost_lines
from vendrail.kernel.http.targets import Network, is_allowed, is_public

_ANSWER_BYTES_MAX = 4_096
_OWN_KNOWN_S = 60.0
_OWN = {"user-agent": "Vendrail", "accept-encoding": "identity"}


class Unheard(Exception):
    """The other side was not reached, or may not be."""


class Answered(NamedTuple):
    """What the other side has answered; of the body no more than its beginning."""

    status_code: int
    headers: list[tuple[str, str]]
    body: bytes


def is_here(address: str) -> bool:
    """Tell whether an address is one of this machine's: nobody else can listen at it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


class Bringer:
    """Calls addresses of others, each where its name leads just now."""

    def __init__(
        self, allowed: Sequence[Network], timeout_s: float, own_hosts: Sequence[str] = ()
    ) -> None:
        self._allowed = allowed
        self._own_hosts = own_hosts
        self._own: frozenset[str] = frozenset()  # Where these names lead.
        self._own_until = 0.0
        self._looking = asyncio.Lock()
        self._timeout_s = timeout_s
        self._client: httpx.AsyncClient | None = None

    async def bring(
        self,
        address: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answered:
        """Call an address, if everybody may go there; `Unheard` where no answer comes."""
        try:
            parts = urlsplit(address)
            host = parts.hostname or ""
            port = parts.port or (443 if parts.scheme == "https" else 80)
            async with asyncio.timeout(self._timeout_s):
                place = await self._look_up(host, port)
                literal = f"[{place}]" if ":" in place else place
                there = urlunsplit(parts._replace(netloc=f"{literal}:{port}"))
                sent = {**_OWN, **(headers or {}), "host": parts.netloc}
                with lost_lines():
                    return await self._call(method, there, sent, host, content)
        except TimeoutError:
            raise Unheard("no answer in time") from None
        except socket.gaierror:
            raise Unheard("its name is not known") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise Unheard(f"{type(error).__name__}: {error}") from None

    async def _look_up(self, host: str, port: int) -> str:
        """Look a name up, and refuse it where any of its addresses is not for everybody."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
        places = list(dict.fromkeys(str(each[4][0]) for each in found))
        if not places or not all(is_public(each, self._allowed) for each in places):
            raise Unheard("its address is a private one")
        if self._own_hosts and await self._is_own(places):
            raise Unheard("its address is our own")
        return places[0]

    async def _is_own(self, places: Sequence[str]) -> bool:
        """Tell whether any of these leads back to us, and is not allowed by name."""
        judged = {each for each in places if not is_allowed(each, self._allowed)}
        if not judged:
            return False
        async with self._looking:  # Nobody goes on by what is not known yet.
            if time.monotonic() >= self._own_until:
                self._own = await self._look_up_own()
                self._own_until = time.monotonic() + _OWN_KNOWN_S
        return any(each in self._own or is_here(each) for each in judged)

    async def _look_up_own(self) -> frozenset[str]:
        """Look our own names up; where that fails, they lead to where they led before."""
        found: set[str] = set()
        try:
            for host in self._own_hosts:
                known = await asyncio.get_running_loop().getaddrinfo(host, None, type=1)
                found |= {str(each[4][0]) for each in known}
        except OSError:
            return self._own | found
        return frozenset(found)

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], host: str, content: bytes | None
    ) -> Answered:
        """Call by address what is called by name."""
        body = b""
        async with self._open().stream(
            method,
            url,
            headers=headers,
            content=content,
            extensions={"sni_hostname": host},
        ) as answer:
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > _ANSWER_BYTES_MAX:
                    break
            return Answered(
                answer.status_code, list(answer.headers.multi_items()), body[:_ANSWER_BYTES_MAX]
            )

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            # Called by address, those who share one look alike: nothing of one call meets the next,
            # neither its connection nor its cookies.
            self._client = httpx.AsyncClient(
                timeout=self._timeout_s,
                follow_redirects=False,
                trust_env=False,
                limits=httpx.Limits(max_keepalive_connections=0),
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
        return self._client

    async def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
