"""Samples of real films, really encoded: what a search finds is what the whole film then comes to."""

from pathlib import Path

import pytest
from clips import BUNNY, Clips
from encoding import encode_chunk
from test_probe import probe

from streamforge.contracts import tasks
from streamforge.contracts.media.per_title import Rung, SearchedPlan
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.media.source import VIDEO_TIMESCALE, Source
from streamforge.contracts.tasks import SearchTask
from streamforge.media.decoding.frames import FrameWindow, SourceFrame
from streamforge.media.encoding.per_title_probes import Montage, MontageWindow
from streamforge.media.worker.children import MediaChildren
from streamforge.packaging.presentation import average_bitrate
from streamforge.planning.per_title.search import searched_plan, with_search_result
from streamforge.planning.plan import make_plan
from streamforge.quality.scoring import ScoreBoard
from streamforge.settings import Settings


async def planned(children: MediaChildren, path: Path, codec: str = "h264", **per_title: object) -> tuple[Source, Plan]:
    settings = Settings.model_validate(
        {
            # The clips are short: whatever the search costs.
            "per_title": {"enabled": True, "max_cost": 10, **per_title},
            "transcode": {
                "codecs": [codec],
                "heights": [180, 120],
                "presets": {"hevc": "veryfast", "av1": 12},
                "max_chunk_seconds": 32,
            },
            "validation": {"max_repairs": 0},
        }
    )
    source = await probe(children, path)
    return source, make_plan(source, settings)


async def searched(children: MediaChildren, path: Path, source: Source, plan: Plan, scratch: Path) -> SearchedPlan:
    assert plan.per_title is not None
    task = SearchTask(path=path, source=source, plan=plan, per_title=plan.per_title, target=scratch)
    probed = await children.run(tasks.SEARCH, task)
    assert not any(scratch.rglob("*.m4s"))
    return searched_plan(plan, plan.per_title, probed)


def rungs(found: SearchedPlan) -> dict[str, Rung]:
    [ladder] = found.per_title.ladders
    return {rung.name: rung for rung in ladder.rungs}


