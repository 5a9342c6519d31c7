"""TTML comes out as what it says, when it says it."""

from math import inf
from pathlib import Path

import pytest
from clips import SUBRIP, X264, Clips, ffmpeg
from hypothesis import given
from hypothesis import strategies as st
from test_stream_choice import altered
from test_subtitles import CUES
from texts import cues_of, keep_subtitles

from streamforge.media.text.ttml import Said, read_ttml
from streamforge.media.worker.children import MediaChildren


def document(body: str, parameters: str = "") -> bytes:
    spaces = 'xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter"'
    return f'<?xml version="1.0" encoding="utf-8"?><tt {spaces} {parameters}><body>{body}</body></tt>'.encode()


@pytest.mark.parametrize(
    ("begin", "seconds"),
    [
        ("01:02:03.5", 3723.5),
        ("00:00:01:15", 1.6),
        ("1.5h", 5400),
        ("2m", 120),
        ("2.5s", 2.5),
        ("300ms", 0.3),
        ("50f", 2),
        ("5000t", 5),
    ],
)
def test_every_way_to_write_a_time(begin: str, seconds: float) -> None:
    rates = 'ttp:frameRate="25" ttp:tickRate="1000"'
    assert read_ttml(document(f'<div><p begin="{begin}">x</p></div>', rates)) == [
        Said(pytest.approx(seconds), inf, "x")
    ]


def test_times_count_from_what_an_element_is_in_and_end_with_it() -> None:
    body = '<div begin="10s" end="20s"><p begin="1s" dur="2s">a</p><p begin="5s" end="30s">b</p></div>'
    assert read_ttml(document(body)) == [Said(11, 13, "a"), Said(15, 20, "b")]


def test_spans_with_times_of_their_own() -> None:
    body = '<div><p begin="1s"><span begin="0s" end="1s">one</span> <span begin="1s" end="2s">two</span></p></div>'
    assert read_ttml(document(body)) == [Said(1, 2, "one"), Said(2, 3, "two")]


def test_white_space_is_a_space_and_a_break_is_a_line() -> None:
    body = '<div><p begin="0s" end="1s">\n  a &amp;\n  b<br/><span>c <span>d</span></span> e\n</p></div>'
    assert read_ttml(document(body)) == [Said(0, 1, "a & b\nc d e")]


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"not xml",
        b"\xff\xfe\x00",
        b'<!DOCTYPE tt [<!ENTITY a "aaaa">]><tt xmlns="http://www.w3.org/ns/ttml"><body><div><p>&a;</p></div></body></tt>',
    ],
)
def test_what_is_no_ttml_or_brings_entities_is_refused(hostile: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_ttml(hostile)


def test_a_document_of_a_thousand_storeys_does_no_harm() -> None:
    assert read_ttml(document("<div>" * 1000 + "<p>deep</p>" + "</div>" * 1000)) == []


@given(st.text(max_size=200))
def test_whatever_a_time_says_it_is_a_time_or_none(begin: str) -> None:
    escaped = begin.encode("ascii", "xmlcharrefreplace").decode().replace('"', "").replace("<", "").replace("&", "")
    try:
        said = read_ttml(document(f'<div><p begin="{escaped}">x</p></div>'))
    except ValueError:
        return
    assert [each.text for each in said] == ["x"]


@pytest.mark.parametrize("flags", ["+faststart", "+frag_keyframe+empty_moov"])
async def test_ttml_in_mp4_is_kept(children: MediaChildren, clips: Clips, tmp_path: Path, flags: str) -> None:
    (tmp_path / "text.srt").write_text(SUBRIP)
    path = tmp_path / "text.mp4"
    ffmpeg(
        "-i",
        clips.small,
        "-i",
        tmp_path / "text.srt",
        "-an",
        *X264,
        "-bf",
        "0",
        "-c:s",
        "ttml",
        "-movflags",
        flags,
        path,
    )
    plan, kept = await keep_subtitles(children, path, tmp_path)
    assert cues_of(tmp_path, kept.tracks[0].name) == CUES
    assert plan.warnings == kept.warnings == []


async def test_ttml_that_is_broken_says_so(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    (tmp_path / "text.srt").write_text(SUBRIP)
    ffmpeg("-i", clips.small, "-i", tmp_path / "text.srt", *X264, "-c:s", "ttml", tmp_path / "text.mp4")
    path = altered(tmp_path / "text.mp4", b"</body>", b"<body>/", tmp_path / "broken.mp4")
    _, kept = await keep_subtitles(children, path, tmp_path)
    assert kept.tracks == []
    assert kept.warnings == [
        "Subtitles “Subtitles”: 1 of its documents could not be read and were left out.",
        "Subtitles “Subtitles” hold nothing that can be shown, so there is no such track.",
    ]
