"""X16: nothing that a merchant writes can run, load or disguise itself on a page."""

import pytest

from vendrail.catalog.markup import to_html


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt&colon;alert(1))",
        "[a](java\nscript:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[a](vbscript:x)",
        "![a](data:image/svg+xml;base64,PHN2Zz4=)",
        "![a](https://elsewhere.example/track.png)",
        "![a](//elsewhere.example/track.png)",
        "![a](/media/../secrets/x.png)",
        "<style>body{display:none}</style>",
        '<p style="position:fixed" onclick="x()">a</p>',
        "<iframe src=https://elsewhere.example></iframe>",
        "<svg/onload=alert(1)>",
        "<a href=javascript:alert(1)>a</a>",
        "<javascript:alert(1)>",
        "<form action=https://elsewhere.example><input></form>",
        '[a](https://x.example "\\" onmouseover=\\"alert(1)")',
        "<object data=x></object><embed src=x><base href=//elsewhere.example>",
        "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    ],
)
def test_x16_markdown_cannot_attack(attack):
    """Scripts, handlers, styles, foreign frames and pictures do not come through."""
    html = to_html(f"before {attack} after")

    outside_text = html.replace("&lt;", "").replace("&gt;", "")
    for tag in ("<script", "<style", "<iframe", "<svg", "<object", "<embed", "<base", "<form"):
        assert tag not in outside_text.lower()
    for part in ("src=", 'href="java', 'href="data', 'href="vb', ' style="', "<input", "<math"):
        assert part not in html.lower().split("&lt;")[0]
    assert "elsewhere.example/track" not in html
    assert 'onmouseover="' not in html


def test_markdown_is_rendered():
    """What merchants need comes through: headings, lists, tables, links, their own pictures."""
    html = to_html(
        "# Title\n\n1. **bold** ~~old~~\n2. `code`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "[site](https://example.com) ![shot](/media/game/shot.png)"
    )

    for part in (
        "<h1>Title</h1>",
        "<strong>bold</strong>",
        "<s>old</s>",
        "<code>code</code>",
        "<td>1</td>",
        '<a href="https://example.com" rel="nofollow noopener noreferrer ugc">site</a>',
        '<img src="/media/game/shot.png" alt="shot">',
    ):
        assert part in html
