"""Help, the design system, and the choices of language and theme."""

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from vendrail.web.languages import LANGUAGES
from vendrail.web.pages import onward
from vendrail.web.storefront.front import Asked, Front, Page
from vendrail.web.visitor import CURRENCY, LANGUAGE, THEME, THEMES, local_path

_ROBOTS = (
    b"User-agent: *\nDisallow: /orders/\nDisallow: /pay/\nDisallow: /lookup\nDisallow: /account\n"
)


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

    async def robots(self) -> Page:
        """Keep search engines from orders."""
        return Page(_ROBOTS, media_type="text/plain")
