"""Which streams are the film, by what was seen of them."""

from dataclasses import replace

from streamforge.planning.stream_choice import Seen, choose, film_of, why_no_picture

FILM = Seen(0, "video", "h264", packets=1500, seconds=60, width=640, height=360)
SOUND = Seen(1, "audio", "aac", packets=2800, seconds=60)


def film(*streams: Seen) -> int | None:
    found = film_of(streams)
    return found.index if found is not None else None


def test_before_a_packet_is_read_the_default_speaks_then_the_size_then_the_order() -> None:
    unread = replace(FILM, packets=0, seconds=0)
    larger = replace(unread, index=1, width=1280, height=720)
    assert film(unread, larger) == 1
    assert film(replace(unread, is_default=True), larger) == 0
    assert film(unread, replace(unread, index=1)) == 0


def test_a_still_is_not_the_film_however_large_and_whatever_its_header_says() -> None:
    still = Seen(1, "video", "mjpeg", packets=1, seconds=0.04, width=4000, height=3000, is_default=True)
    stills = replace(still, codec="hevc", packets=5, seconds=60)
    slides = replace(still, packets=10, seconds=60)
    assert film(FILM, still) == film(FILM, stills) == film(FILM, slides) == 0


def test_a_short_clip_beside_the_film_is_not_the_film() -> None:
    clip = Seen(1, "video", "h264", packets=75, seconds=3, width=1920, height=1080, is_default=True)
    assert film(replace(FILM, is_default=True), clip) == 0


def test_a_slow_film_is_a_film_beside_a_fast_one() -> None:
    """A lecture: slides as they change, at two pictures a second, and who speaks."""
    slides = Seen(1, "video", "h264", packets=120, seconds=60, width=1920, height=1080)
    assert film(FILM, slides) == 1


def test_stills_alone_are_a_film() -> None:
    assert film(Seen(0, "video", "h264", packets=3, seconds=300)) == 0
    assert film(Seen(0, "video", "mjpeg", packets=1)) == 0


def test_a_single_picture_beside_sound_is_its_cover() -> None:
    assert film(Seen(0, "video", "mjpeg", packets=1), SOUND) is None
    assert film(Seen(0, "video", "h264", packets=1), SOUND) == 0


def test_programs_belong_together() -> None:
    one, other, both = frozenset({1}), frozenset({2}), frozenset({1, 2})
    streams = [
        replace(FILM, programs=one),
        replace(SOUND, language="ita", programs=one),
        replace(FILM, index=2, width=1920, height=1080, programs=other),
        replace(SOUND, index=3, language="eng", programs=other),
        replace(SOUND, index=4, programs=both),
        replace(SOUND, index=5),
        Seen(6, "subtitle", "dvb_subtitle", programs=one),
    ]
    choice = choose(streams)
    assert choice.film is streams[2]
    assert [each.index for each in choice.sound] == [3, 4, 5]
    assert choice.text == []
    assert choice.warnings == [
        "The file has 2 video streams; number 2 (1920×1080) is used, number 0 (640×360) left out.",
        "The file has 2 programs; of those that the video is not in, number 1 (aac, ita), number 6 (dvb_subtitle) "
        "left out, too.",
    ]


def test_what_cannot_be_decoded_is_not_chosen_and_is_named_with_its_codec() -> None:
    stuck = replace(
        FILM, index=1, codec="zzz1", width=0, height=0, is_default=True, obstacle="there is no decoder for it"
    )
    locked = replace(SOUND, index=2, language="fre", obstacle="it is encrypted")
    choice = choose([FILM, stuck, locked])
    assert (choice.film, choice.sound) == (FILM, [])
    assert choice.warnings == [
        "The video track number 1 (zzz1) is left out: there is no decoder for it.",
        "The audio track number 2 (aac, fre) is left out: it is encrypted.",
    ]
    assert (
        why_no_picture([stuck])
        == "The video in this file, number 1 (zzz1), cannot be decoded: there is no decoder for it."
    )
    assert why_no_picture([SOUND]) is None


def test_of_many_tracks_some_are_named() -> None:
    locked = [replace(SOUND, index=index, obstacle="it is encrypted") for index in range(1, 10)]
    told = choose([FILM, *locked]).warnings
    assert len(told) == 6
    assert told[-1] == "4 more audio tracks cannot be decoded."
