"""Packaging is writing manifests: the segments are already there, one set for HLS and DASH."""

from temporalio import activity

from activities.heartbeats import heartbeats
from activities.stream import read_presentation
from streamforge.contracts import names
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Stage
from streamforge.contracts.pipeline import PackagedStream, PackageInput
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.planning import dash, hls
from streamforge.planning.manifests import DASH_MANIFEST, HLS_MASTER, PLAYLIST, Presentation
from streamforge.planning.stages import progress_at
from streamforge.storage import Storage, layout


class PackageActivities:
    def __init__(self, storage: Storage, log: EventLog) -> None:
        self._storage = storage
        self._log = log

    @activity.defn(name=names.PACKAGE)
    async def package(self, work: PackageInput) -> PackagedStream:
        async with heartbeats() as checkpoint, Reporter(self._log, work.original.job_id) as reporter:
            await reporter.state(_at(0, "Packaging HLS and DASH"))
            presentation = await read_presentation(self._storage, work.source, work.plan, work.encoded)
            manifests = _manifests(presentation)
            for number, (name, text) in enumerate(manifests.items(), start=1):
                await self._storage.put_bytes(layout.output(work.original.job_id, name), text.encode())
                checkpoint.set({"manifests": number})
                reporter.report(_at(number / len(manifests), f"Wrote {name}"))
            return PackagedStream(manifests={name: len(text.encode()) for name, text in manifests.items()})


def _manifests(presentation: Presentation) -> dict[str, str]:
    """By name; what is referred to comes before what refers to it, so that no reader finds a dangling name."""
    playlists = {f"{track.name}/{PLAYLIST}": hls.media_playlist(track) for track in presentation.tracks}
    return playlists | {
        HLS_MASTER: hls.master_playlist(presentation),
        DASH_MANIFEST: dash.manifest(presentation),
    }


def _at(fraction: float, message: str) -> JobChange:
    return JobChange(stage=Stage.PACKAGING, progress=progress_at(Stage.PACKAGING, fraction), message=message)
