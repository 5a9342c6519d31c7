"""The DASH manifest, read back as XML."""

from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import audio, source, stream, track, tracks, video, with_storyboard

from streamforge.contracts.media.encoded import EncodedTrack, Segment
from streamforge.contracts.media.source import AudioRole, Color
from streamforge.packaging.dash import manifest
from streamforge.packaging.presentation import Presentation, peak_bitrate, presentation
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

MPD = "{urn:mpeg:dash:schema:mpd:2011}"


def parsed(found: Presentation) -> ET.Element:
    return ET.fromstring(manifest(found))


def sets(root: ET.Element, kind: str) -> list[ET.Element]:
    return [s for s in root.iter(f"{MPD}AdaptationSet") if s.get("contentType") == kind]


def timeline(adaptation: ET.Element) -> list[tuple[int, int]]:
    """(start, duration) of every segment, as a player expands it."""
    found, time = [], 0
    for entry in adaptation.iter(f"{MPD}S"):
        time = int(entry.get("t", time))
        for _ in range(int(entry.get("r", 0)) + 1):
            found.append((time, int(entry.attrib["d"])))
            time += int(entry.attrib["d"])
    return found


def one_rendition(encoded: EncodedTrack) -> Presentation:
    found = source(video(320, 180))
    return presentation(found, make_plan(found, Settings()), [encoded.model_copy(update={"name": "180p"})], [])


def test_a_presentation_is_static_and_as_long_as_its_longest_track() -> None:
    root = parsed(stream(audio(), durations=(360_000, 360_000, 45_000)))
    assert root.tag == f"{MPD}MPD"
    assert root.get("type") == "static"
    assert root.get("mediaPresentationDuration") == "PT8.500S"
    assert root.get("minBufferTime") == "PT4.000S"
    assert "urn:mpeg:dash:profile:isoff-live:2011" in str(root.get("profiles")).split(",")
    assert [period.get("start") for period in root.iter(f"{MPD}Period")] == ["PT0S"]


def test_players_buffer_a_whole_segment_also_where_one_is_longer_than_planned() -> None:
    """In a copy, whose key frames are as far apart as its source has them."""
    root = parsed(stream(durations=(360_000, 810_000, 45_000)))
    assert root.get("minBufferTime") == "PT9.000S"


def test_renditions_are_one_set_to_switch_within() -> None:
    found = stream(picture=video(1280, 720, rate=29.97))
    [adaptation] = sets(parsed(found), "video")
    assert (adaptation.get("mimeType"), adaptation.get("segmentAlignment")) == ("video/mp4", "true")
    assert (adaptation.get("maxWidth"), adaptation.get("maxHeight")) == ("1280", "720")
    representations = list(adaptation.iter(f"{MPD}Representation"))
    assert [(r.get("id"), r.get("width"), r.get("height")) for r in representations] == [
        ("720p", "1280", "720"),
        ("480p", "854", "480"),
        ("360p", "640", "360"),
    ]
    assert [r.get("bandwidth") for r in representations] == [str(peak_bitrate(t.encoded, 4)) for t in found.video]
    assert {r.get("codecs") for r in representations} == {"avc1.640028"}
    assert {r.get("frameRate") for r in representations} == {"30000/1001"}


def test_each_codec_is_a_set_of_its_own_that_players_may_change_between() -> None:
    found = stream(audio(), picture=video(854, 480), codecs=["h264", "av1"])
    root = parsed(found)
    assert [[r.get("id") for r in s.iter(f"{MPD}Representation")] for s in sets(root, "video")] == [
        ["480p-h264", "360p-h264"],
        ["480p-av1", "360p-av1"],
    ]
    switching = [p.get("value") for p in root.iter(f"{MPD}SupplementalProperty")]
    assert switching == ["1", "0"]
    assert [s.get("id") for s in root.iter(f"{MPD}AdaptationSet")] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("rate", "told"), [(23.976, "24000/1001"), (25, "25"), (59.94, "60000/1001"), (12.5, "25/2"), (0.001, "1/1000")]
)
def test_the_frame_rate_is_a_whole_number_or_a_fraction(rate: float, told: str) -> None:
    root = parsed(stream(picture=video(320, 180, rate=rate, frame_count=10)))
    assert [r.get("frameRate") for r in root.iter(f"{MPD}Representation")] == [told]


