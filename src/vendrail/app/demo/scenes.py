"""The scenes on the covers of the demo's games."""

import itertools
import math

from vendrail.app.demo.shapes import circle, group, path, polygon, rect, spread


def fogharbour() -> str:
    """A lighthouse, a ship, and fog in layers."""
    moon = circle(498, 92, 52, "#fdf3d3", opacity=0.16) + circle(498, 92, 36, "#fdf3d3")
    beam = polygon("166,112 640,34 640,168", "#fff1b8", opacity=0.28)
    tower = (
        polygon("146,128 186,128 200,318 132,318", "#f5efe4")
        + polygon("143,168 189,168 192,204 140,204", "#c8493b")
        + polygon("137,244 195,244 198,280 134,280", "#c8493b")
        + rect(148, 98, 36, 30, "#ffe27a")
        + polygon("140,98 192,98 166,70", "#22313a")
    )
    rock = path("M60 330C90 296 130 306 166 300C212 296 236 318 270 332Z", "#16303c")
    ship = path("M408 268H500L482 296H424Z", "#0e2733") + path(
        "M452 190V262M452 196C484 208 490 236 488 258H456ZM446 206C424 220 418 242 418 258H446Z",
        "#f5efe4", stroke="#0e2733", stroke_width=3,
    )  # fmt: skip
    fog = "".join(
        path(
            f"M0 {296 + n * 30}C{120 + n * 26} {270 + n * 32} {236 - n * 18} {322 + n * 26} 350 "
            f"{298 + n * 30}S{540 + n * 14} {276 + n * 34} 640 {300 + n * 26}V400H0Z",
            "#dcebea", opacity=0.22 + n * 0.13,
        )
        for n in range(4)
    )  # fmt: skip
    return moon + beam + rock + tower + ship + fog


def _gear(x: float, y: float, radius: float, teeth: int, fill: str) -> str:
    points = []
    for number in range(teeth * 4):
        turn = (number + 0.5) * math.tau / (teeth * 4)
        reach = radius * (1.16 if number % 4 in (0, 1) else 1)
        points.append(f"{x + reach * math.cos(turn):.1f},{y + reach * math.sin(turn):.1f}")
    return polygon(" ".join(points), fill)


def cog_and_rose() -> str:
    """A rose that opens inside a wheel."""
    wheels = (
        _gear(520, 84, 74, 14, "#a8703a")
        + circle(520, 84, 46, "#4c1f2d")
        + _gear(114, 322, 92, 16, "#8d5a31")
        + circle(114, 322, 58, "#4c1f2d")
        + _gear(320, 200, 140, 24, "#d29a52")
        + circle(320, 200, 116, "#32141f")
    )
    petals = []
    for ring, (radius, count, tone) in enumerate(
        ((78, 7, "#8f1d35"), (58, 6, "#b3263f"), (39, 5, "#d43b52"), (21, 4, "#ef6a78"))
    ):
        for number in range(count):
            turn = 360 / count * number + ring * 26
            petal = path("M0 0C-40 -14 -34 -60 0 -62C34 -60 40 -14 0 0Z", tone, opacity=0.95)
            petals.append(
                group(petal, f"translate(320 200) rotate({turn:.0f}) scale({radius / 52:.2f})")
            )
    return wheels + "".join(petals) + circle(320, 200, 12, "#ffd7c9")


def ten_thousand_li() -> str:
    """Mountains behind mountains, and a road of tea and horses."""
    parts = [circle(450, 128, 62, "#fff0cf")]
    for layer, tone in enumerate(("#e08a55", "#b85a45", "#7f3b3f", "#4a2433")):
        base = 176 + layer * 50
        points = ["0,400"]
        for number in range(13):
            lift = (96 - layer * 12) * spread(f"li{layer}", number) * (1 if number % 2 else 0.35)
            points.append(f"{number * 54 - 4:.0f},{base - lift:.0f}")
        parts.append(polygon(" ".join([*points, "640,400"]), tone))
    road = path(
        "M58 400C150 372 330 384 352 356C372 330 206 338 214 314C222 292 360 306 372 286"
        "C380 272 326 268 330 256",
        "none", stroke="#f6d9a5", stroke_width=9,
    )  # fmt: skip
    horses = "".join(
        group(
            path("M0 0C6 -8 20 -9 28 -5L36 -15L44 -11L39 -1L33 3V17H28V6H12V17H7V5Z", "#24121b")
            + rect(9, -14, 15, 9, "#c9763f", rx=2),
            f"translate({x} {y}) scale({scale})",
        )
        for x, y, scale in ((244, 360, 1.0), (178, 368, 1.08), (104, 374, 1.16), (318, 346, 0.84))
    )
    return "".join(parts) + road + horses


