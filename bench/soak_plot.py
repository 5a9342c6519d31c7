"""The samples of a soak as an SVG: a panel for each measure, a line for each part of `up`."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from bench.flatness import MEASURES, Sample

WIDTH, PANEL, MARGIN, LEFT = 820, 190, 34, 90
COLORS = ("#1b6ca8", "#c1440e", "#3a7d44", "#7b4b94", "#b8860b")
TITLES = {
    "memory_bytes": ("memory, MiB", 2**20),
    "descriptors": ("file descriptors", 1),
    "threads": ("threads", 1),
    "disk_bytes": ("database, MiB", 2**20),
}


def drawn(samples: Sequence[Sample]) -> str:
    height = len(MEASURES) * PANEL + MARGIN
    panels = [_panel(samples, measure, number * PANEL + MARGIN) for number, measure in enumerate(MEASURES)]
    parts = list(dict.fromkeys(sample.part for sample in samples))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', _legend(parts), *panels, "</svg>\n"])


def _legend(parts: Sequence[str]) -> str:
    return "".join(
        f'<text x="{LEFT + 110 * number}" y="18" fill="{_color(number)}">{escape(part)}</text>'
        for number, part in enumerate(parts)
    )


def _panel(samples: Sequence[Sample], measure: str, top: int) -> str:
    title, unit = TITLES[measure]
    longest = max(sample.seconds for sample in samples) or 1
    highest = max(getattr(sample, measure) for sample in samples) / unit or 1
    bottom = top + PANEL - MARGIN
    parts = list(dict.fromkeys(sample.part for sample in samples))

    def point(sample: Sample) -> str:
        x = LEFT + sample.seconds / longest * (WIDTH - LEFT - 20)
        y = bottom - getattr(sample, measure) / unit / highest * (PANEL - 2 * MARGIN)
        return f"{x:.1f},{y:.1f}"

    lines = [
        f'<polyline fill="none" stroke="{_color(number)}" points="{" ".join(point(s) for s in samples if s.part == part)}"/>'
        for number, part in enumerate(parts)
    ]
    axis = f'<path d="M{LEFT} {top + MARGIN - 8}V{bottom}H{WIDTH - 20}" fill="none" stroke="#888"/>'
    texts = [
        f'<text x="{LEFT}" y="{top + 14}" font-weight="bold">{title}</text>',
        f'<text x="{LEFT - 6}" y="{top + MARGIN + 4}" text-anchor="end">{highest:,.0f}</text>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{WIDTH - 20}" y="{bottom + 14}" text-anchor="end">{longest / 60:,.0f} min</text>',
    ]
    return "\n".join([axis, *texts, *lines])


def _color(number: int) -> str:
    return COLORS[number % len(COLORS)]
