"""From HDR, or from a wide gamut, to what an SDR screen shows: BT.709, 8 bits. And for films that are HDR with something
else in between, from that to HDR.

All of it is one function from colour to colour, computed once as a table with three axes (a 3D LUT) that FFmpeg's `lut3d`
applies. FFmpeg 8 can map colours itself in `scale`, but takes 4 s of CPU for each graph and leaves white at a third of
its light.

Signal → light in cd/m² (BT.2100 for PQ and HLG, BT.1886 for SDR) → less light in the highlights (the curve of BT.2390
§5.4.1, on the largest of R, G and B, so that their ratio and with it the hue stay) → BT.709's primaries, with what lies
outside of them drawn towards grey of the same luminance → signal by BT.1886. To HDR light stays as it is.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamforge.contracts.media.source import DynamicRange, VideoSource

Rgb: TypeAlias = NDArray[np.float64]
"""Shape (…, 3)."""

LEVELS = 49
"""Along each axis. Between them `lut3d` interpolates; more do not bring the worst colour any nearer."""

HDR_WHITE = 203.0
"""cd/m² of a white page in HDR (BT.2408 §2.2); becomes about nine tenths of SDR's signal, and highlights get the rest."""

USUAL_PEAK = 1000.0
LEAST_PEAK, MOST_PEAK = 400.0, 10_000.0
"""cd/m² that HDR is graded for where it does not say so, and where what it says is absurd."""

SDR_GAMMA = 2.4

PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
"""Chromaticities of red, green and blue by their code in H.273; all with the white of D65."""

BT709 = 1
CINEMA = 11
"""P3 with the white of a cinema: treated like that with D65, as players do."""

D65 = (0.3127, 0.3290)


def write_cube(video: VideoSource, path: Path, wanted: DynamicRange = "sdr", primaries: int = 1) -> None:
    """The table for `lut3d`, red running fastest (Cube LUT Specification 1.0). `primaries` are those that are wanted; SDR is
    always BT.709's."""
    path.write_text(_cube(video.dynamic_range, video.color.primaries, peak(video), wanted, primaries), encoding="utf-8")


@cache
def _cube(
    dynamic_range: DynamicRange, primaries: int, source_peak: float, wanted: DynamicRange, wanted_primaries: int
) -> str:
    axis = np.linspace(0, 1, LEVELS)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    signal = np.stack([red, green, blue], axis=-1)
    if wanted == "sdr":
        mapped = _to_sdr(signal, dynamic_range, primaries, source_peak)
    else:
        light = np.maximum(_LIGHT[dynamic_range](signal) @ _matrix(primaries, wanted_primaries).T, 0)
        mapped = _pq_signal(light) if wanted == "hdr10" else _hlg_signal(light)
    return f"LUT_3D_SIZE {LEVELS}\n" + "%.5f %.5f %.5f\n" * LEVELS**3 % tuple(mapped.ravel())


def _to_sdr(signal: Rgb, dynamic_range: DynamicRange, primaries: int, source_peak: float) -> Rgb:
    """BT.709 signal, 0–1, for a signal in the source's own transfer and primaries."""
    light = _LIGHT[dynamic_range](signal)
    if dynamic_range != "sdr":
        light = _rolled_off(light, source_peak)
    matrix = _matrix(primaries, BT709)
    return np.asarray(_within_gamut(light / HDR_WHITE @ matrix.T) ** (1 / SDR_GAMMA))


def peak(video: VideoSource) -> float:
    """cd/m² of the brightest thing in the film, as far as it is known."""
    if video.dynamic_range == "hlg":
        return USUAL_PEAK  # Of the screen that its light is computed for, below.
    told: float = video.content_light.max_content if video.content_light else 0
    if told <= 0:
        told = video.mastering_display.max_luminance if video.mastering_display else 0
    return min(max(told, LEAST_PEAK), MOST_PEAK) if told > 0 else USUAL_PEAK


# ── signal and light ────────────────────────────────────────────────────────────────────────────────────────────────
PQ_M1, PQ_M2 = 2610 / 16384, 2523 / 4096 * 128
PQ_C1, PQ_C2, PQ_C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
"""SMPTE ST 2084, BT.2100 table 4."""

