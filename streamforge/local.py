"""Probe, plan and encode here and now, without a server or a store: for `streamforge plan`, benches and tests."""

from dataclasses import dataclass
from pathlib import Path

from streamforge.contracts import tasks
from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.media.source import Source
from streamforge.contracts.tasks import EncodeResult, EncodeTask
from streamforge.media.worker.children import MediaChildren
from streamforge.media.worker.tasks import probe_task
from streamforge.packaging.presentation import INIT_SEGMENT, joined
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings


@dataclass
class Encoded:
    """The chunks of a film, in order; each has a folder of its number in `folder`, and in it one for each rendition."""

    source: Source
    plan: Plan
    chunks: list[EncodeResult]
    folder: Path

    @property
    def tracks(self) -> dict[str, EncodedTrack]:
        """By the name of their rendition, all chunks joined."""
        return {track.name: track for track in joined([chunk.tracks for chunk in self.chunks])}

    def file(self, name: str, target_folder: Path, chunks: slice = slice(None)) -> Path:
        """Init segment of the first chunk with the segments of all, or of some, in one playable file."""
        parts = [self.folder / "0" / name / INIT_SEGMENT]
        for number, chunk in list(enumerate(self.chunks))[chunks]:
            track = next(track for track in chunk.tracks if track.name == name)
            parts += [self.folder / str(number) / name / segment.file_name for segment in track.segments]
        target = target_folder / f"{name}.mp4"
        target.write_bytes(b"".join(part.read_bytes() for part in parts))
        return target


async def planned(path: Path, settings: Settings) -> tuple[Source, Plan]:
    """What the pipeline would find out and decide. Raises what the probe and the plan raise."""
    async with MediaChildren.of(settings.media) as children:
        source = await children.run(tasks.PROBE, probe_task(path.resolve(), settings.input))
    return source, make_plan(source, settings)


async def encoded(children: MediaChildren, path: Path, source: Source, plan: Plan, folder: Path) -> Encoded:
    """All chunks of a plan, one after the other, each decoded and encoded as a worker does it."""
    chunks = []
    for chunk in plan.chunks:
        task = EncodeTask(path=path, source=source, plan=plan, chunk=chunk, target=folder / str(chunk.index))
        chunks.append(await children.run(tasks.ENCODE, task))
    return Encoded(source, plan, chunks, folder)
