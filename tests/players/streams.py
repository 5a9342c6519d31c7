"""Finished streams as the pipeline leaves them in the store, made by the real media engine without a workflow."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from clips import Clips
from speech_model import CAPTIONS

from streamforge.codecs.registry import GPU_ENCODERS
from streamforge.contracts import tasks
from streamforge.contracts.media.encoded import TextTrack
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.media.source import Source
from streamforge.contracts.media.stills import Storyboard
from streamforge.contracts.tasks import (
    TILES_FOLDER,
    AudioTask,
    CodecsTask,
    EncodeTask,
    ProbeTask,
    ProgressiveTask,
    SpritesTask,
    SubtitlesTask,
    TranscribeTask,
)
from streamforge.keys import Keys
from streamforge.media.worker.children import MediaChildren
from streamforge.packaging import dash, hls
from streamforge.packaging.downloads import download_name, downloaded_tracks
from streamforge.packaging.encryption import has_dash
from streamforge.packaging.presentation import (
    DASH_MANIFEST,
    INIT_SEGMENT,
    TEXT_FILE,
    GrowingStream,
    Presentation,
    joined,
    presentation,
)
from streamforge.planning.gpu import with_gpu
from streamforge.planning.plan import make_plan
from streamforge.planning.stills import THUMBNAILS, TILES, storyboard, storyboard_cues
from streamforge.planning.text.webvtt import Cue, read_webvtt
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

    @property
    def license(self) -> str | None:
        """Where a page finds the keys of common encryption."""
        protection = self.presentation.plan.protection
        return f"/keys/{self.job_id}/license" if protection is not None and protection.scheme == "cbcs" else None

    def path(self, manifest: str) -> str:
        return f"/media/{self.job_id}/{manifest}"


class Streams:
    """Each is made the first time it is asked for."""

    def __init__(self, clips: Clips, children: MediaChildren, storage: Storage, keys: Keys, work: Path) -> None:
        self._clips = clips
        self._children = children
        self._storage = storage
        self._keys = keys
        self._work = work
        self._made: dict[str, Stream] = {}

    async def get(self, kind: str) -> Stream:
        if kind not in self._made:
            clip, transcode = KINDS[kind]
            captions = CAPTIONS.model_copy(update={"enabled": kind in CAPTIONED})
            sections = {
                "transcode": QUICK | transcode,
                "validation": {"enabled": False},
                "pictures": DENSE if kind in PREVIEWED else {"enabled": False},
                "captions": captions,
                "protection": {"scheme": PROTECTED.get(kind, "none")},
            }
            settings = Settings.model_validate(sections)
            self._made[kind] = await self._make(clip(self._clips), settings, self._work / kind, kind in TWO_ENCODERS)
        return self._made[kind]

    async def _make(self, clip: Path, settings: Settings, work: Path, two_encoders: bool) -> Stream:
        probe = ProbeTask(path=clip, max_width=8192, max_height=8192, max_duration=60)
        source = await self._children.run(tasks.PROBE, probe)
        plan = with_gpu(make_plan(source, settings), GPU_ENCODERS.values() if two_encoders else [])
        codecs = await self._children.run(tasks.CODECS, CodecsTask(source=source, plan=plan))
        job_id = uuid4()
        plan = self._protected(plan.with_codec_strings(codecs.codec_strings), job_id)
        chunks, tiles = [], list[tuple[Path, list[int]]]()
        for chunk in plan.chunks:
            target, key = work / str(chunk.index), self._keys.for_track(job_id, plan.protection, "video")
            written = _written_otherwise(plan) if two_encoders and chunk.index % 2 else plan
            task = EncodeTask(path=clip, source=source, plan=written, chunk=chunk, target=target, key=key)
            encoded = await self._children.run(tasks.ENCODE, task)
            chunks.append(encoded.tracks)
            if encoded.tiles and encoded.tiles.tiles:
                tiles.append((task.target / TILES_FOLDER / TILES, [tile.slot for tile in encoded.tiles.tiles]))
        audio = []
        for rendition in plan.audio:
            sound = AudioTask(
                path=clip,
                source=source,
                rendition=rendition,
                segment_seconds=plan.segment_seconds,
                target=work / "0",
                protection=plan.protection,
                key=self._keys.for_track(job_id, plan.protection, "audio"),
            )
            audio.append(await self._children.run(tasks.AUDIO, sound))
        board = None
        if plan.pictures is not None:
            board = await self._draw(job_id, storyboard(plan.pictures, source.duration), tiles, source.duration)
        text = await self._make_text(clip, source, plan, work)
        made = Stream(job_id, presentation(source, plan, joined(chunks), audio, text, storyboard=board))
        await self._publish(made, work)
        return made

    def _protected(self, plan: Plan, job_id: UUID) -> Plan:
        if plan.protection is None:
            return plan
        key_ids = {track_type: key.key_id for track_type, key in self._keys.of_job(job_id).items()}
        found = {"key_ids": key_ids, "key_url": self._keys.folder_url(job_id)}
        return plan.model_copy(update={"protection": plan.protection.model_copy(update=found)})

    async def _make_text(self, clip: Path, source: Source, plan: Plan, work: Path) -> list[TextTrack]:
        subtitles = SubtitlesTask(path=clip, source=source, renditions=plan.subtitles, target=work / "0")
        made = (await self._children.run(tasks.SUBTITLES, subtitles)).tracks
        if plan.transcription is not None:
            speech = TranscribeTask(path=clip, source=source, transcription=plan.transcription, target=work / "0")
            made += (await self._children.run(tasks.TRANSCRIBE, speech)).tracks
        return made

    async def _draw(
        self, job_id: UUID, board: Storyboard, tiles: list[tuple[Path, list[int]]], seconds: float
    ) -> Storyboard:
        """Sprite sheets and the list of their tiles, published."""
        together = self._work / f"{job_id}.yuv"
        together.write_bytes(b"".join(path.read_bytes() for path, _ in tiles))
        slots = [slot for _, each in tiles for slot in each]
        task = SpritesTask(tiles=together, slots=slots, storyboard=board, target=self._work)
        made = await self._children.run(tasks.SPRITES, task)
        for name in made.sheets:
            await self._storage.put_file(layout.output(job_id, name), self._work / name)
        await self._storage.put_bytes(layout.output(job_id, THUMBNAILS), storyboard_cues(board, seconds).encode())
        return board.model_copy(update={"size_bytes": sum(made.sheets.values())})

    async def _publish(self, stream: Stream, work: Path) -> None:
        for chunk in await asyncio.to_thread(lambda: sorted(work.iterdir(), reverse=True)):
            for file in chunk.glob("*/*"):
                await self._storage.put_file(layout.output(stream.job_id, f"{file.parent.name}/{file.name}"), file)
        await self.write(stream, manifests_of(stream.presentation))

    async def download(self, stream: Stream) -> str:
        """Where its best rendition is found as one file, which is made of what is published."""
        name = stream.presentation.video[0].rendition.name
        tracks = downloaded_tracks(stream.presentation, name)
        files = []
        for track in tracks:
            pieces = [INIT_SEGMENT, *(segment.file_name for segment in track.segments)]
            found = [await self._storage.get_bytes(layout.output(stream.job_id, f"{track.name}/{p}")) for p in pieces]
            files.append(self._work / f"{stream.job_id}-{track.name}.mp4")
            files[-1].write_bytes(b"".join(piece or b"" for piece in found))
        target = self._work / f"{stream.job_id}.mp4"
        frames = [track.frames for track in tracks]
        task = ProgressiveTask(tracks=files, frames=frames, seconds=stream.source.duration, target=target)
        await self._children.run(tasks.PROGRESSIVE, task)
        await self._storage.put_file(layout.output(stream.job_id, download_name(name)), target)
        return download_name(name)

    async def cues(self, stream: Stream, name: str) -> list[Cue]:
        """What stands in the file of a text track."""
        content = await self._storage.get_bytes(layout.output(stream.job_id, f"{name}/{TEXT_FILE}"))
        assert content is not None
        return read_webvtt(content.decode())

    async def write(self, stream: Stream, manifests: dict[str, str]) -> None:
        """In this order: what is referred to comes before what refers to it."""
        for name, text in manifests.items():
            await self._storage.put_bytes(layout.output(stream.job_id, name), text.encode())


def manifests_of(presentation: Presentation, growing: GrowingStream | None = None) -> dict[str, str]:
    manifests = hls.playlists(presentation, growing)
    return manifests | ({DASH_MANIFEST: dash.manifest(presentation, growing)} if has_dash(presentation.plan) else {})


QUICK: dict[str, object] = {"presets": {"h264": "ultrafast"}, "heights": [180, 120], "max_chunk_seconds": 4}

DENSE = {"interval_seconds": 0.15}
"""So that 20 s have two sprite sheets."""

PREVIEWED = {"colors", "four chunks"}
"""With sprite sheets, of which no player minds that they are there."""

CAPTIONED = {"captions"}

TWO_ENCODERS = {"two encoders"}
"""As where a GPU helps: x264 with other tools stands in for it in every second chunk."""


def _written_otherwise(plan: Plan) -> Plan:
    """Its parameter sets are other ones; the init segment stays that of the first chunk."""
    renditions = [r.model_copy(update={"options": r.options | {"preset": "medium"}}) for r in plan.renditions]
    return plan.model_copy(update={"renditions": renditions})


KINDS: dict[str, tuple[Callable[[Clips], Path], dict[str, object]]] = {
    "four chunks": (lambda clips: clips.slow, {}),
    "four short segments": (lambda clips: clips.slow_and_short, {"segment_seconds": 2}),
    "four short segments of H.264 and AV1": (
        lambda clips: clips.slow_and_short,
        {"segment_seconds": 2, "codecs": ["h264", "av1"], "presets": {"h264": "ultrafast", "av1": 13}},
    ),
    "captions": (lambda clips: clips.captioned, {}),
    "variable frame rate and no sound": (lambda clips: clips.variable_rate, {}),
    "colors": (lambda clips: clips.colors, {}),
    "a picture every six seconds": (lambda clips: clips.slides, {"presets": {"h264": "veryfast"}}),
    "film with pauses": (lambda clips: clips.lecture, {"presets": {"h264": "veryfast"}}),
    "GIF": (lambda clips: clips.gif, {"presets": {"h264": "veryfast"}}),
    "one picture": (lambda clips: clips.one_picture, {"presets": {"h264": "veryfast"}}),
    "two languages": (lambda clips: clips.two_languages, {}),
    "surround": (lambda clips: clips.surround, {"max_chunk_seconds": 8}),
    "surround alone": (lambda clips: clips.surround, {"codecs": []}),
    "AES-128": (lambda clips: clips.slow, {}),
    "cbcs": (lambda clips: clips.slow, {}),
    "AV1": (lambda clips: clips.two_languages, {"codecs": ["av1"], "presets": {"av1": 11}, "segment_seconds": 2}),
    "two encoders": (lambda clips: clips.slow, {"presets": {"h264": "veryfast"}}),
    "a copy": (lambda clips: clips.copyable, {"remux": True}),
    "H.264 and AV1": (
        lambda clips: clips.slow,
        {"codecs": ["h264", "av1"], "presets": {"h264": "ultrafast", "av1": 13}},
    ),
}

PROTECTED = {"AES-128": "aes-128", "cbcs": "cbcs"}
