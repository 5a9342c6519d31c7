"""Keys from the names of files, and workflow ids from keys: whatever a name is, it is no reason to refuse its video."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from streamforge.contracts.ids import MAX_KEY_BYTES, clean_key, key_from_filename, workflow_id

JOB = UUID("550e8400-e29b-41d4-a716-446655440000")
TEMPORALS_LIMIT = 255
"""Of its columns for workflow ids on PostgreSQL and MySQL."""


@given(st.text(max_size=600) | st.none())
def test_every_name_makes_a_key(filename: str | None) -> None:
    key = key_from_filename(filename)
    assert clean_key(key) == key


def test_a_shortened_name_keeps_its_end() -> None:
    assert key_from_filename("x" * 300 + ".mp4") == "x" * 251 + ".mp4"
    assert key_from_filename("🎬" * 100 + ".mp4") == "🎬" * 62 + ".mp4", "and no character is cut in two"
    assert key_from_filename("a." + "x" * 300) == ("a." + "x" * 300)[:MAX_KEY_BYTES], "that is no ending"


@given(st.text("aü🎬/.", min_size=1, max_size=MAX_KEY_BYTES))
def test_every_workflow_id_fits_and_tells_its_key_and_job(key: str) -> None:
    made = workflow_id(key, JOB)
    assert len(made.encode()) <= TEMPORALS_LIMIT or len(key.encode()) > MAX_KEY_BYTES
    assert made.startswith("video-processing-")
    assert made.endswith("-550e8400e29b")


def test_the_longest_key() -> None:
    assert workflow_id("films/" + "x" * 245 + ".mp4", JOB) == f"video-processing-films/{'x' * 215}.mp4-550e8400e29b"
    assert workflow_id("films/intro.mp4", JOB) == "video-processing-films/intro.mp4-550e8400e29b"
