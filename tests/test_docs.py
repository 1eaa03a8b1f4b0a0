"""The docs are part of the program: what is in one is in the other, and links have ends."""

import pkgutil
import re
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

import pytest

import vendrail
from vendrail.app.demo.market import read_market
from vendrail.app.reference import PAGES, apis, commands, nouns
from vendrail.app.rooms import rooms
from vendrail.kernel import config
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.machine import Machine
from vendrail.kernel.telemetry.metrics import METRICS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PICTURE_BYTES_MAX = 250_000
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Give every page of the project."""
    told = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in told.stdout.split() if (path := ROOT / name).is_file()]


def read(name: str) -> str:
    """Read one page."""
    return (DOCS / name).read_text("utf-8")


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    kept = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in kept}


def broken_links(page: Path) -> Iterator[str]:
    """Give the links of a page that lead nowhere in this project."""
    for link in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield f"{page.relative_to(ROOT)}: {link}"


def machines() -> dict[str, Machine]:
    """Give every state table of the product, by its name."""
    found = {}
    for module in pkgutil.walk_packages(vendrail.__path__, "vendrail."):
        if "Machine(" not in Path(module.module_finder.path).joinpath(
            module.name.rpartition(".")[2] + ("/__init__.py" if module.ispkg else ".py")
        ).read_text("utf-8"):
            continue
        values = vars(import_module(module.name)).values()
        found |= {each.name: each for each in values if isinstance(each, Machine)}
    return found


def test_links_lead_somewhere() -> None:
    """Every link from page to page, picture or heading within the project has its end."""
    assert [] == [link for page in pages() for link in broken_links(page)]


def test_every_noun_of_the_apis_is_in_the_glossary() -> None:
    """The glossary has one sentence for each record, status and interface, and for nothing gone."""
    known = {name for _, module in apis() for name, _ in nouns(module)}
    told = re.findall(r"^- `(\w+)` — .+\.$", read("glossary.md"), re.MULTILINE)

    assert (known - set(told), set(told) - known) == (set(), set())
    assert len(told) == len(set(told))


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_is_current(name: str) -> None:
    """A generated page says what the program is now; `make docs` writes it anew."""
    assert PAGES[name]() == read(f"reference/{name}")


def test_every_setting_is_documented() -> None:
    """Each setting of each room is in the table, and explains itself."""
    page = read("reference/settings.md")
    kinds = {"": PlatformSettings, **rooms()}
    fields = [field for name, kind in kinds.items() for field in config.fields(kind, name)]

    assert [] == [field.variable for field in fields if f"`{field.variable}`" not in page]
    assert [] == [field.variable for field in fields if not field.help]


def test_every_metric_is_documented() -> None:
    """Each metric is in the table, with its labels."""
    page = read("reference/metrics.md")

    assert [] == [metric.name for metric in METRICS if f"| `{metric.name}` |" not in page]


def test_every_command_is_documented() -> None:
    """Each command, and each below it, has its heading and an example."""
    page = read("reference/cli.md")
    names = [name for name, _ in commands()]

    assert [] == [name for name in names if not re.search(rf"^##+ {name}$", page, re.MULTILINE)]


def test_state_diagrams_are_current() -> None:
    """Each state table of the product is drawn in the docs as it is in the code."""
    texts = [page.read_text("utf-8") for page in pages()]
    found = machines()

    assert found
    assert [] == [
        name for name, each in found.items() if not any(each.draw() in text for text in texts)
    ]


def test_examples_name_what_the_demo_sells() -> None:
    """The first ten minutes buy something that is there."""
    skus = {each.sku for goods in read_market().goods for each in goods.product.variants}
    named = re.findall(r'"sku": "([^"]+)"|keys import (\S+)', read("start.md"))

    assert named
    assert {first or second for first, second in named} <= skus


def test_pictures_are_light() -> None:
    """No picture of the docs weighs more than a quarter of a megabyte."""
    heavy = [
        path.name
        for path in (DOCS / "pictures").iterdir()
        if path.stat().st_size > PICTURE_BYTES_MAX
    ]

    assert [] == heavy


def test_readme_fits_on_one_page() -> None:
    """The README says what it is, and how to try and test it, on one page."""
    text = (ROOT / "README.md").read_text("utf-8")

    assert 80 > text.count("\n")
    assert all(command in text for command in ("make demo", "make test", "VENDRAIL_DATABASE_URL"))
