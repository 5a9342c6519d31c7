"""Closed captions of CEA-608 are kept as WebVTT, wherever they are in a file."""

from pathlib import Path

import av
import pytest
from clips import MEDIA, X264, ffmpeg, picture
from encoding import encode
from hypothesis import given
from hypothesis import strategies as st
from line21 import (
    ABOVE,
    BOTTOM,
    BS,
    CR,
    EDM,
    ENM,
    EOC,
    RCL,
    RDC,
    RU2,
    TR,
    Pairs,
    captioned,
    control,
    on_dvd,
    one_pair_a_picture,
    pop_on,
    text,
    triples,
)
from test_probe import probe
from test_sources import settings
from texts import cues_of, keep_subtitles

from streamforge.media.text.cea608 import LONGEST_SECONDS, Caption, CaptionReader, cc_data, channels, spread
from streamforge.media.worker.children import MediaChildren


def read(*said: tuple[float, Pairs], channel: int = 1, field: int = 0) -> list[Caption]:
    reader = CaptionReader(channel)
    done = [caption for seconds, pairs in said for caption in reader.take(seconds, triples(pairs, field))]
    return [*done, *reader.finish()]


# ── what the bytes say ──────────────────────────────────────────────────────────────────────────────────────────────
def test_pop_on_shows_what_was_written_unseen() -> None:
    said = [(1, pop_on("HELLO")), (3, pop_on("there!")), (5, control(EDM))]
    assert read(*said) == [Caption(1, 3, "HELLO"), Caption(3, 5, "there!")]


def test_rows_come_from_top_to_bottom_in_whatever_order_they_are_written() -> None:
    pairs = [*control(RCL, ENM), BOTTOM, *text("below"), ABOVE, *text("above"), *control(EOC)]
    assert read((0, pairs), (2, control(EDM))) == [Caption(0, 2, "above\nbelow")]


def test_roll_up_moves_up_a_row_and_loses_the_first() -> None:
    line = lambda said: [*control(RU2, CR), BOTTOM, BOTTOM, *text(said)]  # noqa: E731
    assert read((0, line("one")), (2, line("two")), (4, line("three")), (6, control(EDM))) == [
        Caption(0, 2, "one"),
        Caption(2, 4, "one\ntwo"),
        Caption(4, 6, "two\nthree"),
    ]


def test_paint_on_is_seen_as_it_is_written() -> None:
    pairs = [*control(RDC), BOTTOM, *text("painted")]
    assert read((1, pairs), (4, control(EDM))) == [Caption(1, 4, "painted")]


def test_what_nobody_erases_goes_by_itself() -> None:
    assert read((1, pop_on("stays"))) == [Caption(1, 1 + LONGEST_SECONDS, "stays")]


def test_letters_beyond_ascii() -> None:
    """A special one; an extended one, which takes the place of the one before it; and those that differ from ASCII."""
    note, accent = (0x11, 0x37), (0x12, 0x30)
    pairs = [*control(RCL, ENM), BOTTOM, note, note, *text("*n A"), accent, accent, *control(EOC)]
    assert read((0, pairs), (1, control(EDM)))[0].text == "♪án À"


def test_commands_come_twice_and_count_once() -> None:
    once = [*control(RCL, ENM, twice=False), BOTTOM, *text("abc"), *control(BS), *control(EOC, twice=False)]
    assert read((0, once), (1, control(EDM)))[0].text == "ab"


def test_channels_do_not_mix() -> None:
    both = [*pop_on("mine"), *control(RCL, channel=1), *text("theirs"), *control(EOC, channel=1)]
    assert read((0, both), (1, control(EDM)))[0].text == "mine"
    assert channels(triples(both)) == {1, 2}
    third = read((0, pop_on("third")), (1, control(EDM)), channel=3, field=1)
    assert third == [Caption(0, 1, "third")]
    assert channels(triples(pop_on("third"), field=1)) == {3}


def test_programme_data_and_pages_of_text_are_no_captions() -> None:
    about = [(0x01, 0x03), *text("NEWS"), (0x0F, 0x1D)]
    page = [*control(TR), *text("weather"), *control(BS)]
    assert read((0, pop_on("said")), (1, [*about, *page]), (2, control(EDM))) == [Caption(0, 2, "said")]


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 127), st.integers(0, 127)), max_size=300), st.integers(1, 4)
)
def test_whatever_the_bytes_are_captions_come_in_order(pairs: list[tuple[int, int, int]], channel: int) -> None:
    reader = CaptionReader(channel)
    found: list[Caption] = []
    for number, (field, first, second) in enumerate(pairs):
        found += reader.take(number, triples([(first, second)], field))
    found += reader.finish()
    assert all(caption.text and caption.start <= caption.end for caption in found)
    assert [caption.start for caption in found] == sorted(caption.start for caption in found)


