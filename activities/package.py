"""Packaging is writing manifests: the segments are already there, one set for HLS and DASH.

What is computed here grows with the film, so it is computed in threads: a worker whose event loop stands still sends no
heartbeat, and the film is packaged again for ever.
"""

import asyncio
import hashlib
from dataclasses import dataclass

from temporalio import activity

from activities.registration import performs
from activities.support.encoded_stream import Tracks, presentation_of, read_tracks
from activities.support.garbage import no_full_collections
from activities.support.heartbeats import heartbeats
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Stage
from streamforge.contracts.media.account import Account
from streamforge.contracts.media.encoded import StoredFile
from streamforge.contracts.pipeline import PackagedStream, PackageInput
from streamforge.contracts.steps import PACKAGE
from streamforge.errors import UndecodableSource
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.packaging import dash, hls
from streamforge.packaging.encryption import has_dash
from streamforge.packaging.presentation import DASH_MANIFEST, GrowingStream, Presentation
from streamforge.progress.bands import progress_at
from streamforge.storage import Storage, layout
from streamforge.timeline.account import account_of


@dataclass(eq=False, repr=False)
class PackageActivities:
    storage: Storage
    events: EventLog

    @performs(PACKAGE)
    async def package(self, work: PackageInput) -> PackagedStream:
        """Raises PicturesLost when less would be published than went in, and nothing says why."""
        async with heartbeats(), Reporter(self.events, work.job_id) as reporter:
            await reporter.state(_change(0, "Packaging HLS and DASH" if has_dash(work.plan) else "Packaging HLS"))
            with no_full_collections():
                manifests, account = await self._package(work)
            await reporter.state(_change(1, f"Wrote {len(manifests)} manifests"))
            return PackagedStream(manifests=manifests, account=account, attempt=activity.info().attempt)

    async def _package(self, work: PackageInput) -> tuple[dict[str, StoredFile], Account]:
        tracks = await read_tracks(self.storage, work.encoded)
        stream, account = await asyncio.to_thread(_put_together, work, tracks)
        folder = layout.output_folder(work.job_id)
        return await write_manifests(self.storage, folder, stream), account


def _put_together(work: PackageInput, tracks: Tracks) -> tuple[Presentation, Account]:
    stream = presentation_of(tracks, work.source, work.plan, work.encoded.text, work.storyboard)
    if not stream.tracks:
        raise UndecodableSource("None of the sound in this file can be decoded; it is damaged.")
    return stream, account_of(work.source, work.plan, tracks.counts, tracks.sound)


async def write_manifests(
    storage: Storage, folder: str, stream: Presentation, growing: GrowingStream | None = None
) -> dict[str, StoredFile]:
    """Every manifest of the stream, by its name in the folder. What is referred to is written before what refers to it, so
    that no reader finds a dangling name."""
    written = await asyncio.to_thread(_manifests, stream, growing)
    for name, (data, _) in written.items():
        await storage.put_bytes(f"{folder}{name}", data)
    return {name: file for name, (_, file) in written.items()}


def _manifests(stream: Presentation, growing: GrowingStream | None) -> dict[str, tuple[bytes, StoredFile]]:
    manifests = hls.playlists(stream, growing)
    if has_dash(stream.plan):
        manifests[DASH_MANIFEST] = dash.manifest(stream, growing)
    written = {name: text.encode() for name, text in manifests.items()}
    return {
        name: (data, StoredFile(size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()))
        for name, data in written.items()
    }


def _change(fraction: float, message: str) -> JobChange:
    return JobChange(stage=Stage.PACKAGING, progress=progress_at(Stage.PACKAGING, fraction), message=message)
