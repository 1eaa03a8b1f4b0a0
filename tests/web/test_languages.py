"""The languages of the pages: each whole, in its own script, kept in browser and account."""

import re
from datetime import UTC, datetime

import pytest
from babel import Locale
from babel.messages.plurals import get_plural
from babel.messages.pofile import read_po

from vendrail.kernel.locales import TAGS, nearest
from vendrail.web import amounts
from vendrail.web.languages import _FOLDER, LANGUAGES

OTHERS = [tag for tag in TAGS if tag != "en"]
# How each is written: a character set that has its letters, and none of its neighbours' own.
CHARSETS = {"zh-Hans": "gb2312", "zh-Hant": "cp950", "ja": "cp932", "ko": "cp949", "es": "cp1252"}
SIGNS = "—…’“”–·"  # Marks that some of these sets have in another form.
HAN, KANA, HANGUL = r"[\u4e00-\u9fff]", r"[\u3040-\u30ff]", r"[\uac00-\ud7a3]"
SCRIPTS = {"zh-Hans": HAN, "zh-Hant": HAN, "ja": f"{HAN}|{KANA}", "ko": HANGUL, "es": r"[a-z]"}
STRANGE = {"zh-Hans": KANA, "zh-Hant": KANA, "ja": HANGUL, "ko": f"{HAN}|{KANA}", "es": HAN}
IDENTICAL_SHARE_MAX = 0.05


def catalogue(tag: str):
    """Read the catalogue of a language as a translator writes it."""
    locale = tag.replace("-", "_")
    with (_FOLDER / locale / "LC_MESSAGES/messages.po").open("rb") as file:
        return read_po(file, locale=locale)


def said(tag: str) -> list[tuple[str, str]]:
    """Give (source, translation) of every text, and of each plural form."""
    pairs = []
    for each in catalogue(tag):
        if isinstance(each.id, str):
            pairs += [(each.id, each.string)] if each.id else []
        else:
            pairs += [(each.id[-1], form) for form in each.string]
    return pairs


def words(text: str) -> str:
    """Give a text without what is filled in."""
    return re.sub(r"%\(\w+\)s", "", text)


def test_every_language_of_letters_has_pages():
    """One list says which languages there are; each has its own name in the switch."""
    names = [each.name for each in LANGUAGES.values()]

    assert list(TAGS) == list(LANGUAGES)
    assert len(TAGS) == len(set(names))
    for tag, each in LANGUAGES.items():
        assert tag == each.tag == nearest(str(each.locale).replace("_", "-"))


@pytest.mark.parametrize("tag", OTHERS)
def test_a_catalogue_has_the_plural_forms_of_its_language(tag):
    """Counted things have as many forms as the language, and nothing is only a guess."""
    found = catalogue(tag)
    forms = get_plural(Locale.parse(tag, sep="-")).num_plurals

    assert 1_000 < len(found)
    assert [] == [each.id for each in found if each.id and each.fuzzy]
    for each in found:
        if isinstance(each.id, tuple):
            assert forms == len(each.string) == len([form for form in each.string if form])


@pytest.mark.parametrize("tag", OTHERS)
def test_a_catalogue_is_not_the_source_again(tag):
    """Less than 5 % is written as in English: names, and words that are the same."""
    pairs = said(tag)
    same = [source for source, text in pairs if source == text]

    assert len(same) < IDENTICAL_SHARE_MAX * len(pairs), same


@pytest.mark.parametrize("tag", OTHERS)
def test_a_catalogue_is_in_its_own_script(tag):
    """No character is one that only a neighbour's script has; nothing is left in Latin letters."""
    pairs = said(tag)
    foreign = [
        text
        for _, text in pairs
        if re.search(STRANGE[tag], text) or not _fits("".join(set(text) - set(SIGNS)), tag)
    ]
    without = [
        text
        for source, text in pairs
        if source != text and re.search("[a-z]{2}", words(text)) and len(text) > 12
        if not re.search(SCRIPTS[tag], words(text))
    ]

    assert [] == foreign
    assert [] == without


@pytest.mark.parametrize("tag", OTHERS)
def test_every_text_can_be_filled_in(tag):
    """A sign of percent that names nothing would break the page, or be shown twice."""
    pairs = said(tag)

    assert [] == [text for source, text in pairs if "%(" not in source and "%" in text]
    for _, text in pairs:
        assert "%(" not in text % dict.fromkeys(re.findall(r"%\((\w+)\)s", text), "1")


