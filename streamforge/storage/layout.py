"""Where things lie in the store. One place, so that API, activities and retention can never disagree."""

from uuid import UUID

ORIGINALS = "input/"
OUTPUTS = "output/"
WORK = "work/"


def original_folder(job_id: UUID) -> str:
    return f"{ORIGINALS}{job_id}/"


def original(job_id: UUID) -> str:
    """The uploaded bytes. A fixed name: the caller's file name never becomes part of a path."""
    return f"{original_folder(job_id)}original"


def output_folder(job_id: UUID) -> str:
    return f"{OUTPUTS}{job_id}/"


def output(job_id: UUID, name: str) -> str:
    return f"{output_folder(job_id)}{name}"


def work_folder(job_id: UUID) -> str:
    """Receipts of what is encoded and scored, while the job runs."""
    return f"{WORK}{job_id}/"


def receipt(job_id: UUID, name: str) -> str:
    return f"{work_folder(job_id)}{name}.json"
