"""Jobs that a GPU may help with, on a machine without one: what falls back, and that parts of two encoders are one stream."""

from itertools import pairwise
from pathlib import Path
from typing import cast

import av
import pytest
from clips import Clips
from encoding import Encoded, encode_chunk
from playback import decode, ffmpeg_decodes
from test_probe import probe

from streamforge.codecs.h264 import H264
from streamforge.codecs.registry import CODECS, GPU_ENCODERS
from streamforge.contracts import tasks
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.tasks import CodecsTask, EncodeResult, EncodeTask, GpuTrial, GpuTrialTask
from streamforge.media.encoding import gpu_trial
from streamforge.media.encoding.encode import run
from streamforge.media.worker.capabilities import gpus
from streamforge.media.worker.children import MediaChildren
from streamforge.media.worker.gpus import try_encoders
from streamforge.planning.gpu import with_gpu
from streamforge.planning.plan import make_plan
from streamforge.planning.trial import trial_renditions
from streamforge.settings import Settings

QUICK = Settings.model_validate(
    {
        "transcode": {"presets": {"h264": "ultrafast"}, "heights": [180, 120], "max_chunk_seconds": 4},
        "validation": {"enabled": False},
    }
)

without_gpu = pytest.mark.skipif(bool(gpus()), reason="says what happens where there is no GPU")


async def planned(children: MediaChildren, clip: Path) -> Encoded:
    source = await probe(children, clip)
    return Encoded(source, with_gpu(make_plan(source, QUICK), GPU_ENCODERS.values()), [], Path())


def gpu_options(options: dict[str, str], *, profile: int, level: int, reorders: bool) -> dict[str, str]:
    return CODECS["h264"].gpu_options(options, 6_500_000, bytes([1, profile, 0, level]), reorders=reorders)


@pytest.mark.parametrize("encoder", GPU_ENCODERS.values())
def test_a_gpu_encoder_knows_every_option_it_is_given(encoder: str) -> None:
    known = av.CodecContext.create(encoder, "w").supported_options
    names = {option.name for option in (*known.generic, *known.private)}
    assert set(gpu_options({"crf": "23"}, profile=100, level=40, reorders=True)) <= names


def test_a_gpu_is_asked_for_the_same_quality_below_the_same_ceiling() -> None:
    options = gpu_options({"crf": "23.5"}, profile=100, level=40, reorders=True)
    assert (options["rc"], options["cq"], options["maxrate"]) == ("vbr", "23.5", "6500000")
    assert (options["profile"], options["level"]) == ("high", "40")
    assert (
        gpu_options({"crf": "0"}, profile=100, level=40, reorders=True)["cq"] == "1"
    )  # 0 would be NVENC's own choice.


def test_of_players_of_the_simplest_profile_no_reordering_is_asked() -> None:
    options = gpu_options({"crf": "23"}, profile=66, level=30, reorders=True)
    assert (options["profile"], options["bf"]) == ("baseline", "0")


@pytest.mark.parametrize(("reorders", "b_frames"), [(True, "2"), (False, "0")])
def test_a_gpu_reorders_only_where_the_plan_leaves_room(reorders: bool, b_frames: str) -> None:
    assert gpu_options({"crf": "23"}, profile=100, level=40, reorders=reorders)["bf"] == b_frames


@without_gpu
async def test_where_there_is_no_gpu_none_is_tried() -> None:
    no_children = cast(MediaChildren, object())
    assert await try_encoders(no_children, Settings()) == []


@without_gpu
async def test_a_trial_says_why_an_encoder_does_not_work(children: MediaChildren) -> None:
    rendition = trial_renditions(Settings())[0].model_copy(update={"gpu_encoder": "h264_nvenc"})
    trial = await children.run(tasks.GPU_TRIAL, GpuTrialTask(rendition=rendition))
    assert trial.encoder == "h264_nvenc"
    assert trial.failure is not None
    assert "h264_nvenc" in trial.failure


WORKS = {"preset": "medium", "x264-params": "keyint=infinite:scenecut=0:open-gop=0:threads=1"}
KEY_FRAMES_OF_ITS_OWN = WORKS | {"x264-params": "keyint=2:min-keyint=1:open-gop=0:threads=1"}


def stand_in(monkeypatch: pytest.MonkeyPatch, options: dict[str, str]) -> None:
    """x264 in the place of the GPU's encoder, with options that it knows: all around it is real, so nothing of this can
    run in a media child."""
    monkeypatch.setattr(H264, "gpu_options", lambda *_, **__: options)


def on_stand_in(plan: Plan) -> Plan:
    renditions = [r.model_copy(update={"gpu_encoder": "libx264"}) for r in plan.renditions]
    return plan.model_copy(update={"renditions": renditions})


def test_the_trial_is_one_that_an_encoder_can_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    rendition = trial_renditions(Settings())[0].model_copy(update={"gpu_encoder": "libx264"})
    stand_in(monkeypatch, WORKS)
    assert gpu_trial.run(GpuTrialTask(rendition=rendition), lambda _: None) == GpuTrial(encoder="libx264")


def test_an_encoder_with_key_frames_of_its_own_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    rendition = trial_renditions(Settings())[0].model_copy(update={"gpu_encoder": "libx264"})
    stand_in(monkeypatch, KEY_FRAMES_OF_ITS_OWN)
    trial = gpu_trial.run(GpuTrialTask(rendition=rendition), lambda _: None)
    assert trial.failure is not None
    assert "fragments" in trial.failure