def night_train() -> str:
    """The last train over the viaduct, every window lit."""
    stars = "".join(
        circle(640 * spread("sx", n), 190 * spread("sy", n), 0.8 + 1.6 * spread("sr", n), "#fff",
               opacity=0.4 + 0.6 * spread("so", n))
        for n in range(70)
    )  # fmt: skip
    moon = circle(118, 92, 34, "#f3e9c6") + circle(130, 84, 30, "#1b1f47")
    arches = "".join(
        path(f"M{x} 400V328A38 38 0 0 1 {x + 76} 328V400Z", "#151838") for x in range(24, 640, 104)
    )
    bridge = rect(0, 276, 640, 124, "#2a2350") + arches + rect(0, 270, 640, 10, "#433878")
    cars = []
    for number, x in enumerate((-40, 150, 340)):
        cars.append(rect(x, 206, 182, 58, "#c7423d", rx=9))
        cars.append(rect(x, 240, 182, 9, "#f3dfb4"))
        for window in range(6):
            tone = "#ffe9a3" if spread(f"lit{number}", window) > 0.16 else "#7d2d33"
            cars.append(rect(x + 14 + window * 27, 216, 19, 18, tone, rx=3))
        cars.extend(circle(x + at, 266, 8, "#12142e") for at in (30, 56, 126, 152))
    head = path("M530 206H566C606 206 622 236 622 264H530Z", "#c7423d") + path(
        "M566 214H578C592 216 600 226 604 236H566Z", "#ffe9a3"
    )
    glow = polygon("616,246 640,232 640,280 616,260", "#fff1b8", opacity=0.7)
    return stars + moon + bridge + "".join(cars) + head + glow + circle(552, 266, 8, "#12142e")


_HAMLET = (
    "................................",
    "..........................yy....",
    "....ww...................yyyy...",
    "..wwwwww.................yyyy...",
    "..........................yy....",
    "...............ww...............",
    ".............wwwwww.............",
    "................................",
    ".....................t..........",
    "......rrrr..........ttt....bb...",
    ".....rrrrrr..ooo....ttt...bbbb..",
    "....rrrrrrrrooooo..ttttt.bbbbbb.",
    "....cccccccooooooo..ttt.bbbbbbbb",
    "....ccdcvccoccccco.ttttt.cccccc.",
    "....ccdcvcc.cvcdc....k...cvcdcc.",
    "....ccdcccc.cccdc....k...cccdcc.",
    "gggggggggggggggggggggggggggggggg",
    "gGgggsssggggGggsssggggggssggGggg",
    "ggggssssssgggsssssssgggsssssgggg",
    "gGggggsssssssssgggssssssssggggGg",
)
_TONES = {
    "w": "#ffffff", "y": "#ffdf6b", "r": "#c8503f", "o": "#e08b3e", "b": "#4d6fb8", "c": "#f3e4c6",
    "d": "#6f4a32", "v": "#8fd0e8", "t": "#3f8f52", "k": "#6f4a32", "g": "#7cc267", "G": "#5da552",
    "s": "#ead7a4",
}  # fmt: skip


def pixel_hamlet() -> str:
    """A village in squares of twenty; equal neighbours in one stroke, so that no seam shows."""
    drawn = []
    for y, row in enumerate(_HAMLET):
        x = 0
        for letter, run in itertools.groupby(row):
            width = len(list(run))
            if letter != ".":
                drawn.append(rect(x * 20, y * 20, width * 20, 20.4, _TONES[letter]))
            x += width
    return "".join(drawn)
