"""What a soak calls flat: noise and a sawtooth are, a leak is not, and neither is the warm-up counted."""

import random
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from bench.flatness import Growth, Sample, growths
from bench.soak_plot import drawn

MIB = 2**20
HOURS = 2
Shape = Callable[[float], float]


def samples(memory: Shape, descriptors: Shape = lambda hours: 40, part: str = "worker") -> list[Sample]:
    """One every ten seconds."""
    return [
        Sample(seconds, part, round(memory(seconds / 3600)), round(descriptors(seconds / 3600)), 12, 30 * MIB)
        for seconds in range(0, HOURS * 3600, 10)
    ]


def growth(of: str, found: list[Sample]) -> Growth:
    return next(each for each in growths(found) if each.measure == of)


def noisy(hours: float) -> float:
    return 200 * MIB + random.Random(hours).uniform(-20, 20) * MIB


def sawtooth(hours: float) -> float:
    return 200 * MIB + hours * 3600 % 300 / 300 * 50 * MIB


def warming_up(hours: float) -> float:
    return min(200, 100 + hours * 200) * MIB


def leaking(hours: float) -> float:
    return 200 * MIB + hours * 12 * MIB


@pytest.mark.parametrize("shape", [noisy, sawtooth, warming_up])
def test_memory_that_comes_and_goes_is_flat(shape: Shape) -> None:
    assert growth("memory_bytes", samples(shape)).is_flat


def test_a_leak_of_twelve_mebibytes_an_hour_is_not() -> None:
    found = growth("memory_bytes", samples(leaking))
    assert not found.is_flat
    assert found.rise == pytest.approx(16 * MIB, rel=0.01), "of the last two thirds of two hours"


def test_nor_are_descriptors_that_grow() -> None:
    assert not growth("descriptors", samples(noisy, lambda hours: 40 + hours * 8)).is_flat


def test_the_file_of_temporal_may_grow_for_a_day() -> None:
    grown = [
        Sample(seconds, "Temporal", 100 * MIB, 40, 12, (30 + seconds // 60) * MIB) for seconds in range(0, 7200, 10)
    ]
    found = growth("disk_bytes", grown)
    assert found.is_flat
    assert "grows with jobs" in str(found)


def test_the_plot_has_a_panel_for_each_measure_and_a_line_for_each_part() -> None:
    both = samples(noisy) + samples(leaking, part="<API>")
    plot = ET.fromstring(drawn(both))
    lines = plot.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 4 * 2
    assert all(len(line.get("points", "").split()) == HOURS * 360 for line in lines)
    assert "<API>" in {text.text for text in plot.findall("{http://www.w3.org/2000/svg}text")}
