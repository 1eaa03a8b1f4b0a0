"""Who is asking: the client's address, believed from known proxies and from nobody else."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit


class Proxies:
    """The proxies before us: only what they say in X-Forwarded-For counts."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = [ip_network(network, strict=False) for network in networks]
        self._is_trusted = lru_cache(4_096)(self._look_up)

    def client(self, peer: str, forwarded: str) -> str:
        """Give the client's address: the last hop that is no proxy of ours."""
        if not self._networks or not forwarded or not self._is_trusted(peer):
            return peer
        address = peer
        for hop in reversed(forwarded.split(",")):
            found = _parse(hop)
            if found is None:
                return address  # A hop that is no address: what came before it is invention.
            address = str(found)
            if not self._is_trusted(address):
                return address
        return address

    def is_trusted(self, peer: str) -> bool:
        """Tell whether this peer is a proxy of ours."""
        return bool(self._networks) and self._is_trusted(peer)

    def _look_up(self, peer: str) -> bool:
        address = _parse(peer)
        if address is None:
            return False
        return any(
            address in network for network in self._networks if network.version == address.version
        )


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, with or without a port; an IPv4 one inside IPv6 comes out as IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_within(address: str, networks: Sequence[str]) -> bool:
    """Tell whether an address is in one of some networks; what is no address is in none."""
    found = _parse(address)
    if found is None:
        return False
    known = map(_network, networks)
    return any(found in network for network in known if network.version == found.version)


@lru_cache(4_096)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text)


@lru_cache(4_096)
def limit_key(address: str) -> str:
    """Give what limits count by: an IPv4 address, of an IPv6 one the /64 that one household has."""
    found = _parse(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((int(found), 64), strict=False))
    return str(found) if found else address[:64]


def key_domain(public_url: str) -> str:
    """Give the domain that passkeys of a site are bound to; empty: browsers make none for it.

    They want https, or this machine by its name, and never a bare number.
    """
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    is_local = host == "localhost" or host.endswith(".localhost")
    is_safe = parts.scheme == "https" or is_local
    return host if is_safe and _parse(host) is None else ""
