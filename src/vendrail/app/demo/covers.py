"""Covers of the demo's products: drawn here, line by line, so that no picture is anybody else's."""

import math
from collections.abc import Callable

from vendrail.app.demo import scenes
from vendrail.app.demo.shapes import HEIGHT, WIDTH, circle, group, line, path, polygon, rect, spread


def _gift_card(ink: str, light: str, bird: str) -> str:
    """Two cards, one behind the other, with a bird."""
    back = rect(0, 0, 300, 186, ink, rx=18, opacity=0.55)
    front = rect(0, 0, 300, 186, light, rx=18) + rect(0, 126, 300, 26, ink, opacity=0.14)
    body = path(
        "M96 104C96 64 132 40 168 48C176 34 196 30 206 42L228 50L208 60"
        "C206 96 172 122 132 118L78 136L104 110Z",
        bird,
    )
    wing = path("M118 98C128 70 158 62 184 70C176 96 148 108 118 98Z", ink, opacity=0.5)
    dots = "".join(circle(28 + n * 15, 168, 4, ink, opacity=0.5) for n in range(8))
    eye = circle(199, 50, 3.4, light)
    return group(back, "translate(214 84) rotate(8)") + group(
        front + body + wing + eye + dots, "translate(158 112) rotate(-6)"
    )


def bluebird() -> str:
    """Points for the games: a card with a bird."""
    rays = "".join(
        line(
            320, 200, 320 + 520 * math.cos(a), 200 + 520 * math.sin(a), "#ffffff", 26, opacity=0.07
        )
        for a in (n * math.pi / 9 for n in range(18))
    )
    return rays + _gift_card("#0b3b8c", "#f4f9ff", "#1f7ae0")


def brook() -> str:
    """Music that flows: bars of sound over their reflection, and a note."""
    parts = []
    for number in range(33):
        swell = math.sin(number * 0.42) * math.sin(number * 0.16 + 0.4) * (1 - number / 44)
        height = 24 + 122 * abs(swell) + 18 * spread("brook", number)
        x = 70 + number * 15.4
        parts.append(rect(x, 236 - height, 8, height, "#fff3fb", rx=4, opacity=0.92))
        parts.append(rect(x, 246, 8, height * 0.45, "#fff3fb", rx=4, opacity=0.22))
    note = path(
        "M470 62L556 42V116A23 17 0 1 1 546 104V72L480 87V138A23 17 0 1 1 470 126Z",
        "#ffd9ef",
    )
    return "".join(parts) + note


def halfway() -> str:
    """Coffee half way up the hill."""
    hill = path("M0 330C120 250 210 300 320 262C430 224 520 236 640 170V400H0Z", "#5b3a24")
    near = path("M0 372C160 320 300 372 640 300V400H0Z", "#3f2717")
    cup = path("M232 168H404V236C404 286 372 316 318 316C264 316 232 286 232 236Z", "#fffaf1")
    handle = path("M404 188H420C452 188 460 250 402 256", "none", stroke="#fffaf1", stroke_width=15)
    coffee = path("M246 180H390V196C340 206 296 206 246 196Z", "#8a5a33")
    steam = "".join(
        path(
            f"M{x} 146C{x - 20} 122 {x + 22} 108 {x} 82C{x - 16} 64 {x + 8} 52 {x + 2} 40",
            "none", stroke="#fffaf1", stroke_width=8, opacity=0.6,
        )
        for x in (278, 318, 358)
    )  # fmt: skip
    saucer = rect(206, 322, 226, 15, "#fffaf1", rx=8)
    peak = path("M318 226L352 282H284Z", "#c98b4e") + path(
        "M318 226L331 247L318 243L305 247Z", "#fff"
    )
    return (
        circle(520, 96, 46, "#ffe2b0") + hill + near + cup + handle + coffee + peak + saucer + steam
    )


def inkstone() -> str:
    """One stroke of the brush, and a seal."""
    strokes = []
    for number in range(26):
        radius = 104 + (number - 13) * 1.7 + 5 * spread("inkstone", number)
        begin = -0.6 + 0.25 * spread("begin", number)
        end = begin + 5.05 + 0.45 * spread("end", number)
        x, y = 306 + radius * math.cos(begin), 200 + radius * math.sin(begin)
        to_x, to_y = 306 + radius * math.cos(end), 200 + radius * math.sin(end)
        data = f"M{x:.1f} {y:.1f}A{radius:.1f} {radius * 0.97:.1f} 0 1 1 {to_x:.1f} {to_y:.1f}"
        strokes.append(
            path(data, "none", stroke="#16181d", stroke_width=3.2,
                 opacity=0.5 + 0.5 * spread("ink", number))
        )  # fmt: skip
    seal = rect(452, 286, 54, 54, "#b3261e", rx=7) + path(
        "M463 298H495M463 313H495M463 328H495M479 296V330", "none", stroke="#fdf6ea", stroke_width=4
    )
    nib = polygon("306,148 330,214 306,252 282,214", "#16181d") + line(
        306, 176, 306, 228, "#f6f0e4", 3
    )
    hole = circle(306, 208, 5, "#f6f0e4")
    return "".join(strokes) + nib + hole + seal


