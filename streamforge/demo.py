"""`streamforge demo`: everything from nothing, one video through it, everything stopped again. The output stays."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path, PurePosixPath

from rich.console import Console

from streamforge.access.caller import Scope
from streamforge.administration import create_key
from streamforge.client import StreamForgeClient
from streamforge.contracts.job_view import JobView
from streamforge.embedded.supervisor import UpOptions, running
from streamforge.errors import MissingPart, OutputInvalid
from streamforge.settings import Settings
from streamforge.storage import layout
from streamforge.terminal import event_reporter, progress_display, rendition_table, upload_reporter

DAY = timedelta(days=1)
SAMPLE = Path(__file__).parents[1] / "tests" / "media" / "bbb-720p-5s.mp4"


def sample_video() -> Path:
    """Raises MissingPart outside of a checkout, where the sample is not installed."""
    if not SAMPLE.is_file():
        raise MissingPart("The sample video is only part of a checkout; name a video: `streamforge demo FILE`.")
    return SAMPLE


async def run(settings: Settings, video: Path, config_file: Path | None, console: Console) -> None:
    """Free ports and a data folder of its own, so that it never meets an `up` that is running.

    Raises JobNotCompleted, RequestRefused, and what `running` raises.
    """
    apart = _apart(settings)
    console.print("Starting PostgreSQL, Temporal, the API and a worker …")
    async with running(apart, UpOptions(temporal_port=0, ui_port=0, config_file=config_file)) as parts:
        console.print(f"Ready: {parts.api_url}, workflows on {parts.ui_url or parts.temporal_address}\n")
        api_key = await create_key(apart, "demo", [Scope.SUBMIT, Scope.READ], DAY) if apart.auth.required else None
        job = await _process(StreamForgeClient(parts.api_url, api_key=api_key), video, console)
        console.print(rendition_table(job))
        for line in _places(settings, apart.data_dir, job):
            console.print(line, highlight=False, soft_wrap=True)


def _apart(settings: Settings) -> Settings:
    server = settings.server.model_copy(update={"host": "127.0.0.1", "port": 0})
    return settings.model_copy(update={"data_dir": settings.data_dir / "demo", "server": server})


async def _process(api: StreamForgeClient, video: Path, console: Console) -> JobView:
    async with api as client:
        with progress_display(console) as report:
            job_id = await client.submit(video, on_progress=upload_reporter(report))
            return await client.follow(job_id, event_reporter(report))


def _places(settings: Settings, data_dir: Path, job: JobView) -> Iterator[str]:
    """Where the manifests lie: in the store, which stays, and on the API, which `up` brings back."""
    if job.playback is None:
        raise OutputInvalid("The job completed without anything to play.")
    store = settings.storage.url or data_dir / "storage"
    url = f"http://{settings.server.host}:{settings.server.port}"
    manifests = job.playback.manifests
    for kind, path in manifests.items():
        yield f"{kind:<5} {store}/{layout.output(job.id, PurePosixPath(path).name)}"
    yield f"\nTo play them: streamforge up --data-dir {data_dir}"
    for kind, path in manifests.items():
        yield f"{kind:<5} {url}{path}"
