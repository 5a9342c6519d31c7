"""What the type checker says of a piece of code that uses the package as its own code does."""

from pathlib import Path

from mypy import api as mypy

ROOT = Path(__file__).parents[2]


WRONG = "# wrong"


def assert_that_marked_lines_are_wrong(code: str, folder: Path) -> None:
    """Those that end in WRONG, and no others. With the cache of `make lint`, so that it takes a second and not a minute."""
    source = folder / "checked.py"
    source.write_text(code, encoding="utf-8")
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    told, problems, _ = mypy.run([*options, "--no-error-summary", str(source)])
    assert not problems
    complaints = {int(line.removeprefix(str(source)).split(":")[1]) for line in told.splitlines() if ": error:" in line}
    assert complaints == {number for number, line in enumerate(code.splitlines(), 1) if line.endswith(WRONG)}, told
