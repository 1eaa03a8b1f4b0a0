"""Pure: merchants' Markdown becomes clean HTML; nothing in it can run, load or disguise itself."""

from functools import lru_cache

import nh3
from markdown_it import MarkdownIt

_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "img",
    "li", "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title"},
    "ol": {"start"},
}
_MEDIA = "/media/"


def _keep(tag: str, attribute: str, value: str) -> str | None:
    """Let pictures come from the site's own media folder only: others would tell who looks."""
    if tag == "img" and attribute == "src":
        is_own = value.startswith(_MEDIA) and ".." not in value and "\\" not in value
        return value if is_own else None
    return value


@lru_cache(maxsize=2_048)
def to_html(markdown: str) -> str:
    """Render Markdown and keep only what is harmless."""
    return nh3.clean(
        _markdown.render(markdown),
        tags=_TAGS,
        clean_content_tags={"script", "style"},
        attributes=_ATTRIBUTES,
        attribute_filter=_keep,
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer ugc",
    )
