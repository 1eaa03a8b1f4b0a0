"""X20: no floating-point number comes near money, in Python, in SQL or on the wire."""

import ast
import re
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src" / "vendrail"
FLOATING = re.compile(r"\b(real|double\s+precision|float[48]?|money)\b", re.IGNORECASE)


def test_x20_no_table_has_a_floating_column():
    """No migration declares a floating-point or locale-bound money column."""
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted(SOURCES.glob("**/schema/*.sql"))
        for line in path.read_text("utf-8").splitlines()
        if FLOATING.search(line.partition("--")[0])
    ]

    assert [] == found


def test_x20_every_amount_is_declared_a_whole_number():
    """Whatever is named in minor units is an int, wherever it is declared with a type."""
    wrong = []
    for path in sorted(SOURCES.glob("**/*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            named, kind = None, None
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                named, kind = node.target.id, node.annotation
            elif isinstance(node, ast.arg) and node.annotation is not None:
                named, kind = node.arg, node.annotation
            if named and named.endswith("_minor") and "float" in ast.unparse(kind):
                wrong.append(f"{path.name}:{node.lineno} {named}")

    assert [] == wrong


def test_x20_no_amount_is_divided_by_a_true_division():
    """Nothing that holds what is named in minor units is divided with `/`, which gives a float."""
    wrong = []
    for path in sorted(SOURCES.glob("**/*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                named = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
                named |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
                is_exact = "Decimal" in named
                if not is_exact and any(name.endswith("_minor") for name in named):
                    wrong.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")

    assert [] == wrong
