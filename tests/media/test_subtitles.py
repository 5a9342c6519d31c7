"""Subtitle tracks of the source come out as plain WebVTT, in time with the picture, whatever they were written in."""

import struct
from pathlib import Path

import pytest
from clips import SUBRIP, Clips, ffmpeg
from hypothesis import given
from hypothesis import strategies as st
from test_probe import probe
from texts import cues_of, keep_subtitles

from streamforge.media.text.subtitle_text import decode, payload, plain
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.text.webvtt import Cue, escaped, read_webvtt, webvtt

SECOND = "Zweite Zeile\nmit Umbruch"
CUES = [Cue(500, 1500, "Schöne Grüße &amp; &lt;3"), Cue(2000, 3000, SECOND)]

FRENCH = ["Où est passé l'été ?", "Ça ne fait rien, garçon.", "Une pêche près du château."]
RUSSIAN = ["Привет, как дела?", "Я не знаю, что сказать.", "Мы едем домой завтра."]
POLISH = ["Zażółć gęślą jaźń.", "Dziękuję bardzo.", "Proszę państwa, już późno."]
JAPANESE = ["こんにちは、元気ですか。", "東京へ行きます。", "また明日。"]


# ── what the probe sees ─────────────────────────────────────────────────────────────────────────────────────────────
async def test_tracks_are_listed_with_what_is_said_about_them(children: MediaChildren, clips: Clips) -> None:
    german, unknown = (await probe(children, clips.subtitled)).subtitles
    assert (german.codec, german.language, german.default, german.hearing_impaired) == ("srt", "ger", True, True)
    assert (unknown.codec, unknown.language, unknown.default, unknown.forced) == ("ssa", None, False, False)


# ── what is kept ────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_styling_becomes_plain_text(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    """Two layers of the same ASS line are one, and a drawing is none."""
    plan, text = await keep_subtitles(children, clips.subtitled, tmp_path)
    german, styled = text.tracks
    assert (german.label, german.language, german.default) == ("German (SDH)", "de", True)
    assert (styled.label, styled.language) == ("Subtitles", None)
    assert cues_of(tmp_path, german.name) == CUES
    assert cues_of(tmp_path, styled.name) == [Cue(1000, 2000, "Bold, she said,\nand left")]
    assert text.warnings == []
    assert plan.warnings == []


@pytest.mark.parametrize(
    ("codec", "container"), [("mov_text", "mp4"), ("webvtt", "mkv"), ("ass", "mkv"), ("srt", "mkv"), ("text", "mkv")]
)
async def test_every_format_of_text(
    children: MediaChildren, clips: Clips, tmp_path: Path, codec: str, container: str
) -> None:
    clip = clips.with_subtitles(codec, codec, container)
    _, text = await keep_subtitles(children, clip, tmp_path)
    assert cues_of(tmp_path, text.tracks[0].name) == CUES
    assert text.warnings == []