@pytest.mark.parametrize(("options", "fails"), [(WORKS, False), (KEY_FRAMES_OF_ITS_OWN, True)])
async def test_what_only_shows_in_the_end_falls_back_too(
    children: MediaChildren,
    clips: Clips,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: dict[str, str],
    fails: bool,
) -> None:
    film = await planned(children, clips.silent)
    plan = on_stand_in(film.plan)
    stand_in(monkeypatch, options)
    task = EncodeTask(path=clips.silent, source=film.source, plan=plan, chunk=plan.chunks[0], target=tmp_path / "gpu")
    names = frozenset(plan.names)
    encoded = run(task.model_copy(update={"on_gpu": names}), lambda _: None)
    by_cpu = run(task.model_copy(update={"target": tmp_path / "cpu"}), lambda _: None)
    assert (encoded.gpu_failure is not None) == fails
    assert (encoded.tracks == by_cpu.tracks) == fails
    for track, same in zip(encoded.tracks, by_cpu.tracks, strict=True):
        assert track.init_sha256 == same.init_sha256
        assert (track.codec_string, track.frames) == (same.codec_string, same.frames)


@without_gpu
async def test_a_part_that_the_gpu_fails_is_encoded_by_the_cpu(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    film = await planned(children, clips.small_bunny)
    chunk = film.plan.chunks[0]
    names = frozenset(rendition.name for rendition in film.plan.renditions)
    encoded = await encode(children, clips.small_bunny, film, chunk.index, tmp_path / "gpu", on_gpu=names)
    assert encoded.gpu_failure is not None
    assert "h264_nvenc" in encoded.gpu_failure
    by_cpu = await encode(children, clips.small_bunny, film, chunk.index, tmp_path / "cpu")
    assert by_cpu.gpu_failure is None
    assert encoded.tiles == by_cpu.tiles
    for track, same in zip(encoded.tracks, by_cpu.tracks, strict=True):
        assert track == same
        [written_by] = track.encoders
        assert written_by.startswith("libx264 (x264")
        folder = tmp_path / "gpu" / track.name
        joined = tmp_path / f"{track.name}.mp4"
        files = [folder / "init.mp4", *(folder / segment.file_name for segment in track.segments)]
        joined.write_bytes(b"".join(file.read_bytes() for file in files))
        assert decode(joined).frame_count == chunk.expected_frames


async def encode(
    children: MediaChildren, path: Path, film: Encoded, chunk: int, target: Path, on_gpu: frozenset[str] = frozenset()
) -> EncodeResult:
    task = EncodeTask(
        path=path,
        source=film.source,
        plan=film.plan,
        chunk=film.plan.chunks[chunk],
        target=target,
        on_gpu=on_gpu,
    )
    return await children.run(tasks.ENCODE, task)


async def test_parts_of_two_encoders_are_one_stream(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    """x264 with other tools stands in for the GPU: other parameter sets, behind the same init segment."""
    film = await planned(children, clips.slow)
    chunks = []
    for chunk in film.plan.chunks:
        plan = film.plan if chunk.index % 2 == 0 else written_otherwise(film.plan)
        chunks.append(await encode_chunk(children, clips.slow, film.source, plan, chunk, tmp_path))
    joined = Encoded(film.source, film.plan, chunks, tmp_path)
    assert len(chunks) > 2
    for rendition in film.plan.renditions:
        sets = [parameter_sets(tmp_path / f"{number}" / rendition.name) for number in (0, 1)]
        assert sets[0] != sets[1]
        file = joined.file(rendition.name, tmp_path)
        played = decode(file)
        assert played.frame_count == sum(chunk.expected_frames for chunk in film.plan.chunks) == 175
        assert all(later > earlier for earlier, later in pairwise(played.times))
        assert await ffmpeg_decodes(str(file)) == {"frames": 175}


def written_otherwise(plan: Plan) -> Plan:
    renditions = [r.model_copy(update={"options": r.options | {"preset": "medium"}}) for r in plan.renditions]
    return plan.model_copy(update={"renditions": renditions})


def parameter_sets(folder: Path) -> bytes:
    """What stands before the first picture: SPS (type 7) and PPS (8), each behind 4 bytes of length."""
    data = min(folder.glob("*.m4s"), key=lambda file: int(file.stem)).read_bytes()
    at, found = data.index(b"mdat") + 4, b""
    while data[at + 4] & 0x1F in {7, 8}:
        size = int.from_bytes(data[at : at + 4])
        found += data[at : at + 4 + size]
        at += 4 + size
    assert found
    return found


async def test_a_stream_that_a_gpu_may_help_with_says_so(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    film = await planned(children, clips.small_bunny)
    asked = await children.run(tasks.CODECS, CodecsTask(source=film.source, plan=film.plan))
    encoded = await encode(children, clips.small_bunny, film, 0, tmp_path)
    assert {track.name: track.codec_string for track in encoded.tracks} == asked.codec_strings
    assert all(string.startswith("avc3.42") for string in asked.codec_strings.values())
    every_key_frame = [parameter_sets(tmp_path / track.name) for track in encoded.tracks]
    assert len(every_key_frame) == 2
