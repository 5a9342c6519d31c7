"""A page of metrics, as Prometheus reads it."""

from collections.abc import Iterator

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


class Page:
    def __init__(self, text: str) -> None:
        self.families: list[Metric] = list(text_string_to_metric_families(text))

    def value(self, name: str, **labels: str) -> float:
        """The sum of all series that have these labels; 0 where there is none."""
        return sum(value for series, value in self._series(name) if labels.items() <= series.items())

    def has(self, name: str, **labels: str) -> bool:
        return any(labels.items() <= series.items() for series, _ in self._series(name))

    @property
    def label_values(self) -> set[str]:
        return {value for family in self.families for sample in family.samples for value in sample.labels.values()}

    def series_of(self, prefix: str) -> dict[str, int]:
        """How many series each metric has."""
        return {f.name: len(f.samples) for f in self.families if f.name.startswith(prefix)}

    def _series(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        for family in self.families:
            for sample in family.samples:
                if sample.name == name:
                    yield sample.labels, sample.value


async def scraped(http: httpx.AsyncClient, url: str = "/metrics") -> Page:
    response = await http.get(url)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain")
    return Page(response.text)
