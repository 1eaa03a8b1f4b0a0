"""Pure: texts of goods are made plain, rules are looked for in them, and what follows is decided.

What a reader takes for the same letter is the same: width, case, marks, traditional and simplified
characters, look-alikes of other scripts, and whatever stands between the letters of a word.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.resources import files

from vendrail.api.catalog import (
    GoodsCase,
    GoodsDecision,
    GoodsRule,
    GoodsState,
    GoodsVerdict,
    Product,
    Shop,
)
from vendrail.kernel.codec import replace

RULES_MAX = 500
_TEXT_LENGTH_MAX = 60
_SIGNS, _SPACES, _BETWEEN = r"[^a-z0-9\s]*", r"\s+", r"[^a-z0-9]*"
# Letters of other scripts, and signs, that are read as Latin ones.
_LOOKALIKES = str.maketrans(
    "авекорстухіѕјԁһӏԛԝαβγεικνορτυχω0134578@$|!lı",
    "abekopctyxisjdhiqwabyeiknoptuxwoieastbasiiii",
)


@lru_cache(1)
def _simplified() -> dict[int, str]:
    """Map traditional characters to simplified ones, from the tables of OpenCC."""
    lines = (files("opencc") / "dictionary" / "TSCharacters.txt").read_text("utf-8").splitlines()
    pairs = (line.split("\t") for line in lines if "\t" in line)
    return {ord(old): new.split(" ")[0] for old, new in pairs if len(old) == 1}


def plain(text: str) -> str:
    """Make a text plain: letters that look the same become the same, spaces stay."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    shown = "".join(
        letter for letter in folded if unicodedata.category(letter) not in ("Mn", "Cf", "Me")
    )
    return unicodedata.normalize("NFC", shown).translate(_simplified()).translate(_LOOKALIKES)


def _is_latin(text: str) -> bool:
    return all("a" <= letter <= "z" for letter in text)


@lru_cache(2_000)
def _letters(word: str) -> str:
    return "".join(letter for letter in plain(word) if letter.isalnum())


@lru_cache(2_000)
def _pattern(word: str) -> re.Pattern[str] | None:
    """Give what finds a word: Latin ones whole, others wherever they stand; None: no letters."""
    tight = _letters(word)
    if not tight:
        return None
    if not _is_latin(tight):
        return re.compile(re.escape(tight))
    # Signs between letters are seen through; spaces only where they part every letter.
    words = re.findall(r"[a-z]+", plain(word))
    parts = [rf"(?:{_SIGNS.join(each)}|{_SPACES.join(each)})" for each in words]
    return re.compile(rf"(?<![a-z]){_BETWEEN.join(parts)}(?![a-z])")


def screen(texts: Iterable[str], category: str, rules: Sequence[GoodsRule]) -> list[GoodsRule]:
    """Give the rules that find something in some texts, or forbid the category."""
    whole = "\n".join(plain(text) for text in texts)
    tight = "".join(letter for letter in whole if letter.isalnum())
    own = _letters(category)
    found = []
    for rule in rules:
        pattern = _pattern(rule.text)
        if pattern is None:
            continue
        letters = _letters(rule.text)
        if rule.is_category:
            is_found = own == letters
        else:
            is_found = pattern.search(whole if _is_latin(letters) else tight) is not None
        if is_found:
            found.append(rule)
    return found


def texts_of_product(product: Product) -> list[str]:
    """Give what buyers read of a product."""
    more = [variant.title for variant in product.variants]
    if product.warranty is not None and product.warranty.covers:
        more.append(product.warranty.covers)
    return [product.title, product.description, product.instructions, product.category, *more]


def former_fingerprint(product: Product) -> str:
    """Name a product's text as it was named before what its warranty covers was looked at."""
    return fingerprint(texts_of_product(replace(product, warranty=None)))


def texts_of_shop(shop: Shop) -> list[str]:
    """Give what buyers read of a shop."""
    return [shop.name, shop.merchant_name, shop.notice, shop.contact]


def fingerprint(texts: Sequence[str]) -> str:
    """Name a text: another text has another name."""
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()


def clean_rules(rules: Sequence[GoodsRule]) -> list[GoodsRule] | None:
    """Give rules as they are kept, each once; None: one is malformed, or they are too many."""
    kept: dict[tuple[str, bool], GoodsRule] = {}
    for rule in rules:
        text = " ".join(rule.text.split())
        if not 1 <= len(text) <= _TEXT_LENGTH_MAX or _pattern(text) is None:
            return None
        kept[text.casefold(), rule.is_category] = replace(rule, text=text)
    return list(kept.values()) if len(kept) <= RULES_MAX else None


def judge(known: GoodsCase | None, now: GoodsCase, former: str = "") -> GoodsCase | None:
    """Say what becomes of a case when a text was looked at; None: nothing was and is found.

    `now` holds what was found this time, by which rules. What a person allowed stays so for the
    rules it was allowed for; what one took down stays down until one has looked at another text.
    `former` is another name that this text had while less of it was looked at.
    """
    if known is None:
        if not now.found:
            return None
        return replace(now, state=GoodsState.OPEN, is_blocked=_is_blocking(now))
    is_same_text = known.seen == now.seen
    fresh = replace(now, state=GoodsState.OPEN, decided_by=known.decided_by, reason=known.reason)
    if known.state is GoodsState.TAKEN_DOWN or known.is_appealed:
        if is_same_text:
            return known
        if former and known.seen == former:
            return replace(known, seen=now.seen)
        return replace(fresh, is_blocked=True, is_appealed=True)
    if known.state is GoodsState.ALLOWED and _are_among(now.found, known.found):
        return replace(known, title=now.title, seen=now.seen, rules_version=now.rules_version)
    if not now.found:
        return replace(fresh, state=GoodsState.ENDED, is_blocked=False)
    return replace(fresh, is_blocked=_is_blocking(now), decided_by="", reason="")


def _is_blocking(case: GoodsCase) -> bool:
    return not case.is_shop and any(rule.verdict is GoodsVerdict.BLOCK for rule in case.found)


def _are_among(found: Sequence[GoodsRule], allowed: Sequence[GoodsRule]) -> bool:
    return {(rule.text, rule.is_category) for rule in found} <= {
        (rule.text, rule.is_category) for rule in allowed
    }


def is_judged(known: GoodsCase, decision: GoodsDecision) -> bool:
    """Tell whether a person has judged what stands now, and not what stood before.

    A takedown is of the product, whatever its text is by then: else a merchant fends one off by
    writing another text each time.
    """
    if not decision.is_allowed:
        return True
    return decision.seen in (None, known.seen) and decision.rules_version in (
        None,
        known.rules_version,
    )


def decide(known: GoodsCase, decision: GoodsDecision) -> GoodsCase:
    """Say what a person's decision makes of a case."""
    return replace(
        known,
        state=GoodsState.ALLOWED if decision.is_allowed else GoodsState.TAKEN_DOWN,
        is_blocked=not decision.is_allowed and not known.is_shop,
        is_appealed=False,
        decided_by=decision.by,
        reason=decision.reason,
    )
