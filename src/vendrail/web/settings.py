"""What can be set for the pages."""

from pathlib import Path
from typing import Annotated

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class WebSettings(Record, frozen=True):
    """Name, language and bounds of the site."""

    home: Annotated[
        Path,
        Help("The folder with the pictures (media, public) and the files that are sold (files)."),
    ] = Path("~/.vendrail")
    sold_file_bytes_max: Annotated[
        int, Help("How large a file may be that a merchant puts up for sale.")
    ] = 200_000_000
    public_url: Annotated[str, Help("Where buyers and providers reach the site.")] = (
        "http://127.0.0.1:8000"
    )
    site_name: Annotated[str, Help("The name in the head of every page.")] = "Vendrail"
    default_language: Annotated[
        str,
        Help("The language for whom no other can be found: zh-Hans, zh-Hant, en, ja, ko or es."),
    ] = "zh-Hans"
    default_currency: Annotated[str, Help("The currency of prices and orders.")] = "CNY"
    currencies: Annotated[
        tuple[str, ...],
        Help("Currencies that visitors may see prices in, beside that one, parted by commas."),
    ] = ("CNY", "USD", "EUR", "GBP", "HKD", "JPY", "KRW", "SGD", "MYR", "THB", "AUD", "CAD")
    is_currency_by_country: Annotated[
        bool, Help("Whether prices begin in the currency of the visitor's country.")
    ] = True
    country_database: Annotated[
        str, Help("A file of countries by address in MaxMind's form; empty: the installed lists.")
    ] = ""
    time_zone: Annotated[str, Help("The time zone of times on pages.")] = "Asia/Shanghai"
    places_per_minute_max: Annotated[
        int, Help("Orders that one network address may place on pages in a minute; 0: no limit.")
    ] = 30
    unproven_per_minute: Annotated[
        int,
        Help("Orders of one address in a minute that need no proof of work; 0: any number."),
    ] = 10
    proof_numbers_max: Annotated[
        int, Help("How many hashes a proof of work takes at most; 0: none is ever asked for.")
    ] = 100_000
    lookups_per_minute_max: Annotated[
        int, Help("Lookups that one network address may try in a minute; 0: no limit.")
    ] = 10
    sign_ins_per_minute_max: Annotated[
        int,
        Help("Codes that one network address may ask for or try on pages in a minute; 0: any."),
    ] = 20
    live_pages_max: Annotated[int, Help("Order pages that may be live at once.")] = 2_000
    second_person_above_minor: Annotated[
        int,
        Help(
            "An operator's act on more money than this, in minor units of the default currency, is"
            " done when a second has approved it; so it is on money that no rate is known for."
            " 0: never."
        ),
    ] = 500_000
    cookie_days: Annotated[int, Help("How long a browser can open its orders again.")] = 90
