"""Tells which worker is at which piece of a film, for people who look at it. Nothing depends on it: a database that is away
stops no encoder."""

from collections.abc import Awaitable
from statistics import fmean
from typing import Any

import structlog
from temporalio import activity

from streamforge.contracts.media.encoded import EncodedTracks
from streamforge.contracts.media.scores import PartQuality
from streamforge.contracts.pipeline import EncodeChunkInput
from streamforge.contracts.worker_view import own_identity
from streamforge.db.chunks import ChunkBegun, ChunkDone, Chunks
from streamforge.errors import DatabaseUnavailable

log = structlog.stdlib.get_logger(__name__)


class ChunkBook:
    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks

    async def begin(self, work: EncodeChunkInput) -> ChunkBegun:
        begun = ChunkBegun(
            job_id=work.job_id,
            chunk=work.chunk.index,
            start=work.chunk.start,
            end=work.chunk.end,
            renditions=[rendition.name for rendition in work.plan.renditions],
            attempt=activity.info().attempt,
            worker=own_identity(),
        )
        await _told(self._chunks.begin(begun))
        return begun

    async def end(self, begun: ChunkBegun, encoded: EncodedTracks, quality: PartQuality | None) -> None:
        done = ChunkDone(
            frames=encoded.tracks[0].frames,
            size_bytes=sum(segment.size_bytes for track in encoded.tracks for segment in track.segments),
            vmaf=None if quality is None else _means(quality),
            segments={track.name: [segment.file_name for segment in track.segments] for track in encoded.tracks},
        )
        await _told(self._chunks.end(begun, done))


def _means(quality: PartQuality) -> dict[str, float]:
    """Of the pictures that were measured, as they are."""
    return {
        rendition.name: round(fmean(rendition.scores.values()), 2)
        for rendition in quality.renditions
        if rendition.scores
    }


async def _told(telling: Awaitable[Any]) -> None:
    try:
        await telling
    except DatabaseUnavailable as error:
        log.debug("a chunk was not told of", reason=error.debug)
