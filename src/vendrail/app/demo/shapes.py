"""SVG shapes as text, and numbers that look random and are always the same."""

from hashlib import blake2b

WIDTH, HEIGHT = 640, 400


def spread(name: str, number: int) -> float:
    """Give a number between 0 and 1 that belongs to this name and number for ever."""
    digest = blake2b(f"{name}:{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 0xFFFFFFFF


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _tail(fill: str, stroke: str, stroke_width: float, opacity: float) -> str:
    text = f' fill="{fill}"'
    if stroke:
        text += (
            f' stroke="{stroke}" stroke-width="{_number(stroke_width)}"'
            ' stroke-linecap="round" stroke-linejoin="round"'
        )
    if opacity < 1:
        text += f' opacity="{opacity:.2f}"'
    return text + "/>"


def rect(
    x: float, y: float, width: float, height: float, fill: str, *, rx: float = 0, opacity: float = 1
) -> str:
    """Draw a rectangle."""
    at = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
    round = f' rx="{_number(rx)}"' if rx else ""
    return f"<rect {at}{round}{_tail(fill, '', 0, opacity)}"


def circle(x: float, y: float, radius: float, fill: str, *, opacity: float = 1) -> str:
    """Draw a circle."""
    at = f'cx="{_number(x)}" cy="{_number(y)}" r="{_number(radius)}"'
    return f"<circle {at}{_tail(fill, '', 0, opacity)}"


def path(
    data: str, fill: str, *, stroke: str = "", stroke_width: float = 0, opacity: float = 1
) -> str:
    """Draw a path."""
    return f'<path d="{data}"{_tail(fill, stroke, stroke_width, opacity)}'


def polygon(points: str, fill: str, *, opacity: float = 1) -> str:
    """Draw a polygon."""
    return f'<polygon points="{points}"{_tail(fill, "", 0, opacity)}'


def line(
    x: float, y: float, to_x: float, to_y: float, stroke: str, width: float, *, opacity: float = 1
) -> str:
    """Draw a straight line."""
    data = f"M{_number(x)} {_number(y)}L{_number(to_x)} {_number(to_y)}"
    return path(data, "none", stroke=stroke, stroke_width=width, opacity=opacity)


def group(content: str, transform: str) -> str:
    """Move or turn what was drawn."""
    return f'<g transform="{transform}">{content}</g>'
