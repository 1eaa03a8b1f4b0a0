"""The demo's book: a small EPUB of our own words, made when the demo is seeded."""

import io
import zipfile
from html import escape

TITLE = "一个人的资产负债表"
FILE_NAME = "balance-sheet-for-one.epub"
_MADE = (2026, 11, 1, 0, 0, 0)  # The same bytes every time.

CHAPTERS = (
    (
        "钱在哪里",
        (
            "取一张纸，中间画一条竖线。左边写你有什么：现金、存款、别人欠你的。右边写这些东西从哪里来："
            "欠别人的，和真正属于你的。两边的合计永远相等，因为它们是同一笔钱的两个问题。"
        ),
    ),
    (
        "每一笔都有两头",
        (
            "买一杯咖啡，现金少了十八块，花费多了十八块。钱不会消失，只会换个地方。"
            "把两头都写下来，账就自己会检查自己：哪天不平，就是有一笔只写了一头。"
        ),
    ),
    (
        "花掉的和还没花的",
        (
            "年费是一次付的，却要用十二个月。付钱那天，它先是你的一件东西，然后每个月用掉十二分之一。"
            "分清付款和花费，你就不会在一月觉得自己很穷。"
        ),
    ),
    (
        "别人的钱",
        (
            "替朋友收着的钱，不是你的钱。给它单独一个格子，一分也不要混进来。"
            "所有出过事的账，都是从“先借用一下”开始的。"
        ),
    ),
    (
        "月底的十分钟",
        (
            "数一遍现金，看一眼余额，和纸上的数字对一对。对得上，合上本子；对不上，今天就找出来，"
            "因为明天你就忘了。"
        ),
    ),
)

_CONTAINER = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/>'
    "</rootfiles></container>"
)


def _page(title: str, body: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE html>'
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"'
        f' xml:lang="zh-Hans"><head><title>{escape(title)}</title></head>'
        f"<body>{body}</body></html>"
    )


def _package() -> str:
    names = [f"c{number}" for number in range(1, len(CHAPTERS) + 1)]
    items = "".join(
        f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"/>'
        for name in names
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><package xmlns="http://www.idpf.org/2007/opf"'
        ' version="3.0" unique-identifier="id"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f'<dc:identifier id="id">vendrail-demo-book</dc:identifier><dc:title>{TITLE}</dc:title>'
        "<dc:language>zh-Hans</dc:language><dc:creator>一页书局</dc:creator>"
        '<meta property="dcterms:modified">2026-11-01T00:00:00Z</meta></metadata><manifest>'
        '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
        f"{items}</manifest><spine>{spine}</spine></package>"
    )


def build() -> bytes:
    """Make the book."""
    links = "".join(
        f'<li><a href="c{number}.xhtml">{escape(title)}</a></li>'
        for number, (title, _) in enumerate(CHAPTERS, 1)
    )
    pages = {
        "mimetype": "application/epub+zip",  # First, and not compressed: the format asks for it.
        "META-INF/container.xml": _CONTAINER,
        "book.opf": _package(),
        "nav.xhtml": _page(TITLE, f'<nav epub:type="toc"><h1>{TITLE}</h1><ol>{links}</ol></nav>'),
    }
    for number, (title, text) in enumerate(CHAPTERS, 1):
        pages[f"c{number}.xhtml"] = _page(title, f"<h1>{escape(title)}</h1><p>{escape(text)}</p>")
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in pages.items():
            kind = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, _MADE), content, compress_type=kind)
    return made.getvalue()