async def encoded(
    children: MediaChildren, path: Path, source: Source, plan: Plan, folder: Path
) -> dict[str, tuple[float, int]]:
    """VMAF and bit/s of every rendition of the whole film."""
    board, sizes = ScoreBoard(), dict[str, list[int]]()
    for chunk in plan.chunks:
        part = await encode_chunk(children, path, source, plan, chunk, folder)
        assert part.quality is not None
        board.add(part.quality)
        for track in part.tracks:
            sizes.setdefault(track.name, []).append(average_bitrate(track))
    return {s.name: (s.vmaf.mean, sum(sizes[s.name]) // len(sizes[s.name])) for s in board.scores()}


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
async def test_the_film_comes_to_the_vmaf_that_was_asked_for(
    children: MediaChildren, clips: Clips, tmp_path: Path, codec: str
) -> None:
    source, plan = await planned(children, clips.steady, codec, drop_rungs=False, targets=[90, 80])
    found = await searched(children, clips.steady, source, plan, tmp_path / "search")
    film = await encoded(children, clips.steady, source, with_search_result(plan, found), tmp_path / "film")
    for name, rung in rungs(found).items():
        vmaf, bitrate = film[name]
        assert rung.limited_by is None
        assert rung.chosen.crf != rung.fixed.crf
        assert vmaf == pytest.approx(rung.target, abs=1.5)
        assert vmaf == pytest.approx(rung.chosen.vmaf, abs=1.5)
        assert bitrate == pytest.approx(rung.chosen.bitrate, rel=0.35)


async def test_what_is_said_of_the_fixed_ladder_holds(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    source, plan = await planned(children, clips.steady)
    found = await searched(children, clips.steady, source, plan, tmp_path / "search")
    film = await encoded(children, clips.steady, source, plan, tmp_path / "film")
    for name, rung in rungs(found).items():
        assert rung.fixed.crf == 23
        assert film[name][0] == pytest.approx(rung.fixed.vmaf, abs=1.5)


async def test_a_smaller_size_has_a_best_that_no_bits_can_raise(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    source, plan = await planned(children, BUNNY, targets=[93, 99], drop_rungs=False, max_cost=1)
    found = rungs(await searched(children, BUNNY, source, plan, tmp_path / "search"))
    assert 70 > found["180p"].best > found["120p"].best > found["120p"].chosen.vmaf
    assert found["120p"].target == pytest.approx(0.99 * found["120p"].best, abs=0.01)


async def test_a_smaller_rendition_gets_no_more_bits_than_in_the_fixed_ladder(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    source, plan = await planned(children, clips.steady, targets=[98, 98], drop_rungs=False)
    found = rungs(await searched(children, clips.steady, source, plan, tmp_path / "search"))
    assert found["180p"].chosen.crf < 23
    assert (found["120p"].chosen.crf, found["120p"].limited_by, found["120p"].probes) == (23, "crf", 1)


async def test_an_easy_film_gets_fewer_bits_and_fewer_rungs(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    source, plan = await planned(children, clips.still)
    found = await searched(children, clips.still, source, plan, tmp_path / "search")
    assert rungs(found)["180p"].chosen.crf > 28
    assert [rendition.name for rendition in found.renditions] == ["180p"]
    fixed = await encoded(children, clips.still, source, plan, tmp_path / "fixed")
    chosen = await encoded(children, clips.still, source, with_search_result(plan, found), tmp_path / "chosen")
    assert set(chosen) == {"180p"}
    assert chosen["180p"][1] < fixed["180p"][1]
    assert chosen["180p"][0] > 91.5


async def test_a_hard_film_stays_below_its_ceiling(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    """Pure noise would need many times the highest bit rate for its target."""
    source, plan = await planned(children, clips.noise, drop_rungs=False)
    found = await searched(children, clips.noise, source, plan, tmp_path / "search")
    film = await encoded(children, clips.noise, source, with_search_result(plan, found), tmp_path / "film")
    for rendition in found.renditions:
        rung = rungs(found)[rendition.name]
        assert rung.limited_by == "bitrate"
        assert rung.chosen.vmaf < rung.target
        assert rendition.max_bitrate == next(r.max_bitrate for r in plan.renditions if r.name == rendition.name)
        # What x264's buffer holds may be spent in a clip of two seconds.
        assert film[rendition.name][1] < 2.5 * rendition.max_bitrate


async def test_a_hole_in_the_film_is_left_out(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    source, plan = await planned(children, clips.half_rotten, max_cost=1)
    found = await searched(children, clips.half_rotten, source, plan, tmp_path / "search")
    assert plan.per_title is not None
    assert 0 < found.per_title.sample_seconds < len(plan.per_title.samples) * plan.per_title.sample_seconds
    for rung in rungs(found).values():
        assert 0 < rung.chosen.vmaf < rung.best < 75


async def test_a_montage_is_the_pictures_of_its_samples_without_the_gaps(children: MediaChildren, clips: Clips) -> None:
    path = clips.steady
    source, plan = await planned(children, path)
    target = plan.per_title
    assert target is not None
    assert len(target.samples) > 2
    window = MontageWindow(path, source, plan, plan.chunks[0], per_title=target)
    with Montage(window, target, threads=1) as frames:
        montage = [(frame.ticks, _luma(frame)) for frame in frames]
    length, position = round(target.sample_seconds * VIDEO_TIMESCALE), 0
    for number, sample in enumerate(target.samples):
        with FrameWindow(path, source, sample, plan.max_frame_rate) as expected:
            for frame in expected:
                ticks, luma = montage[position]
                assert ticks - number * length == frame.ticks - round(sample.start * VIDEO_TIMESCALE)
                assert luma == _luma(frame)
                position += 1
    assert position == len(montage)
    ticks = [ticks for ticks, _ in montage]
    assert ticks == sorted(set(ticks))


def _luma(frame: SourceFrame) -> bytes:
    return bytes(frame.picture.planes[0])
