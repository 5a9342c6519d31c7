"""Tasks for media children, from settings."""

from pathlib import Path

from streamforge.contracts.tasks import ProbeTask
from streamforge.settings import InputSettings


def probe_task(path: Path, limits: InputSettings, *, keep_damaged: bool = False) -> ProbeTask:
    return ProbeTask(
        path=path,
        max_width=limits.max_width,
        max_height=limits.max_height,
        max_duration=limits.max_duration_seconds,
        max_streams=limits.max_streams,
        max_packets_per_second=limits.max_packets_per_second,
        max_extra_bytes=limits.max_extra_bytes,
        keep_damaged=keep_damaged,
    )
