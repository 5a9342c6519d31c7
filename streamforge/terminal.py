"""How jobs look in a terminal: a bar per stage, a table of renditions. Plain lines where there is no terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from streamforge.client import StreamEvent
from streamforge.contracts.job import JobView, RenditionView, Stage
from streamforge.planning.stages import BANDS

Report = Callable[[Stage, int, str], None]
"""Takes the stage, the overall progress in percent, and a message."""

UPLOAD_BAND_END = 5
"""Percent when all bytes have arrived; the server goes on from there."""


@contextmanager
def progress_display(console: Console) -> Iterator[Report]:
    with _bars(console) if console.is_terminal else _lines(console) as report:
        yield report


def upload_reporter(report: Report) -> Callable[[int, int], None]:
    """What `StreamForgeClient.submit` calls, as a report of the uploading stage."""

    def sent(done: int, size: int) -> None:
        report(Stage.UPLOADING, UPLOAD_BAND_END * done // max(size, 1), "Sending")

    return sent


def event_reporter(report: Report) -> Callable[[StreamEvent], None]:
    """What `StreamForgeClient.follow` calls."""

    def seen(event: StreamEvent) -> None:
        if event.stage is not None and event.progress is not None:
            report(event.stage, event.progress, event.message or "")

    return seen


@contextmanager
def _bars(console: Console) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=32),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[message]}"),
    )
    with Progress(*columns, console=console) as progress:
        stages = {stage: band for stage, band in BANDS.items() if band[0] < band[1]}
        bars = {stage: progress.add_task(stage, start=False, total=1.0, message="") for stage in stages}

        def report(stage: Stage, percent: int, message: str) -> None:
            if stage in bars:
                progress.start_task(bars[stage])
                progress.update(bars[stage], message=message)
            for each, (low, high) in stages.items():
                fraction = min(1.0, max(0.0, (percent - low) / (high - low)))
                progress.update(bars[each], completed=fraction)

        yield report


@contextmanager
def _lines(console: Console) -> Iterator[Report]:
    last = ("", -1, "")

    def report(stage: Stage, percent: int, message: str) -> None:
        nonlocal last
        line = (stage, percent, message or last[2])
        if line != last:
            last = line
            console.print(f"{line[0]:<12} {line[1]:>3} %  {line[2]}", markup=False, highlight=False)

    yield report


def rendition_table(job: JobView) -> Table:
    table = Table("rendition", "codec", "resolution")
    for column in ("bitrate", "VMAF mean", "VMAF worst"):
        table.add_column(column, justify="right")
    for rendition in job.renditions:
        table.add_row(*_row(rendition))
    return table


def _row(rendition: RenditionView) -> list[str]:
    bitrate = f"{rendition.bitrate / 1000:,.0f} kbit/s" if rendition.bitrate else "–"
    mean = f"{rendition.vmaf.mean:.1f}" if rendition.vmaf else "–"
    worst = f"{rendition.vmaf.worst:.1f} at {rendition.vmaf.worst_at:.1f} s" if rendition.vmaf else "–"
    return [rendition.name, rendition.codec, f"{rendition.width}×{rendition.height}", bitrate, mean, worst]