def test_hdr_says_what_its_colors_are() -> None:
    found = stream(picture=video(1280, 720, dynamic_range="hlg", color=Color(primaries=9, transfer=18, matrix=9)))
    assert list(parsed(found).iter(f"{MPD}SupplementalProperty")) == []  # H.264: tone-mapped.
    hlg = {"dynamic_range": "hlg", "color": found.source.video.color}
    kept = replace(found, video=[replace(t, rendition=t.rendition.model_copy(update=hlg)) for t in found.video])
    [adaptation] = sets(parsed(kept), "video")
    told = {p.get("schemeIdUri"): p.get("value") for p in adaptation.iterfind(f"{MPD}SupplementalProperty")}
    assert told == {
        "urn:mpeg:mpegB:cicp:ColourPrimaries": "9",
        "urn:mpeg:mpegB:cicp:TransferCharacteristics": "18",
        "urn:mpeg:mpegB:cicp:MatrixCoefficients": "9",
    }


def test_each_audio_track_is_a_set_of_its_own() -> None:
    found = stream(audio(1, language="eng"), audio(2, channels=1, sample_rate=44_100))
    original, other = sets(parsed(found), "audio")
    assert (original.get("lang"), other.get("lang")) == ("en", None)
    roles = [role.get("value") for role in (original.find(f"{MPD}Role"), other.find(f"{MPD}Role")) if role is not None]
    assert roles == ["main", "alternate"]
    [first], [second] = original.iter(f"{MPD}Representation"), other.iter(f"{MPD}Representation")
    assert (first.get("id"), first.get("codecs"), first.get("audioSamplingRate")) == ("audio-0", "mp4a.40.2", "48000")
    assert (second.get("id"), second.get("audioSamplingRate")) == ("audio-1", "44100")
    channels = [r.find(f"{MPD}AudioChannelConfiguration") for r in (first, second)]
    assert [c.get("value") for c in channels if c is not None] == ["2", "1"]
    assert timeline(original) == [(0, 192_512), (192_512, 190_464)]


def test_each_layout_of_a_track_is_a_set_of_its_own() -> None:
    found = stream(
        audio(1, channels=6, language="eng", title="Original"),
        audio(2, language="deu", title="Regie\x0b <&>", role=AudioRole.COMMENTARY),
        audio(3, language="eng", role=AudioRole.DESCRIPTION),
        audio(4, language="eng", role=AudioRole.CLEAR_SPEECH),
    )
    told = sets(parsed(found), "audio")
    assert [s.get("lang") for s in told] == ["en", "de", "en", "en", "en"]
    assert [s.get("selectionPriority") for s in told] == ["2", None, None, None, None]
    roles = ["main", "commentary", "description", "enhanced-audio-intelligibility", "main"]
    assert [s.find(f"{MPD}Role").get("value") for s in told] == roles  # type: ignore[union-attr]
    purposes = [s.find(f"{MPD}Accessibility") for s in told]
    assert [p.get("value") if p is not None else None for p in purposes] == [None, None, "1", "2", None]
    assert [s.findtext(f"{MPD}Label") for s in told] == ["Original", "Regie <&>", None, None, "Original"]
    configurations = [c for s in told for c in s.iter(f"{MPD}AudioChannelConfiguration")]
    assert {c.get("schemeIdUri") for c in configurations} == {"urn:mpeg:mpegB:cicp:ChannelConfiguration"}
    assert [c.get("value") for c in configurations] == ["2", "2", "2", "2", "6"]


def test_ids_of_sets_differ() -> None:
    ids = [s.get("id") for s in parsed(stream(audio(1), audio(2))).iter(f"{MPD}AdaptationSet")]
    assert ids == ["0", "1", "2"]


