"""Runs a source through the media tasks as the activities do, without a workflow around them."""

from pathlib import Path

from test_probe import probe

from streamforge.contracts import tasks
from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.media.plan import Chunk, Plan
from streamforge.contracts.media.source import Source
from streamforge.contracts.tasks import AudioTask, EncodeResult, EncodeTask
from streamforge.local import Encoded, encoded
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

QUICK = Settings.model_validate({"transcode": {"presets": {"h264": "ultrafast"}}, "validation": {"enabled": False}})
"""Fast and ugly: nothing is measured, and so nothing is encoded again for its quality."""


async def encode(children: MediaChildren, path: Path, folder: Path, settings: Settings = QUICK) -> Encoded:
    source = await probe(children, path)
    plan = make_plan(source, settings)
    return await encoded(children, path, source, plan, folder)


async def encode_chunk(
    children: MediaChildren, path: Path, source: Source, plan: Plan, chunk: Chunk, folder: Path
) -> EncodeResult:
    target = folder / str(chunk.index)
    task = EncodeTask(path=path, source=source, plan=plan, chunk=chunk, target=target)
    return await children.run(tasks.ENCODE, task)


async def encode_audio(
    children: MediaChildren, path: Path, folder: Path, track: int = 0, settings: Settings = QUICK
) -> tuple[EncodedTrack, Path]:
    """The rendition of that number, and one playable file of it."""
    source = await probe(children, path)
    plan = make_plan(source, settings)
    task = AudioTask(path=path, source=source, rendition=plan.audio[track], segment_seconds=4, target=folder)
    encoded = await children.run(tasks.AUDIO, task)
    parts = [folder / encoded.name / name for name in ["init.mp4", *(s.file_name for s in encoded.segments)]]
    target = folder / f"{encoded.name}.mp4"
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return encoded, target
