"""Which passwords are good enough: long, and none that everybody thinks of. Pure."""

from functools import cache
from importlib import resources

from vendrail.api.identity import ProofStatus

LENGTH_MIN = 12
LENGTH_MAX = 256
_LOOKALIKES = str.maketrans("0134578@$!", "oleastbasi")
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_RUN_MIN = 4


@cache
def _common() -> frozenset[str]:
    text = resources.files("vendrail.identity").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def judge(password: str, *own: str) -> ProofStatus:
    """Say whether a password may be taken; `own`: what others know of the person and the site."""
    if len(password) < LENGTH_MIN:
        return ProofStatus.TOO_SHORT
    if len(password) > LENGTH_MAX:
        return ProofStatus.TOO_LONG
    lowered = password.lower()
    known = {*_common(), *(part for text in own for part in _words(text))}
    if _is_guessed(lowered, known) or _is_guessed(lowered.translate(_LOOKALIKES), known):
        return ProofStatus.TOO_COMMON
    return ProofStatus.ACCEPTED


def _is_guessed(text: str, known: set[str]) -> bool:
    """Whether nothing is left of a text but what is known, runs of the keyboard and repetition."""
    rest = text
    for word in sorted(known, key=len, reverse=True):
        rest = rest.replace(word, " ")
    rest = _without_runs(rest)
    letters = [c for c in rest if not c.isspace()]
    # Four different letters that are nobody's word are what a guesser adds first: a year, a "!".
    return (len(set(letters)) < 5 and len(letters) < LENGTH_MIN // 2) or len(set(letters)) < 3


def _without_runs(text: str) -> str:
    """Take out runs along the alphabet or the keyboard, either way."""
    rows = [*_ROWS, *(row[::-1] for row in _ROWS)]
    kept, at = [], 0
    while at < len(text):
        length = 0
        for row in rows:
            start = row.find(text[at])
            while start >= 0:
                here = 0
                while (
                    at + here < len(text)
                    and start + here < len(row)
                    and text[at + here] == row[start + here]
                ):
                    here += 1
                length = max(length, here)
                start = row.find(text[at], start + 1)
        if length >= _RUN_MIN:
            at += length
        else:
            kept.append(text[at])
            at += 1
    return "".join(kept)


def _words(text: str) -> list[str]:
    """Give the parts of an address or a name that would be guessed first."""
    parts = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return [part for part in parts if len(part) >= 4]
