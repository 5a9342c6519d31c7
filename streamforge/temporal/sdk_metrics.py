"""What the Temporal SDK measures of itself (polls, slots, caches, latencies), on the same page as our own metrics."""

import time
from collections.abc import Iterator, Mapping
from functools import cache
from threading import Lock, Thread
from typing import Any, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from temporalio.runtime import (
    BUFFERED_METRIC_KIND_COUNTER,
    BUFFERED_METRIC_KIND_HISTOGRAM,
    BufferedMetric,
    MetricBuffer,
    MetricBufferDurationFormat,
    Runtime,
    TelemetryConfig,
)

from streamforge.observability.metrics import REGISTRY

BUFFER_SIZE = 100_000
"""Updates between two looks. Full, the SDK throws them away; a busy worker makes some thousand a minute."""
DRAIN_EVERY_SECONDS = 5.0
BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 600, float("inf"))
"""Seconds."""

_Labels: TypeAlias = tuple[tuple[str, str], ...]


@cache
def measured_runtime() -> Runtime:
    """One for all clients and workers of this process whose metrics somebody may ask for."""
    buffer = MetricBuffer(BUFFER_SIZE, MetricBufferDurationFormat.SECONDS)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=buffer))
    measured = SdkMetrics(buffer)
    REGISTRY.register(measured)
    Thread(target=measured.keep_draining, name="metrics of the SDK", daemon=True).start()
    return runtime


class SdkMetrics(Collector):
    """Adds up what the SDK has put into its buffer since the last look; the buffer has an end, whether anybody looks or not."""

    def __init__(self, buffer: MetricBuffer) -> None:
        self._buffer = buffer
        self._lock = Lock()
        self._metrics: dict[str, BufferedMetric] = {}
        self._values: dict[str, dict[_Labels, float]] = {}
        self._histograms: dict[str, dict[_Labels, _Histogram]] = {}

    def drain(self) -> None:
        with self._lock:
            for update in self._buffer.retrieve_updates():
                self._add(update.metric, _labels(update.attributes), update.value)

    def keep_draining(self) -> None:
        while True:
            time.sleep(DRAIN_EVERY_SECONDS)
            self.drain()

    def describe(self) -> Iterator[Metric]:
        """Nothing that could be told before it is there."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        self.drain()
        with self._lock:
            for name, metric in self._metrics.items():
                yield self._family(name, metric)

    def _add(self, metric: BufferedMetric, labels: _Labels, value: float) -> None:
        self._metrics[metric.name] = metric
        if metric.kind == BUFFERED_METRIC_KIND_HISTOGRAM:
            self._histograms.setdefault(metric.name, {}).setdefault(labels, _Histogram()).add(value)
        else:
            values = self._values.setdefault(metric.name, {})
            before = values.get(labels, 0.0) if metric.kind == BUFFERED_METRIC_KIND_COUNTER else 0.0
            values[labels] = before + value

    def _family(self, name: str, metric: BufferedMetric) -> Metric:
        what = metric.description or name
        if metric.kind == BUFFERED_METRIC_KIND_HISTOGRAM:
            return _histograms(name, what, self._histograms[name])
        kind = CounterMetricFamily if metric.kind == BUFFERED_METRIC_KIND_COUNTER else GaugeMetricFamily
        family = kind(name, what)
        sample = f"{family.name}_total" if kind is CounterMetricFamily else family.name
        for labels, value in self._values[name].items():
            family.add_sample(sample, dict(labels), value)
        return family


class _Histogram:
    def __init__(self) -> None:
        self.counts = [0] * len(BUCKETS)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.sum += value
        for number, bound in enumerate(BUCKETS):
            self.counts[number] += value <= bound


def _histograms(name: str, what: str, by_labels: Mapping[_Labels, _Histogram]) -> Metric:
    family = HistogramMetricFamily(name, what)
    for labels, histogram in by_labels.items():
        for bound, count in zip(BUCKETS, histogram.counts, strict=True):
            bound_text = "+Inf" if bound == float("inf") else str(bound)
            family.add_sample(f"{name}_bucket", {**dict(labels), "le": bound_text}, count)
        family.add_sample(f"{name}_count", dict(labels), histogram.counts[-1])
        family.add_sample(f"{name}_sum", dict(labels), histogram.sum)
    return family


def _labels(attributes: Mapping[str, Any]) -> _Labels:
    return tuple(sorted((name, str(value)) for name, value in attributes.items()))
