"""The named queries of queries.sql."""

import re
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def parse(text: str) -> dict[str, str]:
    """`-- name: xyz` begins a query that ends at the next one. A name used twice is a defect."""
    _, *pieces = _NAME.split(text)
    named = list(zip(pieces[::2], (sql.strip() for sql in pieces[1::2]), strict=True))
    if len(dict(named)) != len(named):
        raise ValueError("queries.sql uses a name twice")
    return dict(named)


QUERIES = parse(resources.files("streamforge.db").joinpath("queries.sql").read_text(encoding="utf-8"))
