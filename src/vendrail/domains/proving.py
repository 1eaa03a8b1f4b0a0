"""Proving: asks DNS for the text that only who governs a host's zone can have put there."""

import hmac
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver
import structlog

from vendrail.api.domains import Domain, Finding
from vendrail.kernel.errors import Malformed

_PORT = 53
_log = structlog.get_logger(__name__)


class Prover:
    """Asks the resolvers that the operator names, or the system's; never what a merchant named."""

    def __init__(self, resolvers: Sequence[str], timeout_s: float) -> None:
        self._servers = [_server(each) for each in resolvers]
        self._timeout_s = timeout_s

    async def look(self, domain: Domain) -> Finding:
        """Look whether the record of a domain holds its text."""
        try:
            # Made anew: what the system's file of resolvers says may have changed since.
            resolver = dns.asyncresolver.Resolver(configure=not self._servers)
            if self._servers:
                resolver.nameservers = self._servers
            answer = await resolver.resolve(
                f"{domain.record_name}.", "TXT", search=False, lifetime=self._timeout_s
            )
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return Finding.NO_RECORD
        except (dns.exception.DNSException, OSError) as error:
            _log.info("domains.unanswered", host=domain.host, error=str(error))
            return Finding.UNANSWERED
        texts = [b"".join(each.strings).strip() for each in answer]
        wanted = domain.record_text.encode()
        is_there = any(hmac.compare_digest(text, wanted) for text in texts)
        return Finding.PROVEN if is_there else Finding.OTHER_RECORD


def _server(text: str) -> dns.nameserver.Nameserver:
    try:
        address = urlsplit(f"//{text}" if text.count(":") < 2 or "[" in text else f"//[{text}]")
        ip_address(address.hostname or "")
        return dns.nameserver.Do53Nameserver(address.hostname or "", address.port or _PORT)
    except ValueError:
        raise Malformed(
            f"A resolver is an address, as 9.9.9.9 or 127.0.0.1:5353; not {text!r}."
        ) from None
