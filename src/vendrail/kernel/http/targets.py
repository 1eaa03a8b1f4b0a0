"""Addresses that others give us to call: what is wrong with one, and where it lies. Pure."""

import re
from collections.abc import Collection, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from vendrail.kernel.errors import Malformed

Network = IPv4Network | IPv6Network

_LENGTH_MAX = 1_000
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAMES = ("localhost", "local", "internal", "localdomain", "home.arpa")
_ADDRESSES_NOT_GLOBAL = ("is_multicast", "is_reserved", "is_unspecified", "is_loopback")


class UrlFault(StrEnum):
    """What is wrong with an address."""

    MALFORMED = "malformed"
    PRIVATE = "private"  # It leads to where not everybody may go.


def networks(texts: Sequence[str], setting: str) -> list[Network]:
    """Read the networks that a setting allows."""
    try:
        return [ip_network(text, strict=False) for text in texts]
    except ValueError as error:
        raise Malformed(f"{setting}: {error}.") from None


def is_public(text: str, allowed: Sequence[Network]) -> bool:
    """Tell whether an address is one that anybody reaches, or lies in a network that is allowed."""
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        # One address may be written inside another: what it leads to counts.
        inner = address.ipv4_mapped or address.sixtofour
        if address.teredo is not None:
            inner = address.teredo[1]
        elif address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
    if any(address in network for network in allowed if network.version == address.version):
        return True
    if isinstance(address, IPv6Address) and address.is_site_local:  # Given up, and still routed.
        return False
    return address.is_global and not any(getattr(address, each) for each in _ADDRESSES_NOT_GLOBAL)


def url_fault(text: str, allowed: Sequence[Network]) -> UrlFault | None:
    """Say what is wrong with an address, as far as it can be seen; None: nothing.

    A name may lead anywhere: where it leads is looked at each time before it is called.
    """
    if len(text) > _LENGTH_MAX or not re.fullmatch(r"[\x21-\x7e]+", text) or "\\" in text:
        return UrlFault.MALFORMED
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return UrlFault.MALFORMED
    is_plain = parts.scheme in ("http", "https") and "@" not in parts.netloc and not parts.fragment
    if not is_plain or not host or port == 0:
        return UrlFault.MALFORMED
    try:
        return None if is_public(host, allowed) else UrlFault.PRIVATE
    except ValueError:
        pass
    name = host.rstrip(".").lower()
    labels = name.split(".")
    # What only looks like a name may be an address after all: 127.1, 2130706433, 0x7f.1.
    if re.fullmatch(r"0x[0-9a-f]*|[0-9]+", labels[-1]):
        return UrlFault.PRIVATE
    if not all(re.fullmatch(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", label) for label in labels):
        return UrlFault.MALFORMED
    is_local = len(labels) == 1 or any(name.endswith(f".{each}") for each in _LOCAL_NAMES)
    return UrlFault.PRIVATE if is_local or name in _LOCAL_NAMES else None


def host_of(url: str) -> str:
    """Give the name that an address leads to, as names are compared; empty: it has none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def is_allowed(text: str, allowed: Sequence[Network]) -> bool:
    """Tell whether an address lies in a network that the operator allows by name."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return any(address in network for network in allowed if network.version == address.version)


def is_named(url: str, hosts: Collection[str], allowed: Sequence[Network]) -> bool:
    """Tell whether an address leads to one of these hosts by name, and no setting allows that."""
    host = host_of(url)
    return host in {each.rstrip(".").lower() for each in hosts} and not is_allowed(host, allowed)
