"""What a card site may ask, and what it is told. Pure: no I/O, no clock, no random."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit, urlunsplit

from vendrail.api.epay import EpayStatus, NoticeState
from vendrail.api.payments import Method
from vendrail.kernel.codec import Record
from vendrail.kernel.epay import TYPES, cut_name, signed, write_amount
from vendrail.kernel.http.targets import Network, UrlFault, url_fault

# After each try that was not heard: how long until the next. Then nobody is told any more.
LADDER_S = (15, 60, 180, 600, 1_800, 3_600, 7_200, 21_600, 54_000)

_MONEY = re.compile(r"\d{1,10}(\.\d{1,2})?", re.ASCII)
_NUMBER = re.compile(r"[A-Za-z0-9._|-]{1,64}")
_PID = re.compile(r"[1-9][0-9]{0,17}")
_PARAM_LENGTH_MAX = 1_000
_OUR_TYPES = {theirs: ours for ours, theirs in TYPES.items()}


_BROWSERS = {"pc": "desktop", "mobile": "mobile", "wechat": "wechat", "alipay": "alipay"}


class Wish(Record, frozen=True):
    """What a site asks to have charged: read out of its fields, all of it checked."""

    number: str
    type: str
    title: str
    amount_minor: int
    notify_url: str
    return_url: str
    param: str


class Fault(NamedTuple):
    """Why a request is refused, and which field's fault it is."""

    status: EpayStatus
    field: str = ""


class Told(Record, frozen=True):
    """A paid charge as its site is told of it."""

    pid: int
    trade_no: str
    number: str
    type: str
    title: str
    amount_minor: int
    param: str


class Fate(NamedTuple):
    """What becomes of a notice that was tried."""

    state: NoticeState
    due_at: datetime
    problem: str


def read_pid(text: str) -> int | None:
    """Read a site's number; None: it is none."""
    return int(text) if _PID.fullmatch(text) else None


def read_money(text: str, least_minor: int, most_minor: int) -> int | EpayStatus:
    """Read yuan into fen: digits, at most two places, within the limits."""
    if not _MONEY.fullmatch(text):
        return EpayStatus.MONEY_MALFORMED
    whole, _, part = text.partition(".")
    amount_minor = int(whole) * 100 + int(part.ljust(2, "0"))
    if not max(1, least_minor) <= amount_minor <= most_minor:
        return EpayStatus.MONEY_OUT_OF_RANGE
    return amount_minor


def url(text: str, allowed: Sequence[Network]) -> EpayStatus | None:
    """Say what is wrong with an address of a site, as far as it can be seen; None: nothing."""
    fault = url_fault(text, allowed)
    if fault is None:
        return None
    return EpayStatus.URL_PRIVATE if fault is UrlFault.PRIVATE else EpayStatus.URL_MALFORMED


def browser(fields: Mapping[str, str]) -> str:
    """Say where the buyer's browser runs, as far as a site's server says."""
    return _BROWSERS.get(fields.get("device", ""), "")


def wish(
    fields: Mapping[str, str],
    allowed: Sequence[Network],
    least_minor: int,
    most_minor: int,
    *,
    is_server: bool,
) -> Wish | Fault:
    """Read what a site asks for, straight down; the signature has been checked before."""
    kind = fields.get("type", "")
    needed = ["out_trade_no", "notify_url", "name", "money"]
    needed += ["type", "clientip"] if is_server else ["return_url"]
    for name in needed:
        if not fields.get(name):
            return Fault(EpayStatus.FIELD_MISSING, name)
    if kind and kind not in _OUR_TYPES:
        return Fault(EpayStatus.TYPE_UNKNOWN, "type")
    if not _NUMBER.fullmatch(fields["out_trade_no"]):
        return Fault(EpayStatus.NUMBER_MALFORMED, "out_trade_no")
    for name in ("notify_url", "return_url"):
        if fields.get(name) and (status := url(fields[name], allowed)):
            return Fault(status, name)
    title = cut_name("".join(c if c.isprintable() else " " for c in fields["name"]))
    if not title:
        return Fault(EpayStatus.FIELD_MISSING, "name")
    if len(fields.get("param", "")) > _PARAM_LENGTH_MAX:
        return Fault(EpayStatus.TEXT_TOO_LONG, "param")
    amount_minor = read_money(fields["money"], least_minor, most_minor)
    if isinstance(amount_minor, EpayStatus):
        return Fault(amount_minor, "money")
    return Wish(
        fields["out_trade_no"],
        kind,
        title,
        amount_minor,
        fields["notify_url"],
        fields.get("return_url", ""),
        fields.get("param", ""),
    )


def method(kind: str, offered: Sequence[Method]) -> str | None:
    """Choose our way to pay for what Epay calls a type; empty: the buyer chooses; None: no way.

    The provider's own page is chosen before a code, for a site does not know the buyer's screen.
    """
    if not kind:
        return ""
    ours = _OUR_TYPES[kind]
    names = [each.method for each in offered]
    found = [name for name in names if name == ours or name.startswith(f"{ours}_")]
    return min(found, key=len, default=None)


def type_of(method: str) -> str:
    """Give what Epay calls one of our ways to pay."""
    known = (theirs for ours, theirs in TYPES.items() if method.startswith(ours))
    return next(known, TYPES["alipay"])


def tell(paid: Told, key: str) -> str:
    """Write the signed query that tells a site of a paid charge."""
    fields = {
        "pid": str(paid.pid),
        "trade_no": paid.trade_no,
        "out_trade_no": paid.number,
        "type": paid.type,
        "name": paid.title,
        "money": write_amount(paid.amount_minor),
        "trade_status": "TRADE_SUCCESS",
        "param": paid.param,
    }
    return urlencode(signed(fields, key))


def with_query(address: str, query: str) -> str:
    """Put a query behind an address; its own stays in front."""
    parts = urlsplit(address)
    joined = "&".join(each for each in (parts.query, query) if each)
    return urlunsplit(parts._replace(query=joined))


def is_heard(status_code: int, body: bytes) -> bool:
    """Tell whether a site has answered `success`, and nothing else but blanks around it."""
    text = body.removeprefix(b"\xef\xbb\xbf").strip().lower()
    return status_code == 200 and text == b"success"


def retry(attempts: int, now: datetime, problem: str) -> Fate:
    """Say when a site that has not heard is told again; past the ladder's end, never."""
    if attempts > len(LADDER_S):
        return Fate(NoticeState.GIVEN_UP, now, problem)
    due_at = now + timedelta(seconds=LADDER_S[attempts - 1])
    return Fate(NoticeState.WAITING, due_at, problem)
