"""One trace from POST to done, as a real receiver gets it, and the same ids in the log lines of every process."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from clips import Clips
from logged import logging_as
from otlp import Receiver, Span, receiver
from serving import serving
from system import System
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from streamforge.observability.job_logs import as_text, lines_of
from streamforge.observability.tracing import tracing_of
from streamforge.settings import Settings, TracingSettings
from streamforge.temporal.trails import HandsOnOrigins
from streamforge.worker.run import worker
from workflows.process_video import ProcessVideoWorkflow

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
STAGES = {"uploading", "transcoding", "validation", "packaging", "storage"}
HISTORIES = sorted((Path(__file__).parents[1] / "workflows" / "histories").glob("*.json"))


@pytest.fixture
def otlp() -> Iterator[Receiver]:
    with receiver() as received:
        yield received


@pytest.fixture
def logged(settings: Settings) -> Iterator[Path]:
    """API and worker are this process here: one log file."""
    with logging_as("worker", settings):
        yield settings.data_dir / "logs" / "worker-1.jsonl"


@pytest.fixture
async def one_job(settings: Settings, otlp: Receiver, clips: Clips, one_zygote: None, logged: Path) -> dict[str, Any]:
    """A job that somebody sent who traces, too. The spans are there when its processes have stopped."""
    traced = settings.model_copy(update={"tracing": TracingSettings(endpoint=otlp.url)})
    async with serving(traced) as api, worker(traced) as temporal:
        api.http.headers.update({"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-ID": "the-request"})
        done = await System(api, temporal).process(clips.small)
        assert done.job["status"] == "completed"
    return done.job


def only(spans: list[Span], name: str) -> Span:
    [found] = [span for span in spans if span.name == name]
    return found


async def test_one_trace_from_post_to_done(one_job: dict[str, Any], otlp: Receiver, logged: Path) -> None:
    assert set(otlp.paths) == {"/v1/traces"}
    spans = otlp.of(TRACE)
    by_id = {span.id: span for span in spans}
    assert len(by_id) == len(spans)

    post, job = only(spans, "POST process"), only(spans, "ProcessVideo")
    assert (post.service, post.parent) == ("streamforge-api", CALLER)
    assert post.attributes["http.response.status_code"] == 202
    assert (job.service, job.parent) == ("streamforge-worker", post.id)
    assert job.attributes["streamforge.job_id"] == one_job["id"]
    assert job.attributes["streamforge.status"] == "completed"

    stages = {span.name: span for span in spans if span.parent == job.id and span.name in STAGES}
    assert stages.keys() == STAGES
    for name, stage in (
        ("probe", "uploading"),
        ("validate", "validation"),
        ("package", "packaging"),
        ("store", "storage"),
    ):
        activity = only(spans, name)
        assert activity.parent == stages[stage].id
        assert activity.attributes["streamforge.attempt"] == 1
        assert activity.attributes["streamforge.job_id"] == one_job["id"]
    assert only(spans, "record_outcome").parent == job.id

    chunks = [span for span in spans if span.name == "transcode_chunk"]
    assert chunks
    for chunk in chunks:
        assert chunk.parent == stages["transcoding"].id
        assert chunk.attributes["streamforge.chunk"] == 0
        assert {span.parent for span in spans if span.name == "child encode"} <= {each.id for each in chunks}
    assert only(spans, "child probe").parent == only(spans, "probe").id

    for span in spans:
        assert span.began <= span.ended
        assert span.parent == CALLER or span.parent in by_id, f"{span.name} hangs in the air"
    assert not [span for span in spans if span.failed]

    # ── and the lines of the log ──
    lines = [json.loads(line) for line in logged.read_text(encoding="utf-8").splitlines()]
    mine = [line for line in lines if line.get("job_id") == one_job["id"]]
    events = {line["event"] for line in mine}
    assert {
        "job accepted",
        "Temporal has the job",
        "stage began",
        "activity done",
        "media child ended",
        "request",
    } <= events
    of_the_post = [
        line for line in mine if line["event"] in {"job accepted", "stage began", "activity done", "media child ended"}
    ]
    assert {line["request_id"] for line in of_the_post} == {"the-request"}
    assert {line["trace_id"] for line in of_the_post} == {TRACE}
    assert {line["stage"] for line in mine if line["event"] == "stage began"} == STAGES - {"uploading"} | {"completed"}
    child = next(line for line in mine if line["event"] == "media child ended" and line["task"] == "encode")
    assert (child["activity"], child["chunk"], child["attempt"], child["stage"]) == (
        "transcode_chunk",
        0,
        1,
        "transcoding",
    )
    assert child["workflow_id"] == one_job["workflow_id"]
    [run] = {line["run_id"] for line in mine if "run_id" in line}
    assert UUID(run)

    # ── as `streamforge logs` has them ──
    shown = lines_of(logged.parents[1], UUID(one_job["id"]))
    assert [line.fields["timestamp"] for line in shown] == sorted(line["timestamp"] for line in mine)
    assert "job accepted" in as_text(shown[0])


async def test_a_job_that_fails_is_an_error_with_its_code_in_the_stage_where_it_failed(
    settings: Settings, otlp: Receiver, one_zygote: None
) -> None:
    traced = settings.model_copy(update={"tracing": TracingSettings(endpoint=otlp.url)})
    async with serving(traced) as api, worker(traced) as temporal:
        failed = await System(api, temporal).process(b"this is no video")
    job = only(otlp.spans, "ProcessVideo")
    spans = otlp.of(job.trace)
    assert job.failed
    assert (only(spans, "uploading").failed, only(spans, "probe").failed) == (True, True)
    assert only(spans, "POST process").id == job.parent
    assert job.attributes["streamforge.job_id"] == failed.id


async def test_a_dry_run_is_part_of_its_request(
    settings: Settings, otlp: Receiver, clips: Clips, one_zygote: None
) -> None:
    traced = settings.model_copy(update={"tracing": TracingSettings(endpoint=otlp.url)})
    async with serving(traced) as api, worker(traced):
        planned = await api.http.post("/process?dry_run=true", files={"video": clips.small.read_bytes()})
        assert planned.status_code == 200, planned.text
    post = only(otlp.spans, "POST process")
    plan = only(otlp.of(post.trace), "plan")
    assert (plan.parent, plan.service) == (post.id, "streamforge-worker")
    assert only(otlp.of(post.trace), "child probe").parent == plan.id


async def test_without_a_receiver_a_callers_trace_is_in_the_lines_all_the_same(
    system: System, clips: Clips, logged: Path
) -> None:
    system.api.http.headers.update({"traceparent": f"00-{TRACE}-{CALLER}-01"})
    done = await system.process(clips.small)
    lines = [json.loads(line) for line in logged.read_text(encoding="utf-8").splitlines()]
    assert {line["trace_id"] for line in lines if line["event"] == "activity done" and line["job_id"] == done.id} == {
        TRACE
    }


@pytest.mark.parametrize(
    "sent", ["nonsense", f"00-{'0' * 32}-{CALLER}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{CALLER}-01"]
)
async def test_what_is_no_traceparent_is_nobodys(system: System, sent: str) -> None:
    refused = await system.api.http.post("/process", headers={"traceparent": sent, "Content-Type": "text/plain"})
    assert refused.status_code < 500


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_recorded_histories_replay_with_traces_on(path: Path, otlp: Receiver) -> None:
    """And nothing is told again."""
    async with tracing_of(TracingSettings(endpoint=otlp.url), "worker") as tracing:
        replayer = Replayer(
            workflows=[ProcessVideoWorkflow],
            data_converter=pydantic_data_converter,
            interceptors=[HandsOnOrigins(tracing)],
        )
        history = WorkflowHistory.from_json(f"video-processing-{path.stem}", path.read_text(encoding="utf-8"))
        await replayer.replay_workflow(history)
    assert otlp.spans == []
