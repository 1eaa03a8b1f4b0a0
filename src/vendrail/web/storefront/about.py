"""Help, the design system, and the choices of language and theme."""

from xml.sax.saxutils import escape

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from vendrail.api.catalog import ProductQuery, ProductView
from vendrail.kernel.ids import to_serial
from vendrail.web.languages import LANGUAGES
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Asked, Front, Page
from vendrail.web.visitor import CURRENCY, LANGUAGE, THEME, THEMES, local_path

_ROBOTS = (
    b"User-agent: *\nDisallow: /orders/\nDisallow: /pay/\nDisallow: /lookup\nDisallow: /account\n"
)
_SITEMAP = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{}</urlset>\n'
)
_LISTED_MAX = 1_000  # Of products; what is older search engines find by the pages.
_NOT_KEPT = {"cache-control": "no-store"}


class About:
    """The pages beside the shop."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def handlers(self) -> list[HTTPRouteHandler]:
        """Give the routes of these pages."""
        return [
            get("/help", name="web.help")(self.help),
            get("/design", name="web.design")(self.design),
            get("/language/{tag:str}", name="web.language")(self.language),
            get("/theme/{name:str}", name="web.theme")(self.theme),
            get("/currency/{code:str}", name="web.currency")(self.currency),
            get("/robots.txt", name="web.robots")(self.robots),
            get("/sitemap.xml", name="web.sitemap")(self.sitemap),
            get("/domains/ask", name="web.domains.ask")(self.ask),
        ]

    async def help(self, request: Asked) -> Page:
        """Say how buying works, and where the money is meanwhile."""
        return self._front.page(request, self._front.visitor(request), "help.html")

    async def design(self, request: Asked) -> Page:
        """Show every component of the design system."""
        return self._front.page(request, self._front.visitor(request), "design.html")

    async def language(self, request: Asked, tag: FromPath[str]) -> Page:
        """Keep the chosen language and go back."""
        back = local_path(request.query_params.get("next", "/"))
        visitors = self._front.visitors
        return onward(back, [visitors.cookie(LANGUAGE, tag)] if tag in LANGUAGES else ())

    async def theme(self, request: Asked, name: FromPath[str]) -> Page:
        """Keep the chosen theme (`auto` follows the system) and go back."""
        back = local_path(request.query_params.get("next", "/"))
        visitors = self._front.visitors
        is_known = name in (*THEMES, "auto")
        return onward(back, [visitors.cookie(THEME, name)] if is_known else ())

    async def currency(self, request: Asked, code: FromPath[str]) -> Page:
        """Keep the currency that prices are shown in and go back."""
        back = local_path(request.query_params.get("next", "/"))
        visitors = self._front.visitors
        is_known = code in self._front.purse.currencies
        return onward(back, [visitors.cookie(CURRENCY, code)] if is_known else ())

    async def robots(self, request: Asked) -> Page:
        """Keep search engines from orders, and show them what there is."""
        origin = self._front.origin(self._front.visitor(request))
        return Page(_ROBOTS + f"Sitemap: {origin}/sitemap.xml\n".encode(), media_type="text/plain")

    async def sitemap(self, request: Asked) -> Page:
        """List what search engines are to keep of this host; what is at home elsewhere is there."""
        front = self._front
        visitor = front.visitor(request)
        domain, origin = visitor.domain, front.origin(visitor)
        found = await self._products(domain.slug if domain is not None else None)
        homes = [f"{origin}/"]
        if domain is None:
            homes += [front.home_of(each) for each in await front.calls.shops()]
        homes += [
            f"{front.hosts.origin_of(each.shop.id) or front.public_url}"
            f"/products/{to_serial(each.product.id)}"
            for each in found
        ]
        here = dict.fromkeys(each for each in homes if each.startswith(f"{origin}/"))
        body = "".join(f"<url><loc>{escape(each)}</loc></url>" for each in here)
        return Page(_SITEMAP.format(body).encode(), media_type="application/xml")

    async def _products(self, slug: str | None) -> list[ProductView]:
        found: list[ProductView] = []
        while len(found) < _LISTED_MAX:
            after = found[-1].product.id if found else None
            more = await self._front.calls.found(ProductQuery(shop_slug=slug, after=after))
            found += more
            if not more:
                break
        return found

    async def ask(self, request: Asked) -> Page:
        """Tell a proxy whether a certificate may be fetched for a host: only for a proven one."""
        host = request.query_params.get("domain", "")[:253].lower().removesuffix(".")
        found = await self._front.hosts.find(host)
        missing = 404 if self._front.hosts.is_known else 503  # It cannot be told yet.
        status = 200 if found is not None else missing
        return Page(b"", status_code=status, media_type="text/plain", headers={**_NOT_KEPT})
