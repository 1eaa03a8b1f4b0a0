"""Pages out of templates: an environment per language, hashed assets, headers that guard."""

import gzip
import json
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined, nodes
from jinja2.visitor import NodeTransformer
from litestar import Response
from litestar.datastructures import Cookie
from markupsafe import Markup

from vendrail.api.payments.deposits import DepositView
from vendrail.kernel.ids import to_serial
from vendrail.web import amounts, drawings, words
from vendrail.web.languages import (
    APPROVED_BY,
    COMMA,
    LANGUAGES,
    TWO_PEOPLE,
    Language,
    translations,
)
from vendrail.web.settings import WebSettings
from vendrail.web.visitor import DEVICE, Visitor, Visitors

_HERE = Path(__file__).parent
_DIST = _HERE / "assets/dist"
_QR_PLAIN_MAX = 400
_COMPRESS_BYTES_MIN = 860  # Below this, a packet is a packet.

_POLICY = (
    "default-src 'none'; script-src 'self'{scripts}; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'{calls}; worker-src 'self'; manifest-src 'self'; form-action {forms}; "
    "base-uri 'none'; frame-ancestors 'none'{frames}"
)


@dataclass(frozen=True)
class Embedded:
    """What a page lets in that holds a provider's own form, by its origins."""

    scripts: str
    frames: str
    calls: str


@dataclass(frozen=True)
class Asset:
    """A built file: its bytes as they are and compressed."""

    content: bytes
    compressed: bytes
    media_type: str


class Assets:
    """The built style sheet and scripts, in memory, named by the hash of their content."""

    def __init__(self, folder: Path = _DIST) -> None:
        manifest = folder / "manifest.json"
        self._names: dict[str, str] = (
            json.loads(manifest.read_text("utf-8")) if manifest.is_file() else {}
        )
        self.files = {name: _read_asset(folder / name) for name in self._names.values()}

    def address(self, name: str) -> str:
        """Give the address of a file; before the first build its plain name, which is not there."""
        return f"/assets/{self._names.get(name, name)}"


def _read_asset(path: Path) -> Asset:
    types = {
        ".css": "text/css",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
        ".png": "image/png",
        ".webp": "image/webp",
        ".webmanifest": "application/manifest+json",
    }
    content = path.read_bytes()
    media_type = types.get(path.suffix, "application/octet-stream")
    return Asset(content, gzip.compress(content, 9, mtime=0), media_type)


class _Settled(NodeTransformer):
    """Calls what depends on the language alone while a template is read, not at every page."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._functions = functions

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802  # Jinja names it.
        """Put the result in the place of a call whose arguments are constants."""
        self.generic_visit(node)
        function = (
            self._functions.get(node.node.name) if isinstance(node.node, nodes.Name) else None
        )
        constants = [each.value for each in node.args if isinstance(each, nodes.Const)]
        is_plain = len(constants) == len(node.args) and not (node.kwargs or node.dyn_args)
        if function is None or not is_plain:
            return node
        return nodes.MarkSafe(nodes.Const(str(function(*constants))), lineno=node.lineno)


class _Environment(Environment):
    """Templates of one language."""

    settled: Mapping[str, Callable[..., Any]] = {}

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """Give templates the one table of globals: no template has its own on top."""
        return self.globals if not d else super().make_globals(d)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        read = super()._parse(source, name, filename)
        settled: nodes.Template = _Settled(self.settled).visit(read)
        return settled


class Pages:
    """Writes whole pages and parts of pages for a visitor."""

    def __init__(self, visitors: Visitors, settings: WebSettings, assets: Assets) -> None:
        self._visitors = visitors
        self._settings = settings
        self.assets = assets
        self._environments = {tag: self._environment(LANGUAGES[tag]) for tag in LANGUAGES}

    def _environment(self, language: Language) -> Environment:
        made = _Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        made.install_gettext_translations(  # type: ignore[attr-defined]
            translations(language.tag), newstyle=True
        )
        settings = self._settings
        made.globals |= {
            "asset": self.assets.address,
            "icon": drawings.icon,
            "icons": drawings.ICONS,
            "mark": drawings.mark,
            "placeholder": drawings.placeholder,
            "language": language,
            "languages": list(LANGUAGES.values()),
            "site_name": settings.site_name,
            "serial": to_serial,
            "money": partial(_amount, locale=language.locale),
            "number": partial(amounts.count, locale=language.locale),
            "share": partial(amounts.share, locale=language.locale),
            "currency_name": partial(amounts.currency_name, locale=language.locale),
            "qr": qr_svg,
            "arrival_of": arrival_of,
        }
        made.filters |= {
            "markdown": words.from_markdown,
            "clean": words.clean,
            "moment": partial(_moment, language=language, zone=settings.time_zone),
            "hour": partial(_hour, language=language, zone=settings.time_zone),
            "clock": partial(_clock, language=language, zone=settings.time_zone),
            "day": partial(_day, language=language, zone=settings.time_zone),
            "media": media_address,
            "people": partial(_people, said=translations(language.tag).gettext),
            "listed": Markup(translations(language.tag).gettext(COMMA)).join,  # noqa: S704
        }
        made.settled = {
            "_": translations(language.tag).gettext,
            "asset": self.assets.address,
            "icon": drawings.icon,
            "mark": drawings.mark,
            "placeholder": drawings.placeholder,
        }
        return made

    def translate(self, visitor: Visitor, text: str) -> str:
        """Say a marked message in the visitor's language."""
        return translations(visitor.language.tag).gettext(text)

    def macro(self, template: str, name: str, visitor: Visitor) -> Callable[..., str]:
        """Give a macro of the pages, to say elsewhere what they say."""
        module = self._environments[visitor.language.tag].get_template(template).module
        macro: Callable[..., str] = getattr(module, name)
        return macro

    def text(self, template: str, visitor: Visitor, **context: Any) -> str:
        """Write a page, or a part of one, as text."""
        environment = self._environments[visitor.language.tag]
        return environment.get_template(template).render(
            visitor=visitor, form_token=partial(self._visitors.form_token, visitor), **context
        )

    def page(
        self,
        template: str,
        visitor: Visitor,
        *,
        status: int = 200,
        is_private: bool = False,
        accepts: str = "",
        cookies: Sequence[Cookie] = (),
        headers: Mapping[str, str] | None = None,
        forms_to: str = "",
        embedded: Embedded | None = None,
        **context: Any,
    ) -> Response[bytes]:
        """Answer with a page. A private one is never stored, nor compressed beside its secrets."""
        body = self.text(template, visitor, **context).encode()
        sent = {
            "content-security-policy": _policy(forms_to, embedded),
            "cache-control": "no-store" if is_private else "private, no-cache",
            "vary": "Accept-Encoding, Accept-Language, Cookie",
            "content-language": visitor.language.tag,
            **guards(),
            **(headers or {}),
        }
        if not is_private and "gzip" in accepts and len(body) >= _COMPRESS_BYTES_MIN:
            body = gzip.compress(body, 4, mtime=0)
            sent["content-encoding"] = "gzip"
        kept = list(cookies)
        if visitor.is_new:
            kept.append(self._visitors.cookie(DEVICE, visitor.device))
        if visitor.mark_cookie is not None:
            kept.append(visitor.mark_cookie)
        return Response(
            body,
            status_code=status,
            media_type="text/html",
            headers=sent,
            cookies=kept,
        )