async def test_time_0_is_the_first_picture(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    """The same file cut so that its video begins 1 s late: cues before that are gone or cut."""
    late = tmp_path / "late.mkv"
    ffmpeg(
        "-itsoffset",
        "1",
        "-i",
        clips.subtitled,
        "-i",
        clips.subtitled,
        *["-map", "0:v", "-map", "1:s:0", "-c", "copy"],
        late,
    )
    source = await probe(children, late)
    assert source.video.start == pytest.approx(1)
    _, text = await keep_subtitles(children, late, tmp_path)
    assert cues_of(tmp_path, text.tracks[0].name) == [
        Cue(0, 500, CUES[0].text),
        Cue(1000, 2000, SECOND),
    ]


async def test_pictures_of_text_cannot_be_kept_and_are_told(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    """PGS, as on Blu-ray discs: an empty composition at every second."""
    graphics, clip = tmp_path / "graphics.sup", tmp_path / "graphics.mkv"
    composition = bytes([1, 64, 0, 240, 0x10, 0, 0, 0x80, 0, 0, 0])
    graphics.write_bytes(
        b"".join(
            struct.pack(">2sIIBH", b"PG", 90_000 * second, 0, kind, len(content)) + content
            for second in (1, 2)
            for kind, content in ((0x16, composition), (0x80, b""))
        )
    )
    ffmpeg("-i", clips.subtitled, "-i", graphics, "-map", "0:v", "-map", "0:s:0", "-map", "1", "-c", "copy", clip)
    plan, text = await keep_subtitles(children, clip, tmp_path)
    assert plan.warnings == ["A subtitle track of the kind pgssub cannot be kept: it holds pictures of text."]
    assert [track.label for track in text.tracks] == ["German (SDH)"]


async def test_impossible_times_are_left_out(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    srt = tmp_path / "late.srt"
    srt.write_text("1\n00:00:01,0 --> 00:00:02,0\nhere\n\n2\n00:59:00,0 --> 00:59:01,0\nlong gone\n\n")
    clip = tmp_path / "late.mkv"
    ffmpeg("-i", clips.small, "-i", srt, *["-map", "0:v", "-map", "1", "-c:v", "copy", "-c:s", "srt"], clip)
    _, text = await keep_subtitles(children, clip, tmp_path)
    assert cues_of(tmp_path, text.tracks[0].name) == [Cue(1000, 2000, "here")]
    assert text.warnings == [
        "Subtitles “Subtitles”: 1 were left out, which have no time, none within the video, or stay for more than 10 minutes."
    ]


async def test_more_tracks_than_a_menu_can_hold(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    srt, clip = tmp_path / "cues.srt", tmp_path / "many.mkv"
    srt.write_text(SUBRIP)
    maps = ["-map", "0:v", *(["-map", "1"] * 40)]
    ffmpeg("-i", clips.small, "-i", srt, *maps, "-c:v", "copy", "-c:s", "srt", clip)
    plan, text = await keep_subtitles(children, clip, tmp_path)
    assert len(text.tracks) == 32
    assert plan.warnings == ["Of the subtitle tracks only the first 32 are kept; 8 are left out."]


# ── encodings ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("lines", "encoding", "language", "found"),
    [
        pytest.param(FRENCH, "latin-1", "fre", "cp1252", id="Latin-1"),
        pytest.param(RUSSIAN, "cp1251", "rus", "cp1251", id="Windows-1251"),
        pytest.param(RUSSIAN, "cp1251", "und", "cp1251", id="Windows-1251, nobody says that it is Russian"),
        pytest.param(RUSSIAN, "utf-16-le", "rus", "utf-16-le", id="UTF-16"),
    ],
)
async def test_files_in_old_encodings(
    children: MediaChildren, clips: Clips, tmp_path: Path, lines: list[str], encoding: str, language: str, found: str
) -> None:
    _, text = await keep_subtitles(children, clips.in_encoding(lines, encoding, language), tmp_path)
    (track,) = text.tracks
    assert [cue.text for cue in cues_of(tmp_path, track.name)] == lines
    assert text.warnings == [f"Subtitles “{track.label}” were not in plain UTF-8; they were read as {found}."]


@pytest.mark.parametrize(
    ("lines", "encoding", "language"),
    [
        (RUSSIAN, "koi8_r", "ru"),
        (POLISH, "cp1250", "pl"),
        (JAPANESE, "shift_jis", "ja"),
        (JAPANESE, "shift_jis", None),
        (FRENCH, "utf-16", None),
        (RUSSIAN, "utf-16-be", None),
    ],
)
def test_encodings_are_found_out(lines: list[str], encoding: str, language: str | None) -> None:
    found = decode([line.encode(encoding) for line in lines], language)
    assert found.texts == lines
    assert found.repaired_from
    assert not found.lost


def test_utf_8_that_was_encoded_twice() -> None:
    found = decode([line.encode().decode("cp1252").encode() for line in ["déjà vu", "garçon", "plain"]], None)
    assert found.texts == ["déjà vu", "garçon", "plain"]


def test_text_that_looks_like_it_was_encoded_twice_but_was_not() -> None:
    lines = ["Ã is a letter of Portuguese", "São Paulo, Ãgua"]
    assert decode([line.encode() for line in lines], "pt").texts == lines


def test_bytes_that_mean_nothing_are_replaced_and_told() -> None:
    found = decode([b"ok \xff\xfe\x81 \x8d\x9d\x01 mess", "naïve".encode()], None)
    assert found.lost
    assert found.texts[1] == "naïve"
    assert found.texts[0].startswith("ok ")


# ── markup ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("codec", "written", "shown"),
    [
        ("srt", '{\\an8}<font color="red">A & B</font> <3 a<b\r\n\r\n<i>x</i>', "A & B <3 a<b\nx"),
        ("webvtt", "<v Bob>Hi &amp; <00:00:01.000><c.red>you</c></v>", "Hi & you"),
        ("ass", r"0,0,Default,Bob,0,0,0,,{\b1}One{\b0}, two\Nthree\h4", "One, two\nthree 4"),
        ("ass", r"0,0,Default,,0,0,0,,{\p1}m 0 0 l 1 1{\p0}text{\p2}m 0 0", "text"),
        ("ass", "cut off", "cut off"),
        ("text", "<as> it {is}", "<as> it {is}"),
    ],
)
def test_markup_goes_and_text_stays(codec: str, written: str, shown: str) -> None:
    assert plain(codec, written) == shown


@given(
    st.lists(st.binary(max_size=80), max_size=8),
    st.sampled_from(["srt", "ass", "ssa", "mov_text", "webvtt", "text"]),
    st.sampled_from([None, "de", "ru", "ja"]),
)
def test_whatever_the_packets_hold_it_becomes_a_file(packets: list[bytes], codec: str, language: str | None) -> None:
    found = decode([payload(codec, packet) for packet in packets], language)
    texts = [text for text in (plain(codec, text) for text in found.texts) if text]
    cues = [Cue(number * 1000, number * 1000 + 500, escaped(text)) for number, text in enumerate(texts)]
    assert read_webvtt(webvtt(cues).encode().decode()) == cues