@given(st.binary(max_size=200))
def test_whatever_follows_its_mark_it_is_read_within_the_packet(rest: bytes) -> None:
    data = cc_data(b"\xb5\x00\x31GA94\x03" + rest)
    assert len(data) <= 93 + len(rest)
    assert all(seconds < 2 for seconds, _ in spread(cc_data(b"\0\0\1\xb2CC\1\xf8" + rest[:60])))
    assert channels(data) <= {1, 2, 3, 4}


# ── where it is in a file ───────────────────────────────────────────────────────────────────────────────────────────
async def test_a_track_of_captions_is_kept(children: MediaChildren, tmp_path: Path) -> None:
    plan, kept = await keep_subtitles(children, MEDIA / "cases" / "clocks" / "20-eia608-track.mov", tmp_path)
    [track] = kept.tracks
    assert (track.label, track.language, track.hearing_impaired) == ("CC1", None, True)
    [cue] = cues_of(tmp_path, track.name)
    assert cue.text == "HELLO"
    assert 1000 <= cue.start_ms <= 1400
    assert cue.end_ms == 5000
    assert plan.warnings == kept.warnings == []


SAID = (
    one_pair_a_picture(25, pop_on("First"))
    | one_pair_a_picture(60, pop_on("Second"))
    | one_pair_a_picture(90, control(EDM))
)
"""The last pair of `pop_on` is its 10th or 11th: it shows at 34 and 70."""

FILMS = {
    "mp4": [*X264, "-bf", "2"],
    "mkv": [*X264, "-bf", "2"],
    "ts": [*X264, "-bf", "2"],
    "hevc.mp4": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:bframes=3"],
    "mpg": ["-c:v", "mpeg2video", "-bf", "2"],
    "mpeg2.ts": ["-c:v", "mpeg2video", "-bf", "2"],
}


@pytest.mark.parametrize("kind", FILMS)
async def test_captions_among_pictures_are_kept(children: MediaChildren, tmp_path: Path, kind: str) -> None:
    """Pictures that are coded out of order bring theirs out of order, too."""
    plain = tmp_path / ("plain.mpg" if "mpeg2video" in FILMS[kind] else "plain.mp4")
    ffmpeg(*picture("320x180", 25, 4), *FILMS[kind], plain)
    film = captioned(plain, SAID, tmp_path / f"captioned.{kind}")
    plan, kept = await keep_subtitles(children, film, tmp_path)
    assert [track.label for track in kept.tracks] == ["CC1"]
    cues = cues_of(tmp_path, kept.tracks[0].name)
    assert [cue.text for cue in cues] == ["First", "Second"]
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [
        pytest.approx((1400, 2800), abs=90),
        pytest.approx((2800, 3600), abs=90),
    ]
    assert plan.warnings == kept.warnings == []


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
async def test_no_encoder_passes_captions_on(children: MediaChildren, tmp_path: Path, codec: str) -> None:
    """The playlist says that there are none among the pictures."""
    ffmpeg(*picture("320x180", 25, 4), *X264, tmp_path / "plain.mp4")
    film = captioned(tmp_path / "plain.mp4", SAID, tmp_path / "captioned.mp4")
    assert film.read_bytes().count(b"GA94") == 100
    encoded = await encode(children, film, tmp_path / "out", settings(codec))
    for name in encoded.tracks:
        assert b"GA94" not in encoded.file(name, tmp_path).read_bytes()


async def test_captions_of_a_dvd_are_kept(children: MediaChildren, tmp_path: Path) -> None:
    """Those of half a second lie together, before the first picture of a GOP."""
    ffmpeg(*picture("320x180", 25, 4), "-c:v", "mpeg2video", "-g", "25", tmp_path / "plain.mpg")
    with av.open(str(tmp_path / "plain.mpg")) as source, av.open(str(tmp_path / "dvd.ts"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        said = iter([on_dvd(pop_on("First")), on_dvd(pop_on("Second")), on_dvd(control(EDM))])
        for packet in source.demux(video=0):
            held = bytes(packet)
            if packet.is_keyframe and packet.size:
                at = held.index(b"\0\0\1\0")
                new = av.Packet(held[:at] + next(said, b"") + held[at:])
                new.pts, new.dts, new.time_base, new.is_keyframe = packet.pts, packet.dts, packet.time_base, True
                packet = new  # noqa: PLW2901
            packet.stream = stream
            if packet.size:
                target.mux(packet)
    _, kept = await keep_subtitles(children, tmp_path / "dvd.ts", tmp_path)
    cues = cues_of(tmp_path, kept.tracks[0].name)
    assert [cue.text for cue in cues] == ["First", "Second"]
    assert [cue.start_ms for cue in cues] == [pytest.approx(300, abs=90), pytest.approx(1300, abs=90)]


async def test_a_film_whose_captions_say_nothing_has_none(children: MediaChildren, tmp_path: Path) -> None:
    ffmpeg(*picture("320x180", 25, 1), *X264, tmp_path / "plain.mp4")
    source = await probe(children, captioned(tmp_path / "plain.mp4", {}, tmp_path / "silent.mp4"))
    assert source.subtitles == []
