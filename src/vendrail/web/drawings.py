"""The brand mark, the icons and the picture of products without one: drawn by us, as SVG.

One stroke width, the colour of the text; plain attributes only, for the policy of the pages.
"""

from functools import cache

from markupsafe import Markup, escape

_MARK = (
    '<svg class="%s shrink-0" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" '
    'height="32" rx="8" fill="#0b6353"/><path d="M7.5 8 16 24.5 24.5 8" fill="none" '
    'stroke="#fff" stroke-width="3.4" stroke-linecap="round" stroke-linejoin="round"/><path '
    'd="M12.6 10.4h6.8M14.3 15h3.4" stroke="#8fe3c8" stroke-width="2.6" '
    'stroke-linecap="round"/></svg>'
)
_ICON = (
    '<svg class="%s shrink-0" viewBox="0 0 24 24" fill="none" stroke="currentColor" '
    'stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">'
    '<path d="%s"/></svg>'
)
_ICONS = {
    "moon": ("M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5Z"),
    "sun": (
        "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 "
        "5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4"
    ),
    "search": ("M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM16 16l4.5 4.5"),
    "check": ("M4.5 12.5 10 18 19.5 6.5"),
    "bolt": ("M13 2.5 5 13.5h6l-1 8 8-11h-6l1-8Z"),
    "lock": ("M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3"),
    "eye": (
        "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12ZM12 "
        "9.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6Z"
    ),
    "copy": ("M9 9h10.5v10.5H9zM15 9V4.5H4.5V15H9"),
    "clock": ("M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17ZM12 7.5V12l3 2"),
    "arrow": ("M5 12h14M13 6l6 6-6 6"),
    "back": ("M19 12H5M11 6l-6 6 6 6"),
    "key": ("M8 8a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9ZM12.5 12.5h9M18 12.5v4M21 12.5v2.5"),
    "shop": (
        "M4 9.5 5.5 4h13L20 9.5M4 9.5h16M4 9.5a2.7 2.7 0 0 0 5.3 0 2.7 2.7 0 0 0 5.4 0 "
        "2.7 2.7 0 0 0 5.3 0M5.5 12v8h13v-8"
    ),
    "download": ("M12 4v11M7 10.5l5 5 5-5M5 20h14"),
}
_PLACEHOLDER = (
    '<svg viewBox="0 0 320 200" preserveAspectRatio="xMidYMid slice" aria-hidden="true"><g '
    'fill="none" stroke="currentColor" stroke-opacity=".14" stroke-width="1.5"><path d="M-40 220 '
    "120 -20M20 220 180 -20M80 220 240 -20M140 220 300 -20M200 220 360 -20M260 220 420 "
    '-20"/></g><rect x="76" y="46" width="168" height="108" rx="14" fill="#fff" '
    'fill-opacity=".9"/><rect x="76" y="46" width="168" height="30" rx="14" '
    'fill="currentColor"/><rect x="76" y="62" width="168" height="14" '
    'fill="currentColor"/><circle cx="112" cy="112" r="15" fill="none" stroke="currentColor" '
    'stroke-width="7"/><path d="M127 112h72M180 112v17M197 112v12" stroke="currentColor" '
    'stroke-width="7" stroke-linecap="round"/></svg>'
)
ICONS = tuple(_ICONS)


@cache
def mark(classes: str = "size-8") -> Markup:
    """Draw the brand mark."""
    return Markup(_MARK) % escape(classes)  # noqa: S704  # Our own drawing.


@cache
def icon(name: str, classes: str = "size-5") -> Markup:
    """Draw an icon."""
    return Markup(_ICON) % (escape(classes), _ICONS[name])  # noqa: S704  # Our own drawing.


@cache
def placeholder() -> Markup:
    """Draw the picture of a product that has none."""
    return Markup(_PLACEHOLDER)  # noqa: S704  # Our own drawing.