def test_japanese_is_written_with_kana():
    """Sentences have kana: strings of Chinese characters alone would not be Japanese."""
    sentences = [text for _, text in said("ja") if text.endswith("。")]

    assert 300 < len(sentences)
    assert [] == [text for text in sentences if not re.search(KANA, text)]


def _fits(text: str, tag: str) -> bool:
    try:
        text.encode(CHARSETS[tag])
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.parametrize(
    "asked, given",
    [
        ("zh-TW", "zh-Hant"),
        ("zh_HK", "zh-Hant"),
        ("zh-Hans-TW", "zh-Hans"),
        ("zh", "zh-Hans"),
        ("es-MX", "es"),
        ("ja-JP", "ja"),
        ("fr", ""),
        ("", ""),
    ],
)
def test_the_nearest_language_is_found(asked, given):
    """Regions and scripts lead to the language that is read there."""
    assert given == nearest(asked)


@pytest.mark.parametrize("tag", TAGS)
async def test_every_language_can_be_chosen_on_every_page(browser, tag):
    """The switch names each language in itself, marks the one that is, and keeps the choice."""
    await browser.get(f"/language/{tag}?next=/help")
    page = (await browser.get("/help")).text

    assert f'<html lang="{tag}"' in page
    for each in LANGUAGES.values():
        link = re.search(rf'href="/language/{each.tag}\?next=[^>]*>([^<]+)</a>', page)
        assert each.name == link[1]
        assert (each.tag == tag) == ('aria-current="true"' in link[0])


def literal_words(template: str) -> list[str]:
    """Give the words that a template writes itself, into texts or into attributes people meet."""
    source = re.sub(r"\{#.*?#\}", " ", template, flags=re.DOTALL)
    source = re.sub(r"\{% block width %\}.*?\{% endblock %\}|\S+@example\.com|/\w+/", " ", source)
    source = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "\x00", source, flags=re.DOTALL)
    source = re.sub(r"<(script|style)\b.*?</\1>", " ", source, flags=re.DOTALL)
    met = re.findall(r'\b(?:title|alt|placeholder|aria-label)="([^"]*)"', source)
    shown = re.sub(r"<[^>]*>|[\w-]+=\"[^\"]*\"", "\n", source)
    return [
        word
        for text in (*met, *shown.split("\n"))
        for word in re.findall(r"[^\W\d_]{2,}", text.replace("&nbsp;", " "))
    ]


# Written the same in every language.
ALIKE = {"API", "PayNow", "PromptPay", "SKU", "MB", "ms", "PostgreSQL", "Python"}


def test_templates_say_nothing_by_themselves():
    """Every word on every page of the shop and the consoles goes through the catalogue."""
    folder = _FOLDER.parent / "templates"
    left = {
        str(path.relative_to(folder)): sorted(found)
        for path in sorted(folder.rglob("*.html"))
        if path.name != "design.html"  # It names colours and classes.
        if (found := set(literal_words(path.read_text("utf-8"))) - ALIKE)
    }

    assert 40 < len(list(folder.rglob("*.html")))
    assert {} == left


@pytest.mark.parametrize(
    "tag, moment, price",
    [
        ("zh-Hans", "2026年11月29日 18:05:07", "¥12,345.67"),
        ("zh-Hant", "2026年11月29日 下午6:05:07", "CN¥12,345.67"),
        ("en", "Nov 29, 2026, 6:05:07\u202fPM", "CN¥12,345.67"),
        ("ja", "2026/11/29 18:05:07", "元12,345.67"),
        ("ko", "2026. 11. 29. 오후 6:05:07", "CN¥12,345.67"),
        ("es", "29 nov 2026, 18:05:07", "12.345,67\u00a0CNY"),
    ],
)
def test_times_and_amounts_are_written_as_people_do(tag, moment, price):
    """Each language has its own order, signs and halves of the day."""
    locale = LANGUAGES[tag].locale
    at = datetime(2026, 11, 29, 10, 5, 7, tzinfo=UTC)

    assert moment == amounts.moment(at, locale, "Asia/Shanghai")
    assert price == amounts.amount(1_234_567, "CNY", locale)
