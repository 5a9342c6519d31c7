"""Where things lie in the store. One place, so that API, activities and retention can never disagree."""

from collections.abc import Collection, Sequence
from uuid import UUID

from streamforge.contracts.job import Playback, TextView
from streamforge.contracts.media.encoded import TextTrack
from streamforge.contracts.media.plan import EncodePlan
from streamforge.packaging.encryption import has_dash, license_url
from streamforge.packaging.presentation import DASH_MANIFEST, HLS_MASTER, TEXT_FILE
from streamforge.planning.stills import POSTER, THUMBNAILS

ORIGINALS = "input/"
OUTPUTS = "output/"
WORK = "work/"
SEARCHES = "searches/"
INCOMING = "incoming/"
OF_JOBS = (ORIGINALS, OUTPUTS, WORK, INCOMING)
"""Those that hold a folder for each job."""
FOLDERS = (*OF_JOBS, SEARCHES)
"""All that we write into. What lies beside them in a shared bucket is somebody else's."""
COMPLETE = "complete"
"""Written last into the folder of growing manifests: from then on it is the one that is shown."""


def job_folders(job_id: UUID) -> list[str]:
    """All that may be there of a job."""
    return [f"{folder}{job_id}/" for folder in OF_JOBS]


def original_folder(job_id: UUID) -> str:
    return f"{ORIGINALS}{job_id}/"


def original(job_id: UUID) -> str:
    """The uploaded bytes. A fixed name: the caller's file name never becomes part of a path."""
    return f"{original_folder(job_id)}original"


def incoming_folder(upload_id: UUID) -> str:
    """What has come of an upload that can be resumed. That of a job has the job's id."""
    return f"{INCOMING}{upload_id}/"


def beginning_folder(upload_id: UUID) -> str:
    """A copy of an upload's first bytes, for whoever looks at them while the others come."""
    return f"{INCOMING}{upload_id}-beginning/"


def output_folder(job_id: UUID) -> str:
    return f"{OUTPUTS}{job_id}/"


def output(job_id: UUID, name: str) -> str:
    return f"{output_folder(job_id)}{name}"


def work_folder(job_id: UUID) -> str:
    """Records of what is encoded and scored, while the job runs."""
    return f"{WORK}{job_id}/"


def work_record(job_id: UUID, name: str) -> str:
    return f"{work_folder(job_id)}{name}.json"


def growing_folder(job_id: UUID) -> str:
    """Manifests of a stream that is still being encoded, a folder for each time that they were written. The final ones are
    other objects, so that nobody who comes late with these can write over those."""
    return f"{work_folder(job_id)}growing/"


def growing(job_id: UUID, number: int, attempt: int) -> str:
    """The folder of one time; sorted by name, the newest is the last. `attempt` is that of the activity which writes."""
    return f"{growing_folder(job_id)}{number:06}-{attempt:06}/"


def file_of_record(record_name: str, file_name: str) -> str:
    """A file that belongs to a record."""
    return f"{record_name.removesuffix('.json')}-{file_name}"


def search(source_sha256: str, digest: str) -> str:
    """What a per-title search measured: of the bytes, not of a job, so that the same film is searched once."""
    return f"{SEARCHES}{source_sha256}/{digest}.json"


def media(job_id: UUID, name: str) -> str:
    """Where the API serves a file of a job's output."""
    return f"/media/{job_id}/{name}"


def playback(job_id: UUID, plan: EncodePlan, text: Sequence[TextTrack] = (), files: Collection[str] = ()) -> Playback:
    """Where the API serves a job's manifests, from its first playable second to its last day, its texts, and those of its
    pictures that are among `files`."""
    return Playback(
        hls=media(job_id, HLS_MASTER),
        dash=media(job_id, DASH_MANIFEST) if has_dash(plan) else None,
        poster=media(job_id, POSTER) if POSTER in files else None,
        thumbnails=media(job_id, THUMBNAILS) if THUMBNAILS in files else None,
        license=license_url(plan.protection),
        captions=[
            TextView(
                label=track.label,
                language=track.language,
                kind="captions" if track.generated or track.hearing_impaired else "subtitles",
                generated=track.generated,
                src=media(job_id, f"{track.name}/{TEXT_FILE}"),
            )
            for track in text
        ],
    )
