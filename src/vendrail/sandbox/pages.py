"""The pages that all wallets share: how they are written, how they look, and the front door."""

from functools import cache
from importlib import resources

import jinja2
from litestar import MediaType, Response, get
from litestar.datastructures import CacheControlHeader

_HEADERS = {
    # No script runs here. A form may lead on to the merchant, wherever that is.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self';"
    " form-action 'self' http: https:; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

# What a merchant's page holds in a frame: it runs scripts of its own, and speaks to its own house.
_FRAMED = {
    **_HEADERS,
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; connect-src 'self'; form-action 'self' http: https:; base-uri 'none';"
    " frame-ancestors *",
}

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("vendrail.sandbox"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@cache
def read_asset(name: str) -> bytes:
    """Read a file of the wallet's looks or wits."""
    return (resources.files("vendrail.sandbox") / "assets" / name).read_bytes()


def render(
    template: str, status: int, *, is_framed: bool = False, **values: object
) -> Response[str]:
    """Show a page of the wallet, or one that stands in a merchant's."""
    html = _templates.get_template(template).render(**values)
    headers = _FRAMED if is_framed else _HEADERS
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=headers)


def redirect(url: str) -> Response[str]:
    """Send the buyer's browser on."""
    return Response("", status_code=303, headers={**_HEADERS, "Location": url})


@get("/")
async def show_home() -> Response[str]:
    """Say what this is to whoever opens the sandbox's bare address."""
    return render("home.html", 200)


@get("/assets/wallet.css", cache_control=CacheControlHeader(max_age=3_600))
async def show_style() -> Response[bytes]:
    """Give the style sheet of the wallet."""
    return Response(read_asset("wallet.css"), media_type=MediaType.CSS)


@get("/assets/mark.svg", cache_control=CacheControlHeader(max_age=3_600))
async def show_mark() -> Response[bytes]:
    """Give the wallet's icon, so that no browser asks for one in vain."""
    return Response(read_asset("mark.svg"), media_type="image/svg+xml")


PAGES = [show_home, show_style, show_mark]
