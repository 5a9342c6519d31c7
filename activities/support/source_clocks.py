"""Clocks of a source that is told in pieces, kept in the store.

A recording whose clock broke a thousand times has a thousand runs in each of its tracks. Temporal ends a workflow for a
message of 4 MiB, and there may be hundreds of chunks under way: what is sent names the clocks, and does not hold them.
"""

from uuid import UUID

from pydantic import BaseModel

from activities.support import work_records
from streamforge.contracts.media.source import Source
from streamforge.contracts.media.timeline import TrackClock
from streamforge.storage import Storage, layout

MOST_SENT = 16
"""Runs, lead-ins and times that are not believed, of all tracks together, that go along with every message."""


class Clocks(BaseModel):
    """`video` is None where there is none; of sound by the stream's index."""

    video: TrackClock | None
    sound: dict[int, TrackClock]


async def keep(storage: Storage, job_id: UUID, source: Source) -> Source:
    """The source as it is sent: with its clocks where they are short, as they nearly always are, else with their name."""
    if (sent := without_long(source)) is source:
        return source
    clocks = Clocks(
        video=source.video.clock if source.video else None, sound={track.index: track.clock for track in source.audio}
    )
    name = layout.work_record(job_id, f"clocks-{work_records.digest(clocks=clocks)}")
    await work_records.write(storage, name, clocks)
    return sent.model_copy(update={"clocks": name})


def without_long(source: Source) -> Source:
    """Without its clocks, where they are long."""
    told = [*([source.video.clock] if source.video else []), *(track.clock for track in source.audio)]
    if sum(clock.length for clock in told) <= MOST_SENT:
        return source
    return _with(source, Clocks(video=TrackClock(), sound={}))


async def read(storage: Storage, source: Source) -> Source:
    """As the probe found it. Raises StorageCorrupted when its clocks are gone."""
    if source.clocks is None:
        return source
    return _with(source, await work_records.read(storage, source.clocks, Clocks)).model_copy(update={"clocks": None})


def _with(source: Source, clocks: Clocks) -> Source:
    video = source.video.model_copy(update={"clock": clocks.video}) if source.video and clocks.video else source.video
    sound = [track.model_copy(update={"clock": clocks.sound.get(track.index, TrackClock())}) for track in source.audio]
    return source.model_copy(update={"video": video, "audio": sound})
