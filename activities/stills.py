"""Poster, thumbnails and sprite sheets, from the pictures that were kept while the chunks were encoded."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from activities.registration import performs
from activities.support import work_records
from activities.support.encoded_stream import read_presentation
from activities.support.heartbeats import heartbeats
from activities.support.scratch import Scratch
from streamforge.contracts import tasks
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.media.stills import Pictures, Storyboard, Tile, TileSet
from streamforge.contracts.pipeline import StillsInput
from streamforge.contracts.steps import PICTURES
from streamforge.contracts.tasks import SpritesTask
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.stills import POSTER, THUMBNAIL, THUMBNAILS, TILES, poster_set, storyboard, storyboard_cues
from streamforge.storage import Storage, layout

NOT_ALL = "Some pictures of the film could not be kept; its poster or its thumbnails may be missing or not the best."


@dataclass(eq=False, repr=False)
class StillsActivities:
    storage: Storage
    children: MediaChildren
    scratch: Scratch

    @performs(PICTURES)
    async def pictures(self, work: StillsInput) -> Pictures:
        """The same bytes under the same names, however often it is asked for. Raises StorageCorrupted when a record or
        a picture is gone."""
        async with heartbeats():
            sets = await work_records.read_all(self.storage, work.encoded.tile_sets, TileSet)
            with self.scratch.folder_for("pictures") as folder:
                board, sheets = await self._publish_storyboard(work, sets, folder)
            poster, stills = await self._publish_poster(work, sets)
            return Pictures(
                files=sheets | stills,
                storyboard=board,
                poster_seconds=poster.ticks / VIDEO_TIMESCALE if poster else None,
                warnings=[NOT_ALL] if any(tiles.failure for tiles in sets) else [],
            )

    async def _publish_storyboard(
        self, work: StillsInput, sets: Sequence[TileSet], folder: Path
    ) -> tuple[Storyboard | None, dict[str, int]]:
        """Sheets first, and then the list that names them; with their sizes."""
        slots = [tile.slot for tiles in sets for tile in tiles.tiles]
        if work.plan.pictures is None or not slots:
            return None, {}
        stream = await read_presentation(self.storage, work.source, work.plan, work.encoded)
        board = storyboard(work.plan.pictures, stream.seconds)
        await self._fetch_tiles(work, sets, folder / TILES)
        task = SpritesTask(tiles=folder / TILES, slots=slots, storyboard=board, target=folder)
        made = await self.children.run(tasks.SPRITES, task)
        for name in made.sheets:
            await self.storage.put_file(layout.output(work.job_id, name), folder / name)
        cues = storyboard_cues(board, stream.seconds).encode()
        await self.storage.put_bytes(layout.output(work.job_id, THUMBNAILS), cues)
        board = board.model_copy(update={"size_bytes": sum(made.sheets.values())})
        return board, made.sheets | {THUMBNAILS: len(cues)}

    async def _fetch_tiles(self, work: StillsInput, sets: Sequence[TileSet], target: Path) -> None:
        """All tiles one behind the other."""
        for record, tiles in zip(work.encoded.tile_sets, sets, strict=True):
            if tiles.tiles:
                async with self.storage.local_file(layout.file_of_record(record, TILES), self.scratch.folder) as part:
                    await asyncio.to_thread(_append, part, target)

    async def _publish_poster(self, work: StillsInput, sets: Sequence[TileSet]) -> tuple[Tile | None, dict[str, int]]:
        """Large and small; with their sizes."""
        chosen = poster_set(sets, work.source.duration)
        if chosen is None:
            return None, {}
        files = {}
        for name in (POSTER, THUMBNAIL):
            kept = layout.file_of_record(work.encoded.tile_sets[chosen], name)
            async with self.storage.local_file(kept, self.scratch.folder) as picture:
                data = await asyncio.to_thread(picture.read_bytes)
            await self.storage.put_bytes(layout.output(work.job_id, name), data)
            files[name] = len(data)
        return sets[chosen].poster, files


def _append(part: Path, target: Path) -> None:
    with part.open("rb") as source, target.open("ab") as file:
        while data := source.read(2**20):
            file.write(data)
