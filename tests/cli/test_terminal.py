"""What people see of a job: lines where there is no terminal, bars where there is one, a table at the end."""

from datetime import UTC, datetime
from io import StringIO
from uuid import uuid4

from factories import vmaf
from rich.console import Console
from rich.text import Text

from streamforge.client import StreamEvent
from streamforge.contracts.job import JobStatus, RenditionView, Stage
from streamforge.contracts.job_view import JobView
from streamforge.terminal import event_reporter, progress_display, rendition_table, upload_reporter


def shown_by(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_without_a_terminal_each_change_is_one_line() -> None:
    console = Console(file=StringIO(), width=200)
    with progress_display(console) as report:
        upload_reporter(report)(50, 100)
        seen = event_reporter(report)
        # A new connection begins with a status that says nothing new.
        seen(StreamEvent(event="status", stage=Stage.UPLOADING, progress=2))
        seen(StreamEvent(event="progress", stage=Stage.TRANSCODING, progress=30, message="720p [draft]"))
        seen(StreamEvent(event="progress", stage=Stage.TRANSCODING, progress=30, message="720p [draft]"))
        seen(StreamEvent(event="done"))
    assert shown_by(console) == "uploading      2 %  Sending\ntranscoding   30 %  720p [draft]\n"


def test_in_a_terminal_every_stage_has_a_bar_that_fills_with_its_own_share() -> None:
    console = Console(file=StringIO(), width=120, force_terminal=True, color_system=None)
    with progress_display(console) as report:
        report(Stage.TRANSCODING, 30, "Transcoding")
    last_picture = Text.from_ansi(shown_by(console)).plain.splitlines()[-5:]
    share = {line.split()[0]: line.split("%")[0].split()[-1] for line in last_picture}
    assert share == {"uploading": "100", "transcoding": "50", "validation": "0", "packaging": "0", "storage": "0"}


def test_the_table_tells_size_bitrate_and_quality_of_every_rendition() -> None:
    job = JobView(
        id=uuid4(), key="film", bucket="input", status=JobStatus.COMPLETED, stage=Stage.COMPLETED, progress=100,
        workflow_id="w", created_at=datetime.now(UTC), updated_at=datetime.now(UTC),
        renditions=[
            RenditionView(name="720p", width=1280, height=720, codec="h264", bitrate=1_520_400, vmaf=vmaf(91.26)),
            RenditionView(name="360p", width=640, height=360, codec="h264"),
        ],
    )  # fmt: skip
    console = Console(file=StringIO(), width=120)
    console.print(rendition_table(job))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown_by(console).splitlines() if "│" in line]
    assert rows == [
        ["720p", "h264", "1280×720", "1,520 kbit/s", "91.3 ± 0.5", "91.3 at 2.0 s"],
        ["360p", "h264", "640×360", "–", "–", "–"],
    ]
