"""Sets one paper and writes it out: run as a process of its own, which gives its memory back.

Typst keeps what it has laid out, for papers that change a little; ours come once.
"""

import json
import sys
from pathlib import Path

import typst

_HERE = Path(__file__).parent
_FONTS = _HERE / "dist"


def main() -> None:
    """Read what is told as JSON, and give the PDF."""
    told = json.load(sys.stdin.buffer)
    # What is told goes in as data, never as source: no text of anybody's can be markup.
    paper = typst.compile(
        _HERE / f"{told['paper']}.typ",
        root=_HERE,
        font_paths=[_FONTS] if _FONTS.is_dir() else [],
        ignore_system_fonts=_FONTS.is_dir(),
        sys_inputs={"told": json.dumps(told)},
        timestamp=int(told["made_at_s"]),
        format="pdf",
    )
    sys.stdout.buffer.write(paper)


if __name__ == "__main__":
    main()
