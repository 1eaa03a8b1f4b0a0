"""Texts from people: Markdown to clean HTML, and nothing else gets near a page unescaped."""

from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

_markdown = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table")
_TAGS = {
    "a", "blockquote", "br", "code", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


@lru_cache(512)
def from_markdown(text: str) -> Markup:
    """Render Markdown; the result is sanitised, links are http(s) only and carry nothing over."""
    return clean(_markdown.render(text))


@lru_cache(512)
def clean(html: str) -> Markup:
    """Keep the few tags that descriptions need; no style, no script, no picture, no handler."""
    kept = nh3.clean(
        html,
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
    )
    return Markup(kept)  # noqa: S704  # Sanitised by nh3 on the line above.