def test_names_in_the_template_are_the_names_of_the_files() -> None:
    [adaptation] = sets(parsed(stream()), "video")
    template = adaptation.find(f"{MPD}SegmentTemplate")
    assert template is not None
    assert template.get("timescale") == "90000"
    assert template.get("initialization") == "$RepresentationID$/init.mp4"
    name = str(template.get("media")).replace("$RepresentationID$", "720p").replace("$Time$", "360000")
    assert name == f"720p/{Segment(start_ticks=360_000, duration_ticks=1, size_bytes=1).file_name}"


def test_equal_segments_are_one_entry() -> None:
    encoded = track("180p", [360_000] * 5 + [360_360, 360_000, 90_000], [1000] * 8)
    [adaptation] = sets(parsed(one_rendition(encoded)), "video")
    assert [s.attrib for s in adaptation.iter(f"{MPD}S")] == [
        {"t": "0", "d": "360000", "r": "4"},
        {"d": "360360"},
        {"d": "360000"},
        {"d": "90000"},
    ]


def test_a_segment_that_does_not_begin_where_the_one_before_ended_is_told_with_its_time() -> None:
    """One tick is enough for a player to ask for a file that is not there."""
    encoded = track("180p", [360_000], [1000])
    encoded.segments += [
        Segment(start_ticks=360_001, duration_ticks=360_000, size_bytes=1000),
        Segment(start_ticks=720_001, duration_ticks=360_000, size_bytes=1000),
    ]
    [adaptation] = sets(parsed(one_rendition(encoded)), "video")
    assert timeline(adaptation) == [(0, 360_000), (360_001, 360_000), (720_001, 360_000)]


@given(encoded=tracks, first=st.integers(0, 10**9), gaps=st.data())
def test_the_timeline_expands_to_exactly_the_segments(encoded: EncodedTrack, first: int, gaps: st.DataObject) -> None:
    shift = first
    for segment in encoded.segments:
        segment.start_ticks += shift
        shift += gaps.draw(st.sampled_from([0, 0, 0, 1, 90_000]))
    [adaptation] = sets(parsed(one_rendition(encoded)), "video")
    assert timeline(adaptation) == [(s.start_ticks, s.duration_ticks) for s in encoded.segments]


@given(durations=st.lists(st.sampled_from([90_000, 90_090]), min_size=1, max_size=40))
def test_runs_are_as_long_as_they_can_be(durations: list[int]) -> None:
    [adaptation] = sets(parsed(one_rendition(track("180p", durations, [1000] * len(durations)))), "video")
    assert all(s.get("d") != following.get("d") for s, following in pairwise(adaptation.iter(f"{MPD}S")))


def test_sprite_sheets_are_a_set_of_images_behind_all_others() -> None:
    """9 s with 20 tiles a second: 180 on two sheets, each for 5 s."""
    root = parsed(with_storyboard(stream(audio(), picture=video(854, 480))))
    assert [s.get("contentType") for s in root.iter(f"{MPD}AdaptationSet")] == ["video", "audio", "image"]
    assert [s.get("id") for s in root.iter(f"{MPD}AdaptationSet")] == ["0", "1", "2"]
    [images] = sets(root, "image")
    assert images.get("mimeType") == "image/jpeg"
    [template] = images.iter(f"{MPD}SegmentTemplate")
    assert (template.get("media"), template.get("startNumber")) == ("sprite-$Number$.jpg", "0")
    assert int(template.attrib["duration"]) / int(template.attrib["timescale"]) == 5
    [sheet] = images.iter(f"{MPD}Representation")
    assert (sheet.get("width"), sheet.get("height")) == ("1600", "900")
    assert int(sheet.attrib["bandwidth"]) == pytest.approx(8 * 300_000 / 9, rel=0.01)
    [grid] = sheet.iter(f"{MPD}EssentialProperty")
    assert (grid.get("schemeIdUri"), grid.get("value")) == ("http://dashif.org/guidelines/thumbnail_tile", "10x10")
