"""Finished streams as the pipeline leaves them in the store, made by the real media engine without a workflow."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from clips import Clips

from streamforge.contracts.media import EncodedTrack, EncodedTracks, Source
from streamforge.media.audio import AudioTask
from streamforge.media.child import MediaChildren
from streamforge.media.codecs import Codecs, CodecsTask
from streamforge.media.encode import EncodeTask
from streamforge.media.probe import ProbeTask
from streamforge.planning import dash, hls
from streamforge.planning.manifests import DASH_MANIFEST, Growing, Presentation, joined, presentation
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.storage import Storage, layout


@dataclass(frozen=True)
class Stream:
    """What a player should find at `<site>/media/<job>/`."""

    job_id: UUID
    presentation: Presentation

    @property
    def source(self) -> Source:
        return self.presentation.source

    @property
    def heights(self) -> list[int]:
        return [track.rendition.height for track in self.presentation.video]

    @property
    def languages(self) -> list[str | None]:
        return [track.rendition.language for track in self.presentation.audio]

    def path(self, manifest: str) -> str:
        return f"/media/{self.job_id}/{manifest}"


class Streams:
    """Each is made the first time it is asked for."""

    def __init__(self, clips: Clips, children: MediaChildren, storage: Storage, work: Path) -> None:
        self._clips = clips
        self._children = children
        self._storage = storage
        self._work = work
        self._made: dict[str, Stream] = {}

    async def get(self, kind: str) -> Stream:
        if kind not in self._made:
            clip, transcode = KINDS[kind]
            settings = Settings.model_validate({"transcode": QUICK | transcode})
            self._made[kind] = await self._make(clip(self._clips), settings, self._work / kind)
        return self._made[kind]

    async def _make(self, clip: Path, settings: Settings, work: Path) -> Stream:
        probe = ProbeTask(path=clip, max_width=8192, max_height=8192, max_duration=60)
        source = await self._children.run("probe", probe, Source)
        plan = make_plan(source, settings)
        codecs = await self._children.run("codecs", CodecsTask(source=source, plan=plan), Codecs)
        plan = plan.with_codec_strings(codecs.codec_strings)
        chunks = []
        for chunk in plan.chunks:
            task = EncodeTask(path=clip, source=source, plan=plan, chunk=chunk, target=work / str(chunk.index))
            chunks.append((await self._children.run("encode", task, EncodedTracks)).tracks)
        audio = []
        for rendition in plan.audio:
            sound = AudioTask(
                path=clip, source=source, rendition=rendition, segment_seconds=plan.segment_seconds, target=work / "0"
            )
            audio.append(await self._children.run("audio", sound, EncodedTrack))
        made = Stream(uuid4(), presentation(source, plan, joined(chunks), audio))
        await self._publish(made, work)
        return made

    async def _publish(self, stream: Stream, work: Path) -> None:
        for chunk in await asyncio.to_thread(lambda: sorted(work.iterdir(), reverse=True)):
            for file in chunk.glob("*/*"):
                await self._storage.put_file(layout.output(stream.job_id, f"{file.parent.name}/{file.name}"), file)
        await self.write(stream, manifests_of(stream.presentation))

    async def write(self, stream: Stream, manifests: dict[str, str]) -> None:
        """In this order: what is referred to comes before what refers to it."""
        for name, text in manifests.items():
            await self._storage.put_bytes(layout.output(stream.job_id, name), text.encode())


def manifests_of(presentation: Presentation, growing: Growing | None = None) -> dict[str, str]:
    return hls.playlists(presentation, growing) | {DASH_MANIFEST: dash.manifest(presentation, growing)}


QUICK: dict[str, object] = {"presets": {"h264": "ultrafast"}, "heights": [180, 120], "max_chunk_seconds": 4}

KINDS: dict[str, tuple[Callable[[Clips], Path], dict[str, object]]] = {
    "four chunks": (lambda clips: clips.slow, {}),
    "variable frame rate and no sound": (lambda clips: clips.variable_rate, {}),
    "two languages": (lambda clips: clips.two_languages, {}),
    "AV1": (lambda clips: clips.two_languages, {"codecs": ["av1"], "presets": {"av1": 11}, "segment_seconds": 2}),
    "H.264 and AV1": (
        lambda clips: clips.slow,
        {"codecs": ["h264", "av1"], "presets": {"h264": "ultrafast", "av1": 13}},
    ),
}
