"""How numbers are printed."""

import os
from collections.abc import Sequence
from statistics import median, quantiles


def number(what: str, value: float, unit: str = "", *, bar: float | None = None) -> None:
    _print(what, value, unit, _verdict("≤", bar, unit, value <= bar) if bar is not None else "")


def at_least(what: str, value: float, unit: str = "", *, bar: float) -> None:
    _print(what, value, unit, _verdict("≥", bar, unit, value >= bar))


def _verdict(sign: str, bar: float, unit: str, met: bool) -> str:
    return f"   bar {sign} {bar:g}{' ' + unit if unit else ''}: {'met' if met else 'MISSED'}"


def _print(what: str, value: float, unit: str, verdict: str) -> None:
    print(f"  {what:<60} {value:10.2f} {unit:<5}{verdict}", flush=True)


def spread(what: str, values: Sequence[float], unit: str = "s", *, bar: float | None = None) -> None:
    """Median and 95th percentile; the bar is for the median."""
    number(f"{what}, median of {len(values)}", median(values), unit, bar=bar)
    number(f"{what}, 95th percentile", quantiles(values, n=20, method="inclusive")[-1], unit)


def note(text: str) -> None:
    print(f"  {text}", flush=True)


def machine() -> None:
    """What else the machine is doing: a number measured on a busy one says so."""
    busy = " ".join(f"{load:.1f}" for load in os.getloadavg())
    note(f"{os.cpu_count()} cores, load average {busy}")
