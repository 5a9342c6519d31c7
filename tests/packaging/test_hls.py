"""HLS playlists, read back by a parser that is not ours."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

import m3u8
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import audio, coding, source, stream, track, tracks, video, with_storyboard

from streamforge.contracts.media.encoded import EncodedTrack, KeyFrame
from streamforge.contracts.media.plan import COPY, Plan
from streamforge.contracts.media.source import AudioRole, Source, SubtitleSource
from streamforge.packaging.hls import iframe_playlist, media_playlist, playlists
from streamforge.packaging.presentation import (
    HLS_MASTER,
    AudioTrack,
    GrowingStream,
    Presentation,
    average_bitrate,
    iframes,
    joined,
    peak_bitrate,
    planned_so_far,
    playable_so_far,
    presentation,
    seconds,
)
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

HOSTILE = 'Evil" ,URI="http://evil/x"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://evil/y\r\u2028'


GROWING = GrowingStream(
    began_at=datetime(2026, 1, 1, tzinfo=UTC),
    now=datetime(2026, 1, 1, tzinfo=UTC),
    segment_seconds=4,
    source_seconds=60,
    video=[],
)


def media(found: EncodedTrack, growing: GrowingStream | None = None) -> m3u8.M3U8:
    return m3u8.loads(media_playlist(found, growing))


def master(found: Presentation) -> str:
    return playlists(found)[HLS_MASTER]


def tags(playlist: str, tag: str) -> list[str]:
    return [line.removeprefix(f"#{tag}:") for line in playlist.splitlines() if line.startswith(f"#{tag}:")]


def test_the_frame_rate_is_the_highest_of_the_film_within_what_is_encoded() -> None:
    """RFC 8216 §4.3.4.2. A screen recording of 5 pictures a second, in which somebody scrolls."""
    for highest, told in ((0.0, "5.000"), (50.0, "50.000"), (75.0, "60.000")):
        film = stream(picture=video(rate=5, highest_frame_rate=highest))
        variants = tags(master(film), "EXT-X-STREAM-INF")
        assert variants
        assert all(f"FRAME-RATE={told}," in variant for variant in variants)


def test_a_copy_of_pictures_with_captions_is_not_said_to_have_none() -> None:
    film = stream(picture=video(coding=coding()))
    captions = SubtitleSource(index=0, codec="cea608", title="CC1", channel=1)
    captioned = replace(film, source=film.source.model_copy(update={"subtitles": [captions]}))
    assert "CLOSED-CAPTIONS=NONE" in master(captioned)
    copies = [replace(each, rendition=each.rendition.model_copy(update={"encoder": COPY})) for each in film.video]
    assert "CLOSED-CAPTIONS=NONE" in master(replace(film, video=copies))
    assert "CLOSED-CAPTIONS" not in master(replace(captioned, video=copies))


# ── media playlists ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_whole_rendition_reads_like_this() -> None:
    assert media_playlist(track("720p", [360_000, 90_090], [1000, 500])) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:7\n"
        "#EXT-X-TARGETDURATION:4\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-PLAYLIST-TYPE:VOD\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MAP:URI="init.mp4"\n'
        "#EXTINF:4.000000,\n"
        "0.m4s\n"
        "#EXTINF:1.001000,\n"
        "360000.m4s\n"
        "#EXT-X-ENDLIST\n"
    )


def test_a_rendition_that_may_still_grow_has_no_end() -> None:
    playlist = media(track("720p", [360_000], [1000]), growing=GROWING)
    assert playlist.playlist_type == "event"
    assert not playlist.is_endlist


def test_players_begin_a_growing_rendition_at_its_beginning_not_at_its_end() -> None:
    assert media(track("720p", [360_000], [1000]), growing=GROWING).start.time_offset == 0


def test_the_target_duration_of_a_growing_rendition_does_not_change_when_a_short_segment_came_first() -> None:
    first = media(track("720p", [90_000], [1000]), growing=GROWING)
    later = media(track("720p", [90_000, 360_000], [1000, 1000]), growing=GROWING)
    assert first.target_duration == later.target_duration == 4


@pytest.mark.parametrize(
    ("ticks", "target"), [(1, 1), (360_000, 4), (404_999, 4), (405_000, 5), (585_000, 7), (404_999.99, 5)]
)
def test_the_target_duration_is_the_longest_segment_rounded_half_up(ticks: float, target: int) -> None:
    timescale = 90_000 if float(ticks).is_integer() else 9_000_000
    found = track("720p", [round(ticks * timescale / 90_000)], [1000], timescale=timescale)
    assert media(found).target_duration == target


@given(found=tracks)
def test_every_segment_is_there_in_order_with_its_length(found: EncodedTrack) -> None:
    playlist = media(found)
    assert [segment.uri for segment in playlist.segments] == [segment.file_name for segment in found.segments]
    for told, segment in zip(playlist.segments, found.segments, strict=True):
        assert told.duration == pytest.approx(segment.duration_ticks / found.timescale, abs=1e-6)
    assert sum(segment.duration for segment in playlist.segments) == pytest.approx(seconds(found), abs=1e-4)
    assert playlist.is_endlist
    assert playlist.playlist_type == "vod"
    assert [section.uri for section in playlist.segment_map] == ["init.mp4"]


@given(found=tracks)
def test_no_segment_is_longer_than_the_target_duration(found: EncodedTrack) -> None:
    """RFC 8216 §4.3.3.1: each EXTINF, rounded to the nearest integer, is at most the target."""
    text = media_playlist(found)
    target = int(tags(text, "EXT-X-TARGETDURATION")[0])
    for length in tags(text, "EXTINF"):
        assert int(Decimal(length.rstrip(",")).quantize(Decimal(1), ROUND_HALF_UP)) <= target


# ── the master playlist ─────────────────────────────────────────────────────────────────────────────────────────────
def test_variants_are_listed_best_first_with_what_a_player_chooses_by() -> None:
    found = stream(picture=video(1280, 720, rate=29.97))
    playlist = m3u8.loads(master(found))
    assert playlist.is_variant
    assert playlist.is_independent_segments
    assert [p.uri for p in playlist.playlists] == ["720p/index.m3u8", "480p/index.m3u8", "360p/index.m3u8"]
    info = [p.stream_info for p in playlist.playlists]
    assert [i.resolution for i in info] == [(1280, 720), (854, 480), (640, 360)]
    assert [i.frame_rate for i in info] == [29.97] * 3
    assert [i.codecs for i in info] == ["avc1.640028"] * 3
    assert [i.audio for i in info] == [None] * 3
    assert [i.bandwidth for i in info] == [peak_bitrate(t.encoded, 4) for t in found.video]
    assert [i.average_bandwidth for i in info] == [average_bitrate(t.encoded) for t in found.video]


def test_hdr_is_told_by_its_transfer_and_sdr_only_beside_it() -> None:
    found = winding(stream(picture=video(1280, 720)))
    assert "VIDEO-RANGE" not in master(found)
    for dynamic_range, name in [("hdr10", "PQ"), ("hlg", "HLG")]:
        bright = found.video[0].rendition.model_copy(update={"dynamic_range": dynamic_range})
        mixed = replace(found, video=[replace(found.video[0], rendition=bright), *found.video[1:]])
        lines = [line for line in master(mixed).splitlines() if "STREAM-INF" in line]
        assert [f",VIDEO-RANGE={name}," in line for line in lines] == [True, False, False] * 2
        assert [",VIDEO-RANGE=SDR," in line for line in lines] == [False, True, True] * 2


def test_a_variant_weighs_what_its_video_and_the_heaviest_audio_weigh() -> None:
    found = stream(audio(1), audio(2), picture=video(320, 180))
    [variant] = m3u8.loads(master(found)).playlists
    sound = max(peak_bitrate(t.encoded, 4) for t in found.audio)
    assert variant.stream_info.bandwidth == peak_bitrate(found.video[0].encoded, 4) + sound
    assert variant.stream_info.codecs == "avc1.640028,mp4a.40.2"
    assert variant.stream_info.audio == "audio-stereo"


@given(found=st.lists(tracks, min_size=1, max_size=1), with_audio=st.booleans())
def test_the_bandwidth_is_never_below_the_average(found: list[EncodedTrack], with_audio: bool) -> None:
    [encoded] = found
    durations = [segment.duration_ticks for segment in encoded.segments]
    found_stream = stream(*([audio()] if with_audio else []), picture=video(320, 180), durations=durations)
    [variant] = m3u8.loads(master(found_stream)).playlists
    assert variant.stream_info.bandwidth >= variant.stream_info.average_bandwidth > 0


def test_audio_tracks_in_stereo_are_one_group_with_one_default() -> None:
    found = stream(audio(1, language="eng", title="Original"), audio(2, language="deu"), audio(3, channels=1))
    tracks = m3u8.loads(master(found)).media
    assert [(t.type, t.group_id, t.name, t.language, t.default, t.autoselect, t.channels, t.uri) for t in tracks] == [
        ("AUDIO", "audio-stereo", "Original (1)", "en", "YES", "YES", "2", "audio-0/index.m3u8"),
        ("AUDIO", "audio-stereo", "de (2)", "de", "NO", "YES", "2", "audio-1/index.m3u8"),
        ("AUDIO", "audio-stereo", "Audio (3)", None, "NO", "YES", "1", "audio-2/index.m3u8"),
    ]


def two_layouts() -> Presentation:
    """English in 5.1, a German commentary in stereo, an English description in 5.1."""
    return stream(
        audio(1, channels=6, language="eng", title="Original"),
        audio(2, language="deu", role=AudioRole.COMMENTARY),
        audio(3, channels=6, language="eng", role=AudioRole.DESCRIPTION),
        picture=video(1280, 720),
    )


def test_each_layout_is_a_group_and_all_groups_have_the_same_members() -> None:
    """RFC 8216 §4.3.4.1.1: but for URI and CHANNELS, corresponding members are alike."""
    tracks = m3u8.loads(master(two_layouts())).media
    found = {name: [t for t in tracks if t.group_id == name] for name in ("audio-stereo", "audio-surround")}
    assert sum(map(len, found.values())) == len(tracks)
    for one, other in zip(*found.values(), strict=True):
        same = ("name", "language", "default", "autoselect", "characteristics")
        assert [getattr(one, key) for key in same] == [getattr(other, key) for key in same]
    assert [(t.uri, t.channels) for t in found["audio-surround"]] == [
        ("audio-0-surround/index.m3u8", "6"),
        ("audio-1/index.m3u8", "2"),
        ("audio-2-surround/index.m3u8", "6"),
    ]


def test_what_a_track_is_for_is_told() -> None:
    tracks = [t for t in m3u8.loads(master(two_layouts())).media if t.group_id == "audio-stereo"]
    assert [(t.characteristics, t.autoselect, t.default) for t in tracks] == [
        (None, "YES", "YES"),
        ("public.auxiliary-content", "NO", "NO"),
        ("public.accessibility.describes-video", "YES", "NO"),
    ]


def test_every_rendition_is_there_with_every_group_first_of_all_in_stereo() -> None:
    playlist = m3u8.loads(master(two_layouts()))
    assert [(p.uri.split("/")[0], p.stream_info.audio) for p in playlist.playlists] == [
        *((name, "audio-stereo") for name in ("720p", "480p", "360p")),
        *((name, "audio-surround") for name in ("720p", "480p", "360p")),
    ]
    assert {p.stream_info.codecs for p in playlist.playlists} == {"avc1.640028,mp4a.40.2"}


def test_only_the_average_bandwidth_tells_groups_apart() -> None:
    """hls.js takes variants with one URI and one BANDWIDTH for one; else it would change layouts with the network."""
    found = two_layouts()
    found = replace(found, audio=[replace(t, encoded=louder(t)) for t in found.audio])
    infos = [p.stream_info for p in m3u8.loads(master(found)).playlists]
    for stereo, surround in zip(infos[:3], infos[3:], strict=True):
        assert stereo.bandwidth == surround.bandwidth
        assert surround.average_bandwidth - stereo.average_bandwidth == pytest.approx(2 * 128_000, rel=0.05)


def louder(found: AudioTrack) -> EncodedTrack:
    factor = 3 if found.rendition.is_surround else 1
    segments = [replace(s, size_bytes=factor * s.size_bytes) for s in found.encoded.segments]
    return found.encoded.model_copy(update={"segments": segments})


def test_surround_sound_that_is_not_there_yet_is_stereo() -> None:
    found = two_layouts()
    growing = replace(found, audio=[t for t in found.audio if t.rendition.name != "audio-2-surround"])
    tracks = m3u8.loads(master(growing)).media
    assert [t.uri for t in tracks if t.group_id == "audio-surround"] == [
        "audio-0-surround/index.m3u8", "audio-1/index.m3u8", "audio-2/index.m3u8",
    ]  # fmt: skip
    only_stereo = replace(found, audio=[t for t in found.audio if not t.rendition.is_surround])
    assert {t.group_id for t in m3u8.loads(master(only_stereo)).media} == {"audio-stereo"}


@given(titles=st.lists(st.none() | st.text() | st.sampled_from(["", "Audio", "a", "a (2)"]), min_size=1, max_size=5))
def test_audio_names_are_unique_whatever_the_titles(titles: list[str | None]) -> None:
    found = stream(*(audio(number, title=title) for number, title in enumerate(titles)), picture=video(320, 180))
    names = [t.name for t in m3u8.loads(master(found)).media]
    assert len(set(names)) == len(titles)


@given(text=st.text() | st.just(HOSTILE))
def test_no_title_can_write_tags_attributes_or_lines_of_its_own(text: str) -> None:
    """A title comes from a stranger's file; a quote or a line break in it would end the string."""
    plain = master(stream(audio(title="Title", language="eng"), picture=video(320, 180)))
    hostile = master(stream(audio(title=text, language=text), picture=video(320, 180)))
    assert len(hostile.splitlines()) == len(plain.splitlines())
    assert hostile.count('"') - 2 * hostile.count("LANGUAGE=") == plain.count('"') - 2
    playlist = m3u8.loads(hostile)
    assert [p.uri for p in playlist.playlists] == ["180p/index.m3u8"]
    assert [t.uri for t in playlist.media] == ["audio-0/index.m3u8"]


