"""The languages of the pages: which one a browser wants, and the words in it.

Catalogues are gettext files beside this module, compiled when they are first needed, so that no
build step stands between a translator and the page. Message ids are the English texts.
"""

import gettext
import io
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from vendrail.kernel.locales import nearest

_FOLDER = Path(__file__).parent / "locale"


class Language(NamedTuple):
    """A language of the pages."""

    tag: str  # As in `lang=` and in orders: BCP 47.
    locale: Locale  # For Babel's numbers and dates.
    name: str  # In itself.


LANGUAGES = {
    language.tag: language
    for language in (
        Language("zh-Hans", Locale("zh", script="Hans"), "简体中文"),
        Language("zh-Hant", Locale("zh", script="Hant"), "繁體中文"),
        Language("en", Locale("en"), "English"),
        Language("ja", Locale("ja"), "日本語"),
        Language("ko", Locale("ko"), "한국어"),
        Language("es", Locale("es"), "Español"),
    )
}


def message(text: str) -> str:
    """Mark a text for translation; it is translated where it is shown."""
    return text


COMMA = message(", ")  # Between the things of a list.
APPROVED_BY = ", approved by "  # As deeds of two people are kept, in no language but this.
TWO_PEOPLE = message("%(first)s, approved by %(second)s")


@cache
def translations(tag: str) -> gettext.NullTranslations:
    """Give the words of a language; English needs no catalogue."""
    path = _FOLDER / tag.replace("-", "_") / "LC_MESSAGES/messages.po"
    if not path.is_file():
        return gettext.NullTranslations()
    with path.open("rb") as file:
        catalogue = read_po(file, locale=tag.replace("-", "_"))
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@lru_cache(512)
def choose(chosen: str, accepted: str, default: str) -> Language:
    """Choose a language: the one chosen before, else what the browser accepts, else the default."""
    if chosen in LANGUAGES:
        return LANGUAGES[chosen]
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate(accepted[:200].split(",")[:20]):
        name, _, weight = part.strip().lower().partition(";q=")
        wanted.append((-_weight(weight), place, name.strip()))
    for negative_weight, _, name in sorted(wanted):
        if negative_weight == 0:
            continue
        if tag := nearest(name):
            return LANGUAGES[tag]
    return LANGUAGES.get(default, LANGUAGES["en"])


def _weight(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text))) if text else 1.0
    except ValueError:
        return 0.0
