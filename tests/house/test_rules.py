"""The house rules that no linter knows."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINES_OF_FILE_MAX = 450  # About 400: what outgrows that usually holds two nouns.
LINES_OF_FUNCTION_MAX = 80  # About 70: one screen.

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(folder: str) -> list[Path]:
    """Every Python file under a folder of the project."""
    return sorted((ROOT / folder).rglob("*.py"))


def functions(path: Path) -> Iterator[Function]:
    """Every function of a file, methods too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, Function):
            yield node


def place(path: Path, node: Function) -> str:
    """Where it is, as an editor opens it."""
    return f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def test_every_test_states_its_claim() -> None:
    """Every test has a one-sentence docstring that states its claim."""
    silent = [
        place(path, node)
        for path in sources("tests")
        for node in functions(path)
        if node.name.startswith("test_") and not (ast.get_docstring(node) or "").strip()
    ]

    assert [] == silent


def test_files_hold_one_noun() -> None:
    """No file of the product is much longer than 400 lines."""
    lines = {str(p.relative_to(ROOT)): p.read_text("utf-8").count("\n") for p in sources("src")}

    assert {} == {name: count for name, count in lines.items() if count > LINES_OF_FILE_MAX}


def test_functions_fit_on_a_screen() -> None:
    """No function of the product is much longer than 70 lines."""
    long = [
        place(path, node)
        for path in sources("src")
        for node in functions(path)
        if (node.end_lineno or 0) - node.lineno >= LINES_OF_FUNCTION_MAX
    ]

    assert [] == long


def test_our_own_code_is_never_mocked() -> None:
    """No test replaces a piece of our own code: real services over a real database."""
    pattern = re.compile(r"unittest\.mock|MagicMock|\.setattr\(|mocker\.patch")
    found = [
        str(path.relative_to(ROOT))
        for path in sources("tests")
        if path != Path(__file__) and pattern.search(path.read_text("utf-8"))
    ]

    assert [] == found


def test_every_pin_is_exact_and_names_no_address() -> None:
    """Versions are pinned exactly, and neither lock file knows a registry: any mirror works."""
    pins = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    lock = (ROOT / "package-lock.json").read_text()

    assert [] == [pin for pin in pins if not re.fullmatch(r"[a-z0-9.-]+==[0-9a-z.]+", pin)]
    assert sorted(pins) == pins
    assert "://" not in lock


def test_what_is_made_is_not_kept_in_git() -> None:
    """Nothing that a build or a run makes is in git."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-ci", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )

    assert "" == listed.stdout
