"""The rooms that can be set: each one's settings record, and every setting as it is here."""

from collections.abc import Mapping
from typing import Any

from vendrail.app.services import SERVICES
from vendrail.app.wiring import needs_of
from vendrail.gateway.settings import GatewaySettings
from vendrail.kernel import config
from vendrail.kernel.config import Field, PlatformSettings, read_file
from vendrail.web.settings import WebSettings


def rooms() -> dict[str, Any]:
    """Give the settings record of each room that has one, by the room's name."""
    found: dict[str, Any] = {}
    for entry in SERVICES:
        for kind in needs_of(entry).values():
            if isinstance(kind, type) and kind.__name__.endswith("Settings"):
                found[entry.name] = kind
    return {**found, "gateway": GatewaySettings, "web": WebSettings}


def read_fields(
    platform: PlatformSettings, environment: Mapping[str, str]
) -> dict[str, list[Field]]:
    """Read every setting as it is here, the platform's first; secrets are masked."""
    file = read_file(platform.home)
    own = {name: value for name, value in file.items() if not isinstance(value, dict)}
    fields = {"platform": config.describe(platform, "", environment, own)}
    for name, kind in rooms().items():
        settings = config.load_room(kind, name, platform, environment)
        fields[name] = config.describe(settings, name, environment, file.get(name, {}))
    return fields
