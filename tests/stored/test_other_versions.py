"""What versions before this one have stored is read by it: rows, work records, receipts, and what running workflows know.

The shapes were recorded by the versions themselves; see record_shape.py.
"""

import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from factories import COMPLETED, accepted, run_sql
from obstore.store import MemoryStore
from pydantic import TypeAdapter
from serving import read_everywhere, serving
from sources import source, video
from structlog.testing import capture_logs

from activities.publish import _latest_of_each
from activities.support import work_records
from streamforge.contracts import pipeline, steps
from streamforge.contracts.job_options import JobOptions
from streamforge.contracts.media.encoded import EncodedTracks
from streamforge.contracts.media.plan import EncodePlan, Plan, SearchPlan, StreamPlan
from streamforge.contracts.media.scores import PartQuality
from streamforge.contracts.media.stills import TileSet
from streamforge.contracts.receipt import Receipt
from streamforge.db import migrations
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.pool import Database
from streamforge.embedded.ports import free_port
from streamforge.events.log import EventLog
from streamforge.planning.plan import make_plan
from streamforge.settings import DatabaseSettings, ServerSettings, Settings, TemporalSettings
from streamforge.storage import layout
from streamforge.storage.bucket import BucketStorage
from streamforge.storage.local import LocalStorage
from streamforge.verification import verify

Shape = dict[str, Any]

RECEIPTS = {
    work_records.CHUNK: EncodedTracks,
    work_records.AUDIO: EncodedTracks,
    work_records.QUALITY: PartQuality,
    work_records.PICTURES: TileSet,
    "published": pipeline.PublishedSoFar,
}
ROWS = {step.name: step for step in steps.ALL}
SCORES_OF_ANOTHER_KIND = {"2026-11-22-first-streams"}


