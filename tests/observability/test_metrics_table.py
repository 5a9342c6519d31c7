"""docs/observability.md has a row for every metric."""

import re
from pathlib import Path

from streamforge.observability import metrics

DOCUMENT = Path(__file__).parents[2] / "docs" / "observability.md"
ROW = re.compile(r"^\| `(streamforge_\w+)` \| (\w+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def test_the_table_has_every_metric_with_its_kind_labels_and_meaning() -> None:
    defined = {
        (
            each._name + ("_total" if each._type == "counter" else ""),
            each._type,
            ", ".join(each._labelnames) or "–",
            each._documentation,
        )
        for each in vars(metrics).values()
        if isinstance(each, metrics.Counter | metrics.Gauge | metrics.Histogram)
    }
    assert set(ROW.findall(DOCUMENT.read_text(encoding="utf-8"))) == defined