# ── I-frame playlists ───────────────────────────────────────────────────────────────────────────────────────────────
def with_key_frames(found: EncodedTrack, every: int = 180_000, size: int = 5000) -> EncodedTrack:
    """A key frame every two seconds, wherever that is in a segment."""
    segments = []
    for segment in found.segments:
        times = range(segment.start_ticks, segment.start_ticks + segment.duration_ticks, every)
        keys = [KeyFrame(ticks=ticks, offset=n * 50_000, size_bytes=size + n) for n, ticks in enumerate(times)]
        segments.append(replace(segment, key_frames=keys))
    return found.model_copy(update={"segments": segments})


def winding(found: Presentation) -> Presentation:
    return replace(found, video=[replace(track, encoded=with_key_frames(track.encoded)) for track in found.video])


def test_an_iframe_playlist_reads_like_this() -> None:
    found = iframes(with_key_frames(track("720p", [360_000, 90_090], [100_000, 50_000])))
    assert found is not None
    assert iframe_playlist(found) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:7\n"
        "#EXT-X-TARGETDURATION:2\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-PLAYLIST-TYPE:VOD\n"
        "#EXT-X-I-FRAMES-ONLY\n"
        '#EXT-X-MAP:URI="init.mp4"\n'
        "#EXTINF:2.000000,\n"
        "#EXT-X-BYTERANGE:5000@0\n"
        "0.m4s\n"
        "#EXTINF:2.000000,\n"
        "#EXT-X-BYTERANGE:5001@50000\n"
        "0.m4s\n"
        "#EXTINF:1.001000,\n"
        "#EXT-X-BYTERANGE:5000@0\n"
        "360000.m4s\n"
        "#EXT-X-ENDLIST\n"
    )


