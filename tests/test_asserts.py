"""Python may run without its asserts (-O): in what we ship, none of them keeps anybody out."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHIPPED = ("streamforge", "workflows", "activities", "migrations")


def asserts() -> Iterator[tuple[Path, ast.Assert]]:
    for folder in SHIPPED:
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield from ((path, node) for node in ast.walk(tree) if isinstance(node, ast.Assert))


def narrows_a_type(test: ast.expr) -> bool:
    match test:
        case ast.Compare(ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return True
        case ast.Call(func=ast.Name(id="isinstance")):
            return True
    return False


def test_an_assert_tells_the_type_checker_what_is_so_already_and_nothing_else() -> None:
    found = list(asserts())
    assert len(found) > 20, "the asserts were looked for in the wrong place"
    checks = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for path, node in found
        if not narrows_a_type(node.test)
    ]
    assert checks == [], "raise an error of streamforge/errors.py instead"
