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
    "card": ("M3 6.5h18v11H3zM3 10.5h18M6.5 14.5h4"),
    "copy": ("M9 9h10.5v10.5H9zM15 9V4.5H4.5V15H9"),
    "clock": ("M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17ZM12 7.5V12l3 2"),
    "arrow": ("M5 12h14M13 6l6 6-6 6"),
    "back": ("M19 12H5M11 6l-6 6 6 6"),
    "key": ("M8 8a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9ZM12.5 12.5h9M18 12.5v4M21 12.5v2.5"),
    "shop": (
        "M4 9.5 5.5 4h13L20 9.5M4 9.5h16M4 9.5a2.7 2.7 0 0 0 5.3 0 2.7 2.7 0 0 0 5.4 0 "
        "2.7 2.7 0 0 0 5.3 0M5.5 12v8h13v-8"
    ),
    "home": ("M4 11 12 4l8 7M6 9.5V20h4.5v-5h3v5H18V9.5"),
    "menu": ("M4 7h16M4 12h16M4 17h16"),
    "exit": ("M10 4.5H5v15h5M14 8l4 4-4 4M18 12H9.5"),
    "person": ("M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM4.5 20.5a7.5 7.5 0 0 1 15 0"),
    "people": (
        "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7ZM2.5 19.5a6.5 6.5 0 0 1 13 0M15.5 5.3a3.5 3.5 0 "
        "0 1 0 6.4M17.5 13.6a6.5 6.5 0 0 1 4 5.9"
    ),
    "shield": ("M12 3 5 5.5V11c0 4.5 2.8 8 7 10 4.2-2 7-5.5 7-10V5.5L12 3Z"),
    "flag": ("M6 21V4M6 5h11l-2 3.5L17 12H6"),
    "coins": (
        "M8.5 4a5.5 2.5 0 1 0 0 5 5.5 2.5 0 0 0 0-5ZM3 6.5v5c0 1.4 2.5 2.5 5.5 2.5M14 6.5V9M15.5 "
        "11a5.5 2.5 0 1 0 0 5 5.5 2.5 0 0 0 0-5ZM10 13.5v4c0 1.4 2.5 2.5 5.5 2.5s5.5-1.1 5.5-2.5v-4"
    ),
    "list": ("M8.5 6H20M8.5 12H20M8.5 18H20M4 6h.5M4 12h.5M4 18h.5"),
    "chart": ("M4 20V4M4 20h16M8.5 16v-4M13 16V8M17.5 16v-6"),
    "box": ("M12 3.5 4 7.5v9l8 4 8-4v-9l-8-4ZM4 7.5l8 4 8-4M12 11.5v9"),
    "gear": (
        "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6ZM12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 "
        "16.2l2.2 2.2M5.6 18.4l2.2-2.2M16.2 7.8l2.2-2.2"
    ),
    "split": ("M4 12h5l6-6h5M9 12l6 6h5M17 3l3 3-3 3M17 15l3 3-3 3"),
    "plug": ("M9 3.5v5M15 3.5v5M6.5 8.5h11v3a5.5 5.5 0 0 1-11 0v-3ZM12 17v4"),
    "book": ("M5 4.5h10.5A3.5 3.5 0 0 1 19 8v12H8a3 3 0 0 1-3-3V4.5ZM5 17a3 3 0 0 1 3-3h11"),
    "mail": ("M3.5 6h17v12h-17zM4 6.5l8 6.5 8-6.5"),
    "down": ("M6 9.5l6 6 6-6"),
    "globe": (
        "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17ZM3.5 12h17M12 3.5c-2.6 2.4-3.8 5.2-3.8 8.5"
        "s1.2 6.1 3.8 8.5c2.6-2.4 3.8-5.2 3.8-8.5S14.6 5.9 12 3.5Z"
    ),
    "alert": ("M12 4 2.5 20h19L12 4ZM12 10v4.5M12 17.2v.1"),
    "bookmark": ("M7 4h10v16.5l-5-4-5 4V4Z"),
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
