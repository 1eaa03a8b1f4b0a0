"""The demo's site: the platform as it is served, and the mailbox page, which only the demo has."""

import os
from collections.abc import Sequence

from litestar.handlers import HTTPRouteHandler

from vendrail.app.serving import Application
from vendrail.kernel.config import load_platform
from vendrail.web.mailbox import Mailbox
from vendrail.web.storefront.front import Front

FACTORY = f"{__name__}:create_app"  # What each worker of the demo's server loads.


def create_app() -> Application:
    """Make the application of this process from its environment."""
    platform = load_platform()

    def mailbox(front: Front) -> Sequence[HTTPRouteHandler]:
        return Mailbox(front, platform.home / "mailbox").handlers()

    return Application(platform, dict(os.environ), more=mailbox)
