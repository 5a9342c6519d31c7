"""How jobs look in a terminal: a bar per stage, a table of renditions. Plain lines where there is no terminal."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from streamforge.client import StreamEvent
from streamforge.contracts.job import RenditionView, Stage
from streamforge.contracts.job_view import JobView
from streamforge.contracts.media.plan import PerTitleTarget
from streamforge.contracts.media.scores import QualityScore
from streamforge.contracts.media.source import VideoSource
from streamforge.contracts.media.timeline import TimelineNote
from streamforge.contracts.printable_plan import PrintablePlan
from streamforge.contracts.worker_view import WorkerView
from streamforge.db.credentials import KeyRow
from streamforge.progress.bands import BANDS
from streamforge.quality.registry import METRIC

Report = Callable[[Stage, int, str], None]
"""Takes the stage, the overall progress in percent, and a message."""

UPLOAD_BAND_END = 5
"""Percent when all bytes have arrived; the server goes on from there."""


def job_line(job: JobView) -> str:
    """What a stranger wrote must not move the cursor of a terminal."""
    key = job.key if job.key.isprintable() else ascii(job.key)
    state = "paused" if job.paused_at is not None and not job.status.is_over else job.status
    why = f"  {job.error.code}: {job.error.message}" if job.error else ""
    return f"{job.id}  {job.created_at:%Y-%m-%d %H:%M}  {state:<10} {job.progress:>3} %  {key}{why}"


def worker_line(worker: WorkerView) -> str:
    runs = ", ".join(work.activity for work in worker.running) or "nothing"
    draining = "  draining" if worker.draining else ""
    memory = f"{worker.memory_used_bytes / 2**30:.1f} of {worker.memory_bytes / 2**30:.1f} GiB"
    return f"{worker.id}  {worker.version}  {worker.cores} cores  {memory}  runs {runs}{draining}"


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


def line_of(event: StreamEvent) -> str:
    """One of many jobs, whose events come mixed."""
    return f"{str(event.job_id)[:8]}  {event.stage:<12} {event.progress:>3} %  {event.message or ''}"


def rendition_table(job: JobView) -> Table:
    table = Table("rendition", "codec", "resolution")
    for column in ("bitrate", f"{METRIC.label} mean", "worst 5 s"):
        table.add_column(column, justify="right")
    for rendition in job.renditions:
        table.add_row(*_row(rendition))
    return table


def _row(rendition: RenditionView) -> list[str]:
    bitrate = f"{rendition.bitrate / 1000:,.0f} kbit/s" if rendition.bitrate else "–"
    mean, worst = _scores(rendition.vmaf) if rendition.vmaf else ("–", "–")
    return [rendition.name, rendition.codec, f"{rendition.width}×{rendition.height}", bitrate, mean, worst]


def _scores(vmaf: QualityScore) -> tuple[str, str]:
    lowest = vmaf.worst_5_seconds
    return f"{vmaf.mean:.1f} ± {vmaf.margin:.1f}", f"{lowest.mean:.1f} at {lowest.start:.1f} s"


def plan_tables(plan: PrintablePlan) -> list[Table]:
    odd = [_timeline(plan.source.timeline_notes)] if plan.source.timeline_notes else []
    return [_facts(plan), *odd, _planned_renditions(plan)]


def _facts(plan: PrintablePlan) -> Table:
    video, chunks, cost = plan.source.video, plan.chunks, plan.prediction
    table = Table.grid(padding=(0, 2))
    facts = [
        ("source", f"{_pictures(video) if video else 'sound'}, {_clock(plan.source.duration)}"),
        ("chunks", f"{chunks.count}, the first {chunks.first_seconds:g} s, the longest {chunks.longest_seconds:g} s"),
        ("CPU time", _about(cost.cpu_seconds, cost.uncertainty, _clock)),
        (f"time, {cost.cores}-core", _about(cost.wall_seconds, cost.uncertainty, _clock)),
        ("output", _about(cost.output_bytes, cost.uncertainty, _megabytes)),
        *(("note", warning) for warning in plan.warnings),
    ]
    if plan.per_title is not None:
        facts.insert(2, ("per title", _search(plan.per_title)))
    for name, fact in facts:
        table.add_row(name, fact)
    return table


def _timeline(notes: Sequence[TimelineNote]) -> Table:
    """What is odd about the source's clock, in the order of the film."""
    table = Table("timeline", "what", "length", "")
    for note in notes:
        table.add_row(f"{note.at:.3f} s", note.kind.replace("_", " "), f"{note.seconds:+.3f} s", note.text)
    return table


def _search(target: PerTitleTarget) -> str:
    if not target.samples:
        return "the search would cost too much; the fixed ladder is used"
    return f"CRF of each rendition from {len(target.samples)} samples of {target.sample_seconds:g} s"


def _pictures(video: VideoSource) -> str:
    kind = {"sdr": "", "hdr10": ", HDR10", "hlg": ", HLG"}[video.dynamic_range] + ", interlaced" * video.interlaced
    return f"{video.width}×{video.height} {video.codec}, {video.frame_rate:.2f} fps{kind}"


def _planned_renditions(plan: PrintablePlan) -> Table:
    table = Table("rendition", "codec", "resolution")
    table.add_column("at most", justify="right")
    for video in plan.renditions:
        table.add_row(
            video.name, video.codec, f"{video.width}×{video.height}", f"{video.max_bitrate / 1000:,.0f} kbit/s"
        )
    for audio in plan.audio:
        name = f"{audio.name} ({audio.language})" if audio.language else audio.name
        table.add_row(name, audio.codec, f"{audio.sample_rate} Hz", f"{audio.bitrate / 1000:,.0f} kbit/s")
    return table


def _about(value: float, factor: float, show: Callable[[float], str]) -> str:
    return f"about {show(value)} ({show(value / factor)} to {show(value * factor)})"


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h" if minutes >= 60 else f"{minutes}:{rest:02} min"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"


def key_lines(keys: Sequence[KeyRow]) -> Iterator[str]:
    """In columns as wide as they have to be: for programs, too, nothing is cut off or wrapped."""
    rows: list[tuple[str, ...]] = [("key", "owner", "scopes", "created", "expires", "last used", "revoked")]
    for key in keys:
        moments = (_minute(moment) for moment in (key.created_at, key.expires_at, key.last_used_at, key.revoked_at))
        rows.append((key.prefix, key.owner, ",".join(key.scopes), *moments))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _minute(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
