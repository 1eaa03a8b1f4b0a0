"""What may happen to a domain: which hosts can be claimed, and what a look at its record means."""

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

import idna

from vendrail.api.domains import RECORD_LABEL, AddStatus, Domain, DomainState, Finding
from vendrail.kernel.codec import replace
from vendrail.kernel.errors import Malformed
from vendrail.kernel.http.targets import url_fault

# A name in DNS has 253 characters, and the record's own label stands before it.
_HOST_LENGTH_MAX = 253 - len(RECORD_LABEL) - 1
_TYPED_LENGTH_MAX = 300
_SCHEME = re.compile(r"^https?://", re.IGNORECASE)
_DELAY_MIN, _DELAY_MAX = timedelta(minutes=2), timedelta(days=1)
_UNANSWERED_DELAY = timedelta(hours=1)


class Patience(NamedTuple):
    """How patiently proofs are looked for."""

    check: timedelta
    failures_max: int
    lost_after: timedelta
    watch: timedelta


class Standing(NamedTuple):
    """A domain, how many looks in a row have missed its proof, and when the next is due."""

    domain: Domain
    failures: int
    next_check_at: datetime | None


def to_dns(text: str) -> str | None:
    """Write a host as DNS does; None: it is none."""
    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode().lower()
    except (idna.IDNAError, UnicodeError):
        return None


def read_own(host: str, reserved: Collection[str]) -> list[str]:
    """Read the hosts that no shop may have, as DNS writes them: they are compared with such.

    Raises:
        Malformed: One of the reserved is no host, so that it would keep nobody away.
    """
    own = [to_dns(host) or host.lower()]  # An address is kept as it is: nobody can claim one.
    for each in (text.strip() for text in reserved):
        found = to_dns(each.rstrip("."))
        if each and found is None:
            raise Malformed(
                f"VENDRAIL_DOMAINS_RESERVED_HOSTS: {each!r} is no host; write names alone, as"
                " vendrail.example, parted by commas."
            )
        own += [found] if found else []
    return own


def read_host(text: str, own_hosts: Collection[str]) -> tuple[str, AddStatus | None]:
    """Read a host as people type it into how DNS writes it, or say what is wrong with it.

    A scheme before it and a slash behind it are forgiven, for that is what browsers copy.
    """
    plain = _SCHEME.sub("", text.strip()[:_TYPED_LENGTH_MAX]).removesuffix("/").rstrip(".")
    host = to_dns(plain)
    if host is None:
        return "", AddStatus.HOST_MALFORMED
    is_number = host.rpartition(".")[2].isdigit()  # No name ends so: it is an address.
    if is_number or len(host) > _HOST_LENGTH_MAX or url_fault(f"http://{host}/", ()) is not None:
        return "", AddStatus.HOST_MALFORMED
    return host, AddStatus.HOST_OWN if is_own(host, own_hosts) else None


def is_own(host: str, own_hosts: Collection[str]) -> bool:
    """Whether a host is the platform's, or below what is."""
    return any(host == own or host.endswith(f".{own}") for own in own_hosts if own)


def settle(
    standing: Standing, finding: Finding, *, is_taken: bool, now: datetime, patience: Patience
) -> Standing:
    """Say what a look makes of a domain; `is_taken`: another shop has the host at this moment."""
    domain = replace(standing.domain, finding=finding, checked_at=now)
    if domain.state is DomainState.ACTIVE:
        return _settle_active(domain, standing.failures, finding, now, patience)
    if finding is Finding.PROVEN and not is_taken:
        proven = replace(
            domain,
            state=DomainState.ACTIVE,
            proven_at=now,
            is_taken=False,
            failing_since=None,
            lost_at=None,
        )
        return Standing(proven, 0, now + patience.check)
    if finding is not Finding.UNANSWERED:
        domain = replace(domain, is_taken=finding is Finding.PROVEN)
    # The longer nobody has shown a proof, the less often it is looked for; in the end, not at all.
    since = domain.lost_at or domain.made_at
    delay = min(max((now - since) / 4, _DELAY_MIN), _DELAY_MAX)
    is_watched = now - since < patience.watch
    return Standing(domain, standing.failures, now + delay if is_watched else None)


def _settle_active(
    domain: Domain, failures: int, finding: Finding, now: datetime, patience: Patience
) -> Standing:
    if finding is Finding.PROVEN:
        return Standing(replace(domain, failing_since=None), 0, now + patience.check)
    if finding is Finding.UNANSWERED:  # Our own resolver may be away: no reason to give up a host.
        return Standing(domain, failures, now + min(_UNANSWERED_DELAY, patience.check))
    since, failures = domain.failing_since or now, failures + 1
    if failures >= patience.failures_max and now - since >= patience.lost_after:
        lost = replace(domain, state=DomainState.LOST, lost_at=now, failing_since=None)
        return Standing(lost, 0, now + _DELAY_MIN)
    delay = min(_UNANSWERED_DELAY * 2 ** min(failures - 1, 5), patience.check)
    return Standing(replace(domain, failing_since=since), failures, now + delay)
