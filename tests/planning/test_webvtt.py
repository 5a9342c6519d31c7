"""WebVTT files: what is written can be read back, and what is not one is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge.planning.text.webvtt import Cue, escaped, read_webvtt, webvtt

HEAD = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000"


def test_a_file() -> None:
    cues = [Cue(500, 1500, "Hello"), Cue(3_600_000, 3_601_230, "two\nlines")]
    assert webvtt(cues) == (
        f"{HEAD}\n\n00:00:00.500 --> 00:00:01.500\nHello\n\n01:00:00.000 --> 01:00:01.230\ntwo\nlines\n"
    )


def test_a_file_without_cues() -> None:
    assert read_webvtt(webvtt([])) == []


def test_a_cue_of_nothing_but_a_sign() -> None:
    cues = [Cue(0, 1, escaped("<"))]
    assert read_webvtt(webvtt(cues)) == cues


def test_text_is_escaped() -> None:
    assert escaped("a <b> & --> c") == "a &lt;b&gt; &amp; --&gt; c"


texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1).filter(str.strip).map(escaped)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 10**6), texts)))
def test_what_is_written_can_be_read(entries: list[tuple[int, int, str]]) -> None:
    cues = [Cue(start, start + length, text) for start, length, text in sorted(entries)]
    assert read_webvtt(webvtt(cues)) == cues


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param(["00:00:01.000 --> 00:00:00.500\nbackwards"], id="ends before it begins"),
        pytest.param(["00:00:02.000 --> 00:00:03.000\na", "00:00:01.000 --> 00:00:03.000\nb"], id="goes back"),
        pytest.param(["00:00:01.000 --> 00:00:02.000\n"], id="empty"),
        pytest.param(["00:00:01.000 -> 00:00:02.000\na"], id="arrow"),
        pytest.param(["00:61:01.000 --> 01:62:02.000\na"], id="minute 61"),
        pytest.param(["00:00:01.000 --> 00:00:02.000\na <b>c</b>"], id="markup"),
        pytest.param(["00:00:01.000 --> 00:00:02.000\nR&D"], id="ampersand"),
        pytest.param(["00:00:01.000 --> 00:00:02.000\na --> b"], id="arrow in text"),
        pytest.param(["00:00:01.000 --> 00:00:02.000\na <00:00:02.500>b"], id="tag behind the end"),
        pytest.param(["00:00:01.000 --> 00:00:02.000\na <00:00:01.500>b <00:00:01.400>c"], id="tags go back"),
    ],
)
def test_what_is_not_well_formed_is_refused(blocks: list[str]) -> None:
    with pytest.raises(ValueError, match=r"cue|times"):
        read_webvtt("\n\n".join([HEAD, *blocks]) + "\n")


def test_another_file_is_refused() -> None:
    with pytest.raises(ValueError, match="not a WebVTT file"):
        read_webvtt("1\n00:00:01,000 --> 00:00:02,000\nSubRip\n")