def origami() -> str:
    """A page that is folding itself into a crane."""
    page = polygon("118,88 270,88 306,124 306,330 118,330", "#ffffff") + polygon(
        "270,88 306,124 270,124", "#d7dbe8"
    )
    lines = "".join(
        rect(144, 152 + n * 24, 134 if n % 3 < 2 else 88, 8, "#c9cfe0", rx=4) for n in range(7)
    )
    crane = (
        polygon("300,262 404,214 372,302", "#e4573d")
        + polygon("404,214 372,302 452,270", "#c43f28")
        + polygon("404,214 476,92 452,270", "#f27a5e")
        + polygon("404,214 476,92 376,140", "#ffa489")
        + polygon("452,270 560,150 492,278", "#e4573d")
        + polygon("560,150 596,168 548,176", "#ffa489")
        + polygon("300,262 248,216 330,248", "#ffa489")
    )
    return page + lines + crane


def celadon() -> str:
    """A shield with the glaze's own crackle."""
    shield = "M320 58L446 100V208C446 280 392 326 320 352C248 326 194 280 194 208V100Z"
    cracks = []
    for number in range(34):
        x = 206 + 228 * spread("x", number)
        y = 92 + 228 * spread("y", number)
        turn = math.pi * 2 * spread("turn", number)
        reach = 22 + 40 * spread("reach", number)
        bend = turn + 0.7 - 1.4 * spread("bend", number)
        mid_x, mid_y = x + reach * math.cos(turn), y + reach * math.sin(turn)
        end_x, end_y = mid_x + reach * 0.8 * math.cos(bend), mid_y + reach * 0.8 * math.sin(bend)
        cracks.append(f"M{x:.0f} {y:.0f}L{mid_x:.0f} {mid_y:.0f}L{end_x:.0f} {end_y:.0f}")
    glaze = path("".join(cracks), "none", stroke="#2f6b5c", stroke_width=1.6, opacity=0.5)
    clip = f'<clipPath id="s"><path d="{shield}"/></clipPath>'
    check = path(
        "M262 206L304 250L384 158", "none", stroke="#ffffff", stroke_width=26, opacity=0.95
    )
    half = rect(320, 40, 140, 330, "#5fa18e", opacity=0.45)
    inner = f'<g clip-path="url(#s)">{half}{glaze}</g>'
    return (
        clip
        + path(shield, "#a9d6c5")
        + inner
        + path(shield, "none", stroke="#eaf6f0", stroke_width=7)
        + check
    )


def campus() -> str:
    """One key for a whole class: a cap, and seats in rows."""
    seats = "".join(
        circle(128 + column * 48, 268 + row * 40, 12, "#ffd45c" if (row + column) % 4 else "#fff")
        for row in range(3)
        for column in range(9)
    )
    cap = (
        polygon("320,60 500,128 320,196 140,128", "#fff6d8")
        + path("M226 164V206C226 236 414 236 414 206V164L320 200Z", "#ffe28f")
        + path("M320 128L468 140V206", "none", stroke="#ff7d54", stroke_width=6)
        + circle(468, 214, 11, "#ff7d54")
    )
    return seats + cap


def morning() -> str:
    """A book opens, and the sun comes up out of it."""
    rays = "".join(
        line(320 + 118 * math.cos(a), 258 + 118 * math.sin(a),
             320 + 172 * math.cos(a), 258 + 172 * math.sin(a), "#fff4d6", 9, opacity=0.9)
        for a in (math.pi + n * math.pi / 10 for n in range(1, 10))
    )  # fmt: skip
    sun = circle(320, 258, 94, "#fff0c2")
    left = path("M320 284C268 248 196 242 120 262V350C196 330 268 334 320 364Z", "#ffffff")
    right = path("M320 284C372 248 444 242 520 262V350C444 330 372 334 320 364Z", "#ffe9e0")
    rows = "".join(
        path(
            f"M{x} {282 + n * 20}C{x + 44} {272 + n * 20} {x + 90} {276 + n * 20} {x + 126} "
            f"{292 + n * 20}",
            "none", stroke="#f0a58c", stroke_width=4, opacity=0.55,
        )
        for n in range(3) for x in (150,)
    )  # fmt: skip
    return rays + sun + left + right + rows


