"""What a receipt says about times and retries."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sources import audio, source, stream, video

from streamforge.contracts.job import Playback, Stage
from streamforge.contracts.media.plan import Transcription
from streamforge.contracts.pipeline import (
    EncodedPart,
    EncodedStream,
    PackagedStream,
    ProcessVideoResult,
    StoredSource,
    StoreInput,
    ValidatedStream,
)
from streamforge.packaging.receipt import job_receipt, retries, stage_times
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def part(attempt: int) -> EncodedPart:
    return EncodedPart(receipt="r", frames=1, size_bytes=1, attempt=attempt)


def work(**changes: object) -> StoreInput:
    found = source(video(320, 180), audio())
    known = {
        "original": StoredSource(job_id=uuid4(), source_object="input/x/original", size_bytes=1, sha256="0" * 64),
        "source": found,
        "plan": make_plan(found, Settings()),
        "encoded": EncodedStream(chunks=[[part(1)]], audio=[part(1)]),
        "packaged": PackagedStream(manifests={}),
    }
    return StoreInput.model_validate(known | changes)


def test_a_stage_lasts_until_the_next_one_begins() -> None:
    began = {Stage.UPLOADING: BEGIN, Stage.TRANSCODING: BEGIN + timedelta(seconds=1.5)}
    times = stage_times(began, BEGIN + timedelta(seconds=10))
    assert [(t.stage, t.seconds) for t in times] == [(Stage.UPLOADING, 1.5), (Stage.TRANSCODING, 8.5)]
    assert stage_times({}, BEGIN) == []


def test_a_clock_that_is_behind_makes_no_stage_negative() -> None:
    assert [t.seconds for t in stage_times({Stage.STORAGE: BEGIN}, BEGIN - timedelta(seconds=1))] == [0]


def test_retries_of_all_parts_are_summed_and_what_went_well_at_once_is_left_out() -> None:
    encoded = EncodedStream(chunks=[[part(1), part(3)], [part(2)]], audio=[part(1)])
    validated = ValidatedStream(scores=[], repairs=[], repair_count=0, attempt=2)
    assert retries(work(encoded=encoded, validated=validated), attempt=1) == {"transcode_chunk": 3, "validate": 1}
    assert retries(work(), attempt=1) == {}
    assert retries(work(probe_attempt=2), attempt=4) == {"probe": 1, "store": 3}


@pytest.mark.parametrize(
    ("model", "told"), [("/srv/models/tiny", "tiny"), ("Systran/faster-whisper-tiny", "Systran/faster-whisper-tiny")]
)
def test_where_things_lie_on_a_server_is_nobodys_business(model: str, told: str) -> None:
    heard = Transcription(
        name="captions",
        stream_index=1,
        language=None,
        model=model,
        allow_download=False,
        device="cpu",
        compute_type="auto",
    )
    found = work()
    found.plan.transcription = heard
    presentation = stream(audio(), picture=video(320, 180))
    result = ProcessVideoResult(
        duration=1, size_bytes=1, file_count=1, source_sha256="", renditions=[], playback=Playback(hls="/h", dash="/d")
    )
    receipt = job_receipt(found, presentation, result, {}, versions={}, attempt=1, now=BEGIN)
    assert "input/x/original" not in receipt.model_dump_json()
    assert receipt.plan.transcription is not None
    assert receipt.plan.transcription.model == told