def _policy(forms_to: str, embedded: Embedded | None) -> str:
    forms = f"'self' {forms_to}".strip()
    if embedded is None:
        return _POLICY.format(forms=forms, scripts="", calls="", frames="")
    return _POLICY.format(
        forms=forms,
        scripts=f" {embedded.scripts}",
        calls=f" {embedded.calls}",
        frames=f"; frame-src {embedded.frames}",
    )


def guards() -> dict[str, str]:
    """Give the headers that every answer of the pages carries."""
    return {
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
    }


def onward(path: str, cookies: Sequence[Cookie] = ()) -> Response[bytes]:
    """Send the browser on with GET, after a form or to a better address."""
    headers = {"location": path, "cache-control": "no-store", **guards()}
    return Response(b"", status_code=303, headers=headers, cookies=list(cookies))


def arrival_of(deposit: DepositView | None) -> str:
    """Say in a word what a pay page shows of what has come, so that a change can be seen."""
    if deposit is None:
        return ""
    blocks = min((each.confirmations for each in deposit.arrivals), default=0)
    return f"{deposit.arrived}.{min(blocks, deposit.confirmations_needed)}.{deposit.is_paid}"


@lru_cache(512)
def qr_svg(text: str) -> Markup:
    """Draw a QR code as SVG of plain attributes, dark on white in both themes."""
    error = (
        "m" if len(text) <= _QR_PLAIN_MAX else "l"
    )  # A long address stays coarse enough to scan.
    code = segno.make(text, error=error, micro=False)
    svg = code.svg_inline(
        border=3, dark="#0b1512", light="#ffffff", omitsize=True, svgclass=None, lineclass=None
    )
    return Markup(svg)  # noqa: S704  # Drawn by segno from modules alone; the text is not in it.


def media_address(path: str) -> str:
    """Give the address of a picture below the media folder."""
    return "/media/" + path.lstrip("/")


def _people(by: str, *, said: Callable[[str], str]) -> str:
    """Say who did a deed, and who approved it, of the one word that deeds are given."""
    first, parted, second = by.partition(APPROVED_BY)
    return said(TWO_PEOPLE) % {"first": first, "second": second} if parted else by


def _amount(amount_minor: int, currency: str, *, locale: Any) -> str:
    return amounts.amount(amount_minor, currency, locale)


def _moment(at: datetime, *, language: Language, zone: str) -> str:
    return amounts.moment(at, language.locale, zone)


def _hour(at: datetime, *, language: Language, zone: str) -> str:
    return amounts.hour(at, language.locale, zone)


def _clock(at: datetime, *, language: Language, zone: str) -> str:
    return amounts.clock(at, language.locale, zone)


def _day(at: datetime, *, language: Language, zone: str) -> str:
    return amounts.day(at, language.locale, zone)
