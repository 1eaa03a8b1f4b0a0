"""The demo: a whole marketplace on one machine from one command, with data that looks real.

It promises to come up from nothing, to find again what it left, to end what it started, and never
to touch what it did not make.
"""

from collections.abc import Mapping

from vendrail.kernel.config import PlatformSettings

__all__ = ["run"]


def run(
    platform: PlatformSettings,
    environment: Mapping[str, str] | None = None,
    *,
    fresh: bool = False,
) -> None:
    """Start everything, say where it is, wait to be stopped, stop everything."""
    # Not above: the demo's children import this package too, and need none of what runs it.
    from vendrail.app.demo import running  # noqa: PLC0415

    running.run(platform, environment, fresh=fresh)