async def as_it_was(dsn: str, shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database as that version left it: its schema, and its rows."""
    then = {name: script for name, script in migrations._migrations().items() if name in shape["migrations"]}
    with monkeypatch.context() as patches:
        patches.setattr(migrations, "_migrations", lambda: then)
        await migrations.apply_migrations(dsn)
    for table, rows in shape["rows"].items():
        await run_sql(dsn, f"DELETE FROM {table}")
        await run_sql(
            dsn, f"INSERT INTO {table} SELECT * FROM jsonb_populate_recordset(NULL::{table}, $1)", json.dumps(rows)
        )
    await run_sql(dsn, "SELECT setval('progress_events_id_seq', (SELECT max(id) FROM progress_events))")


@pytest.fixture
async def old_dsn(empty_database_dsn: str, shape: Shape, monkeypatch: pytest.MonkeyPatch) -> str:
    await as_it_was(empty_database_dsn, shape, monkeypatch)
    return empty_database_dsn


def settings_for(dsn: str, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        server=ServerSettings(port=0),
        database=DatabaseSettings(dsn=dsn),
        temporal=TemporalSettings(address=f"127.0.0.1:{free_port()}"),
    )


async def test_a_job_of_another_version_is_shown_by_every_address(
    shape: Shape, old_dsn: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    async with serving(settings_for(old_dsn, tmp_path)) as api:
        job = await read_everywhere(api, shape["job_id"])
    assert (job["status"], job["progress"], job["metadata"]) == ("completed", 100, {"a": [1]})
    assert job["options"] == JobOptions(metadata={"a": [1]}).model_dump(mode="json")
    assert job["result"]["file_count"] > 0
    assert job["playback"]["hls"] == f"/media/{job['id']}/master.m3u8"
    [rendition] = job["renditions"]
    of_another_kind = request.node.callspec.id in SCORES_OF_ANOTHER_KIND
    assert job["unreadable"] == (["renditions.0.vmaf"] if of_another_kind else [])
    assert (rendition["vmaf"] is None) == of_another_kind


async def test_a_job_that_was_running_goes_on(shape: Shape, old_dsn: str) -> None:
    await run_sql(
        old_dsn,
        "UPDATE jobs SET status = 'processing', stage = 'transcoding', progress = 20, completed_at = NULL, result = NULL",
    )
    job_id = UUID(shape["job_id"])
    await migrations.apply_migrations(old_dsn)
    database = await Database.open(old_dsn)
    jobs, events = Jobs(database), EventLog(database)
    told = await events.append(job_id, COMPLETED)
    assert told is not None
    assert told.seq == len(shape["rows"]["progress_events"]) + 1
    job = await jobs.of(EVERYONE).get(job_id)
    assert job is not None
    assert (job.status, job.progress) == ("completed", 100)
    assert await jobs.delete([job_id]) == [job_id]
    await database.close()


ACCEPTED_BY_0010 = """
    INSERT INTO jobs (id, key, workflow_id, source_object, size_bytes, external_id, metadata, priority, profile,
                      webhook_url, captions, on_damage, source_sha256, stage, progress, event_seq)
    VALUES ($1, 'film.mp4', 'film', 'input', 1, 'order-42', '{"a": null}', 2, 'hevc',
            'https://example.org/hook', 'pt-BR', 'keep', '00', 'uploading', 5, 1)"""
"""What an API of that version does with an upload."""
READ_BY_0010 = (
    "SELECT priority, profile, captions, on_damage, external_id, metadata::text, webhook_url FROM jobs WHERE id = $1"
)
"""What its launcher starts a workflow with, and what it shows."""

ASKED = JobOptions(
    priority=2, profile="hevc", captions="pt-BR", on_damage="keep", external_id="order-42", metadata={"a": None},
    webhook_url="https://example.org/hook",
)  # fmt: skip


async def test_a_job_that_an_older_api_accepts_has_its_options(database_dsn: str, jobs: Jobs) -> None:
    """They were columns up to 0010. APIs are updated one after the other: the first one brings the new schema."""
    await run_sql(database_dsn, ACCEPTED_BY_0010, UUID(int=1))
    job = await jobs.of(EVERYONE).get(UUID(int=1))
    assert job is not None
    assert job.options == ASKED


async def test_an_older_api_starts_a_job_with_what_was_asked_of_a_later_one(database_dsn: str, jobs: Jobs) -> None:
    for options, read in (
        (ASKED, (2, "hevc", "pt-BR", "keep", "order-42", '{"a": null}', "https://example.org/hook")),
        (JobOptions(), (3, None, None, "fail", None, None, None)),
    ):
        [row] = await run_sql(database_dsn, READ_BY_0010, await accepted(jobs, **dict(options)))
        assert tuple(row) == read


async def test_what_was_encoded_is_not_encoded_again(shape: Shape) -> None:
    bucket = BucketStorage(MemoryStore())
    read = 0
    for name, content in shape["work"].items():
        kind = next((kind for begin, kind in RECEIPTS.items() if name.startswith(begin)), None)
        if kind is not None:
            await bucket.put_bytes(name, json.dumps(content).encode())
            assert await work_records.find(bucket, name, kind) is not None
            read += 1
    assert read >= 3


def test_what_a_running_workflow_knows_can_be_read(shape: Shape) -> None:
    pipeline.ProcessVideo.model_validate(shape["input"])
    assert shape["input"].keys() <= pipeline.ProcessVideo.model_fields.keys(), (
        "a worker of that version looks for these"
    )
    ours = [done for done in shape["activities"] if done["activity"] in ROWS]
    assert len(ours) >= 8
    for done in ours:
        step = ROWS[done["activity"]]
        step.takes.model_validate(done["input"])
        TypeAdapter(step.gives).validate_python(done["result"])


async def test_a_receipt_of_another_version_can_be_verified(shape: Shape, tmp_path: Path) -> None:
    if shape["result"] is None:
        pytest.skip("it wrote none")
    Receipt.model_validate(shape["result"])
    shape["result"]["plan"] = {"of": "a later version"}
    (tmp_path / "result.json").write_text(json.dumps(shape["result"]), encoding="utf-8")
    verified = await verify(str(tmp_path))
    assert {problem.name for problem in verified.problems} == set(shape["result"]["files"])
    assert {problem.sentence for problem in verified.problems} == {"is missing"}


async def test_a_work_record_that_cannot_be_read_is_work_to_be_done() -> None:
    """Of a later version, or cut short: it is logged, and its piece encoded again."""
    bucket = BucketStorage(MemoryStore())
    for content in (b'{"tracks": [{"name": "720p"}]}', b"{", b""):
        await bucket.put_bytes("work/x/chunk-1.json", content)
        with capture_logs() as said:
            assert await work_records.find(bucket, "work/x/chunk-1.json", EncodedTracks) is None
        assert [entry["event"] for entry in said] == ["a work record cannot be read; its work is done again"]


async def test_a_piece_that_two_versions_have_written_is_shown_once(tmp_path: Path) -> None:
    """The name of a work record has the version of the encoders in it: that of a killed worker lies beside the new one."""
    store, work = LocalStorage(tmp_path), layout.work_folder(UUID(int=0))
    for number, name in enumerate(
        ("chunk-00000-720p-bb", "chunk-00000-720p-aa", "chunk-00001-720p-cc", "audio-0-so-far")
    ):
        await store.put_bytes(f"{work}{name}.json", b"{}")
        os.utime(tmp_path / f"{work}{name}.json", (number, number))
    found = [info async for info in store.walk(work)]
    kept = [name.removeprefix(work) for name in _latest_of_each(found)]
    assert kept == ["audio-0-so-far.json", "chunk-00000-720p-aa.json", "chunk-00001-720p-cc.json"]


@pytest.mark.parametrize("kind", [EncodePlan, SearchPlan, StreamPlan, Plan])
def test_what_workers_of_before_ask_of_a_plan_is_in_it(kind: type[EncodePlan]) -> None:
    """An older worker beside newer ones, or after an upgrade that is turned back, refused plans without these two and tried
    again for ever."""
    settings = Settings.model_validate({"per_title": {"enabled": True, "max_cost": 10}})
    whole = make_plan(source(video(duration=600)), settings)
    sent = json.loads(kind.of(whole).model_dump_json())
    assert {"audio", "chunks"} <= sent.keys()
    assert len(sent["chunks"]) == (len(whole.chunks) if kind is Plan else 0)