def balance() -> str:
    """A household's balance sheet: what comes in, what goes out, and the line between."""
    grid = "".join(
        line(90, 90 + n * 44, 550, 90 + n * 44, "#e9dfb8", 1.4, opacity=0.28) for n in range(7)
    )
    bars = []
    for number in range(8):
        up = 46 + number * 13 + 26 * spread("up", number)
        down = 28 + 46 * spread("down", number)
        x = 116 + number * 54
        bars.append(rect(x, 232 - up, 28, up, "#f0cf6a", rx=5))
        bars.append(rect(x, 236, 28, down, "#7fbf9b", rx=5))
    trend = "M130 208" + "".join(
        f"L{130 + n * 54} {208 - n * 17 - 14 * spread('trend', n):.0f}" for n in range(1, 8)
    )
    return (
        grid
        + "".join(bars)
        + line(90, 234, 550, 234, "#fff7dc", 4)
        + path(trend, "none", stroke="#fff7dc", stroke_width=5)
    )


def shorthand() -> str:
    """Key caps, two of them pressed."""
    caps = []
    for row, count in enumerate((9, 9, 8)):
        for column in range(count):
            x, y = 66 + column * 58 + row * 22, 104 + row * 62
            is_down = (row, column) in {(1, 2), (1, 6)}
            face = "#ff8a65" if is_down else "#f2f5f9"
            caps.append(rect(x, y + 6, 50, 50, "#1b2735", rx=9, opacity=0.55))
            caps.append(rect(x, y + (5 if is_down else 0), 50, 50, face, rx=9))
            if not is_down:
                width = 12 + 14 * spread(f"cap{row}", column)
                caps.append(rect(x + 11, y + 14, width, 5, "#93a1b5", rx=2.5))
    bar = rect(196, 292, 262, 46, "#f2f5f9", rx=9)
    return rect(196, 298, 262, 46, "#1b2735", rx=9, opacity=0.55) + bar + "".join(caps)


_Draw = Callable[[], str]
COVERS: dict[str, tuple[str, str, _Draw]] = {
    # slug: the colours of the ground, from the upper left to the lower right, and what is drawn.
    "fogharbour": ("#12364a", "#4f8f96", scenes.fogharbour),
    "cog-and-rose": ("#2a1320", "#7a2f3f", scenes.cog_and_rose),
    "ten-thousand-li": ("#f6b05c", "#c2513a", scenes.ten_thousand_li),
    "night-train-7": ("#0c1230", "#3c2f6b", scenes.night_train),
    "pixel-hamlet": ("#8fd3ff", "#d9f2c4", scenes.pixel_hamlet),
    "bluebird-points": ("#2f8df0", "#0d4fb3", bluebird),
    "brook-music": ("#6a2bd9", "#e2529b", brook),
    "halfway-coffee": ("#f2c58a", "#b8743c", halfway),
    "inkstone-writer": ("#faf4e8", "#e6dcc6", inkstone),
    "origami-pdf": ("#3d4a7a", "#8592c4", origami),
    "celadon-shield": ("#174f47", "#3f8f7c", celadon),
    "inkstone-campus": ("#3a3fa8", "#6d73e0", campus),
    "morning-reader": ("#ff9d7a", "#ffcf9f", morning),
    "balance-sheet-for-one": ("#123d33", "#1f6450", balance),
    "shorthand-table": ("#33475f", "#5d7694", shorthand),
}


def draw(slug: str) -> str:
    """Draw the cover of one product as an SVG of 640 by 400."""
    begin, end, motif = COVERS[slug]
    defs = (
        f'<linearGradient id="g" x2="1" y2="1"><stop stop-color="{begin}"/>'
        f'<stop offset="1" stop-color="{end}"/></linearGradient>'
        '<radialGradient id="l" cx=".28" cy=".1" r=".9"><stop stop-color="#fff" '
        'stop-opacity=".28"/><stop offset="1" stop-color="#fff" stop-opacity="0"/></radialGradient>'
    )
    ground = rect(0, 0, WIDTH, HEIGHT, "url(#g)") + rect(0, 0, WIDTH, HEIGHT, "url(#l)")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}"><defs>{defs}</defs>{ground}{motif()}</svg>\n'
    )
