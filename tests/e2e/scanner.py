"""A phone's eye: reads the QR code that is really on the screen, pixel by pixel.

It reads one segment of bytes, which is what an address needs. The error correction words are not
used: a code on a screen is undamaged, or it is a bug.
"""

import base64

from playwright.async_api import Locator, Page
from segno import consts

LEVELS = [consts.ERROR_LEVEL_M, consts.ERROR_LEVEL_L, consts.ERROR_LEVEL_H, consts.ERROR_LEVEL_Q]
MASKS = [
    lambda row, column: (row + column) % 2,
    lambda row, column: row % 2,
    lambda row, column: column % 3,
    lambda row, column: (row + column) % 3,
    lambda row, column: (row // 2 + column // 3) % 2,
    lambda row, column: row * column % 2 + row * column % 3,
    lambda row, column: (row * column % 2 + row * column % 3) % 2,
    lambda row, column: ((row + column) % 2 + row * column % 3) % 2,
]

# The first dark run of the uppermost dark row is a finder's edge: seven modules long.
MODULES = """async (png) => {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.width, image.height];
  const pen = canvas.getContext('2d');
  pen.drawImage(image, 0, 0);
  const { data, width, height } = pen.getImageData(0, 0, image.width, image.height);
  const isDark = (x, y) => data[4 * (y * width + x)] < 128;
  const inner = 8 * window.devicePixelRatio;  // The frame around it is no part of the code.
  let [left, right, top, bottom] = [width, 0, height, 0];
  for (let y = inner; y < height - inner; y++)
    for (let x = inner; x < width - inner; x++)
      if (isDark(x, y)) {
        [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
      }
  const middle = Math.floor(top + (bottom - top) / 300);
  let run = 0;
  while (isDark(left + run, middle)) run += 1;
  const version = Math.round(((7 * (right - left)) / run - 17) / 4);
  const size = 17 + 4 * version;
  const place = (at, from, to) => Math.floor(from + ((at + 0.5) * (to - from)) / size);
  return [...Array(size).keys()].map((row) => [...Array(size).keys()].map(
    (column) => isDark(place(column, left, right), place(row, top, bottom))));
}"""


async def scan(code: Locator, lens: Page) -> str:
    """Read a code on a page; `lens` is another page, whose canvas looks at the picture."""
    picture = base64.b64encode(await code.screenshot(animations="disabled")).decode()
    return read_modules(await lens.evaluate(MODULES, picture))


def read_modules(modules: list[list[bool]]) -> str:
    """Read the text of a code, its modules given row by row."""
    size = len(modules)
    version = (size - 17) // 4
    level_and_mask = 0
    for column in (0, 1, 2, 3, 4):
        level_and_mask = level_and_mask * 2 + modules[8][column]
    level_and_mask ^= 0b10101
    infos = consts.ECC[version][LEVELS[level_and_mask >> 3]]
    lengths = [info.num_data for info in infos for _ in range(info.num_blocks)]
    is_kept = MASKS[level_and_mask & 7]
    bits = [
        modules[row][column] ^ (is_kept(row, column) == 0)
        for row, column in _way(size)
        if not _is_fixed(row, column, size, version)
    ]
    words = [_number(bits[at : at + 8]) for at in range(0, len(bits) - 7, 8)]
    data = _straighten(words, lengths)
    stream = [bool(word >> (7 - at) & 1) for word in data for at in range(8)]
    assert _number(stream[:4]) == 4, "The shop's codes are one byte segment."
    width = 8 if version < 10 else 16
    count = _number(stream[4 : 4 + width])
    start = 4 + width
    return bytes(
        _number(stream[start + 8 * at : start + 8 * at + 8]) for at in range(count)
    ).decode()


def _way(size: int):
    """Go as the words lie: in pairs of columns from the right, up and down in turn."""
    is_upward = True
    for right in [*range(size - 1, 6, -2), 5, 3, 1]:
        for row in range(size - 1, -1, -1) if is_upward else range(size):
            yield row, right
            yield row, right - 1
        is_upward = not is_upward


def _is_fixed(row: int, column: int, size: int, version: int) -> bool:
    """Whether a module belongs to a pattern rather than to the data."""
    if 6 in {row, column}:
        return True
    if (row < 9 and (column < 9 or column >= size - 8)) or (row >= size - 8 and column < 9):
        return True
    if version >= 7 and ((row < 6 and size - 11 <= column) or (column < 6 and size - 11 <= row)):
        return True
    centres = consts.ALIGNMENT_POS[version - 2] if version > 1 else ()
    corners = {(6, 6), (6, size - 7), (size - 7, 6)}
    return any(
        abs(row - y) <= 2 and abs(column - x) <= 2
        for y in centres
        for x in centres
        if (y, x) not in corners
    )


def _straighten(words: list[int], lengths: list[int]) -> list[int]:
    """Undo the weaving of the blocks."""
    blocks: list[list[int]] = [[] for _ in lengths]
    woven = iter(words)
    for at in range(max(lengths)):
        for block, length in zip(blocks, lengths, strict=True):
            if at < length:
                block.append(next(woven))
    return [word for block in blocks for word in block]


def _number(bits: list[bool]) -> int:
    return int("".join("1" if bit else "0" for bit in bits), 2)