def test_the_master_names_an_iframe_playlist_of_every_rendition() -> None:
    found = winding(stream(audio(), picture=video(1280, 720)))
    written = playlists(found)
    told = m3u8.loads(written[HLS_MASTER]).iframe_playlists
    assert [i.uri for i in told] == ["720p/iframes.m3u8", "480p/iframes.m3u8", "360p/iframes.m3u8"]
    assert [i.iframe_stream_info.resolution for i in told] == [(1280, 720), (854, 480), (640, 360)]
    assert {i.iframe_stream_info.codecs for i in told} == {"avc1.640028"}, "there is no sound in it"
    assert list(written)[-1] == HLS_MASTER, "written last, because it refers to all others"
    assert {i.uri for i in told} <= written.keys()


def test_the_bandwidth_of_key_frames_is_theirs_alone() -> None:
    found = winding(stream(picture=video(320, 180), durations=[360_000, 360_000, 90_000]))
    [told] = m3u8.loads(playlists(found)[HLS_MASTER]).iframe_playlists
    assert told.iframe_stream_info.average_bandwidth == round(8 * (5000 + 5001 + 5000 + 5001 + 5000) / 9)
    assert told.iframe_stream_info.bandwidth == 8 * 5000  # The last one is there for a second.


def test_a_stream_that_grows_has_no_iframe_playlists_yet() -> None:
    written = playlists(winding(stream(picture=video(320, 180))), GROWING)
    assert written.keys() == {"180p/index.m3u8", HLS_MASTER}
    assert m3u8.loads(written[HLS_MASTER]).iframe_playlists == []


