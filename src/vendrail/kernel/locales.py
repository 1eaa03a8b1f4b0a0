"""The languages that people are spoken to in, and which of them is nearest to another."""

TAGS = ("zh-Hans", "zh-Hant", "en", "ja", "ko", "es")
_TRADITIONAL = {"hant", "tw", "hk", "mo"}


def nearest(tag: str) -> str:
    """Give the language that is nearest to a tag (BCP 47); empty: none is near."""
    if tag in TAGS:
        return tag
    language, *parts = tag.lower().replace("_", "-").split("-")
    if language == "zh":
        is_traditional = "hans" not in parts and not _TRADITIONAL.isdisjoint(parts)
        return "zh-Hant" if is_traditional else "zh-Hans"
    return language if language in TAGS else ""