HLG_A, HLG_B, HLG_C = 0.17883277, 0.28466892, 0.55991073
HLG_GAMMA = 1.2
BT2020_LUMINANCE = np.array([0.2627, 0.6780, 0.0593])
"""BT.2100 table 5."""


def _pq_light(signal: NDArray[Any]) -> Rgb:
    """cd/m² on screen."""
    power = np.clip(signal, 0, 1) ** (1 / PQ_M2)
    return np.asarray(10_000 * (np.maximum(power - PQ_C1, 0) / (PQ_C2 - PQ_C3 * power)) ** (1 / PQ_M1))


def _pq_signal(light: NDArray[Any]) -> Rgb:
    power = (np.clip(light, 0, 10_000) / 10_000) ** PQ_M1
    return np.asarray(((PQ_C1 + PQ_C2 * power) / (1 + PQ_C3 * power)) ** PQ_M2)


def _hlg_light(signal: Rgb) -> Rgb:
    """cd/m² on a screen of 1,000: light of the scene, and the system gamma on its luminance."""
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - HLG_C) / HLG_A) + HLG_B) / 12)
    luminance = np.maximum(scene @ BT2020_LUMINANCE, 1e-12)[..., None]
    return np.asarray(USUAL_PEAK * luminance ** (HLG_GAMMA - 1) * scene)


def _hlg_signal(light: Rgb) -> Rgb:
    """The other way round, for a screen of 1,000 cd/m²."""
    luminance = np.maximum(light @ BT2020_LUMINANCE / USUAL_PEAK, 1e-12)[..., None]
    scene = np.clip(light / USUAL_PEAK * luminance ** (1 / HLG_GAMMA - 1), 0, 1)
    bright = HLG_A * np.log(np.maximum(12 * scene - HLG_B, 1e-6)) + HLG_C
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright))


def _sdr_light(signal: Rgb) -> Rgb:
    return np.asarray(HDR_WHITE * np.clip(signal, 0, 1) ** SDR_GAMMA)


_LIGHT: dict[DynamicRange, Callable[[Rgb], Rgb]] = {"hdr10": _pq_light, "hlg": _hlg_light, "sdr": _sdr_light}


# ── from much light to less, from many colours to fewer ─────────────────────────────────────────────────────────────
def _rolled_off(light: Rgb, source_peak: float) -> Rgb:
    largest = light.max(axis=-1, keepdims=True)
    return np.asarray(light * (_less_light(largest, source_peak) / np.maximum(largest, 1e-9)))


def _less_light(light: Rgb, source_peak: float) -> Rgb:
    """BT.2390's EETF without its lift of black: as it is up to a knee, then a Hermite spline up to SDR's white."""
    top = float(_pq_signal(np.array(source_peak)))
    ceiling = float(_pq_signal(np.array(HDR_WHITE))) / top
    knee = 1.5 * ceiling - 0.5
    before = np.minimum(_pq_signal(light) / top, 1.0)
    t = np.maximum(before - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * ceiling
    return _pq_light(np.where(before < knee, before, spline) * top)


def _within_gamut(rgb: Rgb) -> Rgb:
    """Linear light, BT.709's primaries. Colours outside move straight towards the grey of their luminance, no further than
    they must: their hue stays."""
    grey = np.clip(rgb @ _to_xyz(1)[1], 0, 1)[..., None]
    chroma = rgb - grey
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(chroma > 0, (1 - grey) / chroma, np.where(chroma < 0, -grey / chroma, np.inf))
    share = np.minimum(room.min(axis=-1, keepdims=True), 1)
    return np.asarray(np.clip(grey + share * chroma, 0, 1))


def _matrix(primaries: int, wanted: int) -> NDArray[np.float64]:
    """Between linear colours of two primaries."""
    return np.asarray(np.linalg.inv(_to_xyz(_known(wanted))) @ _to_xyz(_known(primaries)))


def _known(primaries: int) -> int:
    found = 12 if primaries == CINEMA else primaries
    return found if found in PRIMARIES else BT709


def _to_xyz(primaries: int) -> NDArray[np.float64]:
    """The matrix from linear RGB to CIE XYZ (SMPTE RP 177)."""
    columns = np.array([_xyz(x, y) for x, y in PRIMARIES[primaries]]).T
    return np.asarray(columns * np.linalg.solve(columns, _xyz(*D65)))


def _xyz(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1, (1 - x - y) / y])