def test_what_was_encoded_before_key_frames_were_noted_has_no_iframe_playlist() -> None:
    assert playlists(stream(picture=video(320, 180))).keys() == {"180p/index.m3u8", HLS_MASTER}


@given(found=tracks, every=st.integers(1000, 400_000))
def test_key_frames_last_as_long_as_the_film(found: EncodedTrack, every: int) -> None:
    key_frames = iframes(with_key_frames(found, every=max(every, max(s.duration_ticks for s in found.segments) // 20)))
    assert key_frames is not None
    playlist = m3u8.loads(iframe_playlist(key_frames))
    assert playlist.is_i_frames_only
    assert sum(frame.duration for frame in playlist.segments) == pytest.approx(seconds(found), abs=1e-3)
    assert all(round(frame.duration) <= playlist.target_duration for frame in playlist.segments)
    assert {frame.uri for frame in playlist.segments} == {segment.file_name for segment in found.segments}


# ── while a stream grows ────────────────────────────────────────────────────────────────────────────────────────────
SEGMENT = 360_000


def planned() -> tuple[Source, Plan]:
    """Three renditions, a first chunk of one segment."""
    found = source(video(1280, 720, duration=20))
    plan = make_plan(found, Settings())
    return found, plan.with_codec_strings({r.name: f"avc1.6400{n:02x}" for n, r in enumerate(plan.renditions)})


def part(first: int, count: int, *names: str) -> list[EncodedTrack]:
    """These renditions of so many segments, of 100 kB each."""
    return [track(name, [SEGMENT] * count, [100_000] * count, start=first * SEGMENT) for name in names]


ALL = ("720p", "480p", "360p")
PARTS = [part(0, 1, "360p"), part(0, 1, "720p", "480p"), part(1, 2, *ALL), part(3, 2, *ALL)]


def stages(order: list[int]) -> list[list[list[EncodedTrack]]]:
    """What is there after each part, when those behind the first are done in this order."""
    return [[PARTS[number] for number in sorted([0, *order[:done]])] for done in range(len(order) + 1)]


def growing_playlists(parts: list[list[EncodedTrack]]) -> dict[str, str]:
    found, plan = planned()
    stream = presentation(found, plan, playable_so_far(parts), [])
    return playlists(stream, replace(GROWING, video=planned_so_far(plan, parts)))


def whole_playlists() -> dict[str, str]:
    found, plan = planned()
    return playlists(presentation(found, plan, joined(PARTS), []))


def test_all_renditions_are_named_as_soon_as_the_smallest_can_be_played() -> None:
    told = m3u8.loads(growing_playlists(PARTS[:1])[HLS_MASTER]).playlists
    assert [p.uri for p in told] == ["720p/growing.m3u8", "480p/growing.m3u8", "360p/index.m3u8"]
    assert [p.stream_info.codecs for p in told] == ["avc1.640000", "avc1.640001", "avc1.640028"]
    _, plan = planned()
    ceilings = [rendition.max_bitrate for rendition in plan.renditions]
    assert [p.stream_info.bandwidth for p in told] == [*ceilings[:2], 200_000]
    assert [p.stream_info.average_bandwidth for p in told] == [None, None, 200_000]


def test_the_smallest_stands_in_for_the_opening_of_the_others_for_good() -> None:
    assert growing_playlists(PARTS[:3])["720p/growing.m3u8"] == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:7\n"
        "#EXT-X-TARGETDURATION:4\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-PLAYLIST-TYPE:EVENT\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-START:TIME-OFFSET=0,PRECISE=YES\n"
        '#EXT-X-MAP:URI="../360p/init.mp4"\n'
        "#EXTINF:4.000000,\n"
        "../360p/0.m4s\n"
        '#EXT-X-MAP:URI="init.mp4"\n'
        "#EXTINF:4.000000,\n"
        "360000.m4s\n"
        "#EXTINF:4.000000,\n"
        "720000.m4s\n"
    )


@given(order=st.permutations([1, 2, 3]))
def test_what_a_playlist_has_told_never_changes(order: list[int]) -> None:
    """However workers finish: chunks may come out of order, but are read in the order of the film."""
    told: dict[str, list[tuple[str, str]]] = {}
    stages = [
        [p for p in PARTS if p is PARTS[0] or any(p is done for done in order[:n])] for n in range(len(order) + 1)
    ]
    for written in [*(growing_playlists(stage) for stage in stages), whole_playlists()]:
        for name in ("720p/growing.m3u8", "480p/growing.m3u8", "360p/index.m3u8"):
            found = [(segment.uri, segment.init_section.uri) for segment in m3u8.loads(written[name]).segments]
            assert found[: len(told.get(name, []))] == told.get(name, [])
            told[name] = found
    assert all(len(found) == 5 for found in told.values())


@given(order=st.permutations([1, 2, 3]))
def test_whoever_changes_renditions_never_waits_for_what_another_has(order: list[int]) -> None:
    for stage in stages(order):
        written = growing_playlists(stage)
        lengths = {len(m3u8.loads(written[p.uri]).segments) for p in m3u8.loads(written[HLS_MASTER]).playlists}
        assert len(lengths) == 1


def test_at_the_end_new_viewers_get_the_whole_of_every_rendition() -> None:
    written = whole_playlists()
    assert [p.uri for p in m3u8.loads(written[HLS_MASTER]).playlists] == [f"{name}/index.m3u8" for name in ALL]
    for name in ALL:
        assert m3u8.loads(written[f"{name}/index.m3u8"]).segments[0].uri == "0.m4s"


def test_a_film_of_one_chunk_is_opening_to_its_end() -> None:
    found = source(video(640, 480, duration=5))
    plan = make_plan(found, Settings()).with_codec_strings({"480p": "avc1.64001e", "360p": "avc1.64001e"})
    [smallest] = part(0, 2, "360p")
    stream = presentation(found, plan, [smallest], [])
    written = playlists(stream, replace(GROWING, video=planned_so_far(plan, [[smallest]])))
    assert [s.uri for s in m3u8.loads(written["480p/growing.m3u8"]).segments] == ["../360p/0.m4s", "../360p/360000.m4s"]


def test_a_job_that_was_planned_before_all_this_shows_what_is_there() -> None:
    found = source(video(1280, 720, duration=20))
    plan = make_plan(found, Settings()).model_copy(update={"opening_seconds": 0.0})
    for parts, expected in ((PARTS[:1], ["360p/index.m3u8"]), (PARTS[:2], 3)):
        stream = presentation(found, plan, playable_so_far(parts), [])
        written = playlists(stream, replace(GROWING, video=planned_so_far(plan, parts)))
        uris = [p.uri for p in m3u8.loads(written[HLS_MASTER]).playlists]
        assert uris == expected or len(uris) == expected


# ── several codecs ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_all_renditions_of_all_codecs_are_variants() -> None:
    found = stream(picture=video(854, 480), codecs=["h264", "av1"])
    assert [playlist.uri for playlist in m3u8.loads(master(found)).playlists] == [
        "480p-h264/index.m3u8",
        "360p-h264/index.m3u8",
        "480p-av1/index.m3u8",
        "360p-av1/index.m3u8",
    ]


def test_no_playlist_that_grows_goes_from_one_codec_to_another() -> None:
    found = stream(picture=video(854, 480), codecs=["h264", "av1"])
    growing = replace(GROWING, video=found.video)
    written = playlists(found, growing)
    for codec in ("h264", "av1"):
        playlist = m3u8.loads(written[f"480p-{codec}/growing.m3u8"])
        assert [section.uri for section in playlist.segment_map] == [f"../360p-{codec}/init.mp4", "init.mp4"]
    assert f"360p-{codec}/growing.m3u8" not in written


# ── sprite sheets ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_sprite_sheets_have_a_playlist_of_images() -> None:
    """9 s with 20 tiles a second: the second sheet is for the last 4 s."""
    written = playlists(with_storyboard(stream(picture=video(320, 180))))
    [told] = m3u8.loads(written[HLS_MASTER]).image_playlists
    assert (told.image_stream_info.resolution, told.uri) == ((160, 90), "thumbnails.m3u8")
    assert told.image_stream_info.bandwidth == pytest.approx(8 * 300_000 / 9, rel=0.01)
    assert list(written)[-2:] == ["thumbnails.m3u8", HLS_MASTER]
    images = m3u8.loads(written["thumbnails.m3u8"])
    assert images.is_images_only
    assert [(image.uri, image.duration) for image in images.segments] == [("sprite-0.jpg", 5), ("sprite-1.jpg", 4)]
    assert tags(written["thumbnails.m3u8"], "EXT-X-TILES") == ["RESOLUTION=160x90,LAYOUT=10x10,DURATION=0.050000"] * 2


def test_what_grows_has_no_sprite_sheets() -> None:
    assert "IMAGE" not in playlists(stream(picture=video(320, 180)), GROWING)[HLS_MASTER]
