"""Where a visitor probably is, by the network address alone; a guess that anyone can overrule.

The registries' lists are installed with `iptocc`; a file in MaxMind's form may take their place.
"""

from functools import lru_cache
from typing import Any

import iptocc
import maxminddb
from babel.numbers import get_territory_currencies

from vendrail.kernel.errors import Malformed


class Countries:
    """Looks addresses up, and says what is paid with where they are."""

    def __init__(self, database: str = "") -> None:
        self._file: maxminddb.Reader | None = None
        if database:
            try:
                self._file = maxminddb.open_database(database)
            except (OSError, maxminddb.InvalidDatabaseError) as error:
                raise Malformed(f"VENDRAIL_WEB_COUNTRY_DATABASE cannot be read: {error}") from error
        self.country = lru_cache(8_192)(self._find)

    def _find(self, address: str) -> str:
        """Give the country of an address in two letters; empty: nobody knows, or it is private."""
        if self._file is None:
            return iptocc.country_code(address) or ""
        try:
            return _code_in(self._file.get(address))
        except ValueError:  # No address, or one of a kind that the file does not hold.
            return ""

    def currency(self, address: str) -> str:
        """Give the currency of the country of an address; empty: none is known."""
        country = self.country(address)
        found = get_territory_currencies(country) if country else []
        return found[0] if found else ""


def _code_in(told: Any) -> str:
    """Read the country out of a row of any of the usual files."""
    if not isinstance(told, dict):
        return ""
    country = told.get("country") or told.get("registered_country")
    code = country.get("iso_code") if isinstance(country, dict) else told.get("country_code")
    return code if isinstance(code, str) else ""
