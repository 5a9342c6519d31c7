"""What may be asked of a job: each field of JobOptions is taken at every door, kept, echoed, and handed on."""

import asyncio
import inspect
import json
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import BaseModel
from serving import Api, assert_problem
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from streamforge.cli import sending
from streamforge.contracts.job_options import JobOptions, WorkOptions
from streamforge.contracts.pipeline import PlanVideo, ProbeInput, ProcessVideo
from streamforge.db.jobs import EVERYONE, Jobs

ASKED = {
    "priority": "1",
    "profile": "hevc",
    "captions": "pt-BR",
    "on_damage": "keep",
    "external_id": "order-42",
    "metadata": '{"owner": {"name": "Zoë"}, "tags": [1, null], "none": null}',
    "playback": "signed",
    "webhook_url": "https://user:pass@example.org:8443/hook?token=hush",
}
"""One of each, as a form has it. A new option gets an example here, and all that follows asks for it."""

ECHOED = ASKED | {
    "priority": 1,
    "metadata": json.loads(ASKED["metadata"]),
    "webhook_url": "https://example.org:8443/…",
}


def test_there_is_an_example_of_every_option() -> None:
    assert ASKED.keys() == JobOptions.model_fields.keys()
    default = JobOptions().model_dump(mode="json")
    assert [name for name, value in ECHOED.items() if value == default[name]] == []


async def test_every_option_of_a_form_is_kept_and_echoed(api: Api, rows: Jobs) -> None:
    job_id = await api.post_ok(**ASKED)
    assert (await api.job(job_id))["options"] == ECHOED
    kept = await rows.of(EVERYONE).get(UUID(job_id))
    assert kept is not None
    assert kept.options.webhook_url == ASKED["webhook_url"]


async def test_every_option_is_for_all_videos_of_a_batch(api: Api) -> None:
    videos = [("video", (name, b"some bytes", "video/mp4")) for name in ("a.mp4", "b.mp4")]
    answer = await api.http.post("/batches", files=videos, data=ASKED)
    for job in answer.raise_for_status().json()["jobs"]:
        assert (await api.job(job["job_id"]))["options"] == ECHOED


async def test_every_option_can_be_given_on_the_command_line(api: Api, tmp_path: Path) -> None:
    assert JobOptions.model_fields.keys() <= inspect.signature(sending.submit).parameters.keys()
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"some bytes")
    given = [word for name, text in ASKED.items() for word in (f"--{name.replace('_', '-')}", text)]
    command = [sys.executable, "-m", "streamforge", "submit", str(video), *given, "--url", api.url]
    sent = await asyncio.to_thread(subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert sent.returncode == 0, sent.stderr
    assert (await api.job(sent.stdout.strip()))["options"] == ECHOED


async def test_what_is_not_asked_for_is_echoed_as_the_default(api: Api) -> None:
    job_id = await api.post_ok(**dict.fromkeys(set(ASKED) - {"priority"}, ""))
    assert (await api.job(job_id))["options"] == JobOptions().model_dump(mode="json")


async def test_what_was_at_the_top_of_a_job_stays_there(api: Api) -> None:
    job = await api.job(await api.post_ok(**ASKED))
    for name in ("external_id", "metadata", "priority", "profile"):
        assert job[name] == ECHOED[name]


@pytest.mark.parametrize("option", ASKED)
async def test_no_option_is_taken_twice(api: Api, option: str) -> None:
    for path, files in (("/process", 1), ("/batches", 2)):
        parts = [("video", (f"{n}.mp4", b"some bytes")) for n in range(files)]
        twice = [(option, (None, ASKED[option].encode()))] * 2
        assert_problem(await api.http.post(path, files=[*parts, *twice]), 400, "request.invalid_field")


# ── what workers are told ───────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("model", [ProcessVideo, ProbeInput, PlanVideo])
def test_every_option_that_changes_the_work_is_an_input_of_it(model: type[BaseModel]) -> None:
    assert issubclass(model, WorkOptions)


async def test_the_workflow_gets_them_where_versions_before_look_for_them(
    api_with_temporal: Api, temporal_address: str, rows: Jobs
) -> None:
    """Beside its other fields: a worker of a version before would else take the defaults, and nobody would notice. And
    what workers have no use for does not lie in Temporal, where passwords of webhooks would be shown."""
    api = api_with_temporal
    job = await api.job(await api.post_ok(**ASKED))
    client = await Client.connect(temporal_address, data_converter=pydantic_data_converter)
    async with asyncio.timeout(20):
        while (row := await rows.of(EVERYONE).get(UUID(str(job["id"])))) is None or row.launched_at is None:
            await asyncio.sleep(0.01)
    handle = client.get_workflow_handle(str(job["workflow_id"]))
    started = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    sent = json.loads(started.input.payloads[0].data)
    of_work = {name: ECHOED[name] for name in WorkOptions.model_fields}
    assert {name: sent.get(name) for name in of_work} == of_work
    assert sent.keys().isdisjoint(JobOptions.model_fields.keys() - of_work.keys())
