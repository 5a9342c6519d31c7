"""What manifests say about encryption."""

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import m3u8
import pytest
from sources import audio, source, stream, video

from streamforge.contracts.media.encoded import KeyFrame
from streamforge.contracts.media.plan import Protection
from streamforge.errors import InvalidSettings
from streamforge.packaging.dash import manifest
from streamforge.packaging.encryption import has_dash, initialization_vector
from streamforge.packaging.hls import playlists
from streamforge.packaging.presentation import GrowingStream, Presentation
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

VIDEO, SOUND = "0" * 31 + "1", "0" * 31 + "2"


def protected(scheme: str) -> Presentation:
    found = stream(audio(), picture=video(1280, 720))
    for track in found.video:
        for segment in track.encoded.segments if scheme == "cbcs" else []:
            segment.key_frames = [KeyFrame(ticks=segment.start_ticks, offset=0, size_bytes=10)]
    protection = Protection(scheme=scheme, key_ids={"video": VIDEO, "audio": SOUND}, key_url="/keys/job")
    plan = found.plan.model_copy(update={"protection": protection})
    return Presentation(source=found.source, plan=plan, video=found.video, audio=found.audio)


def settings(scheme: str, *codecs: str) -> Settings:
    return Settings.model_validate(
        {"protection": {"scheme": scheme}, "profiles": {"default": {}, "x": {"transcode": {"codecs": list(codecs)}}}}
    )


# ── HLS ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("name", "track", "key_id"), [("720p", "720p", VIDEO), ("audio-0", "audio-0", SOUND)])
def test_every_file_of_aes_128_has_its_own_initialization_vector_and_init_segments_are_clear(
    name: str, track: str, key_id: str
) -> None:
    text = playlists(protected("aes-128"))[f"{name}/index.m3u8"]
    lines = text.splitlines()
    assert lines.index("#EXT-X-KEY:METHOD=NONE") == lines.index('#EXT-X-MAP:URI="init.mp4"') - 1
    for segment in m3u8.loads(text).segments:
        vector = initialization_vector(key_id, track, segment.uri)
        assert (segment.key.method, segment.key.uri) == ("AES-128", f"/keys/job/{key_id}")
        assert segment.key.iv == f"0x{vector.hex()}"


@pytest.mark.parametrize("name", ["growing.m3u8", "index.m3u8"])
def test_segments_that_stand_in_have_the_vectors_of_their_own_track(name: str) -> None:
    text = playlists(protected("aes-128"))[f"720p/{name}"]
    for segment in m3u8.loads(text).segments:
        track = "360p" if segment.uri.startswith("../360p/") else "720p"
        vector = initialization_vector(VIDEO, track, segment.uri.rpartition("/")[2])
        assert segment.key.iv == f"0x{vector.hex()}"
    clear = [line for line in text.splitlines() if line.startswith("#EXT-X-MAP") or "METHOD=NONE" in line]
    assert clear[::2] == ["#EXT-X-KEY:METHOD=NONE"] * (len(clear) // 2)


@pytest.mark.parametrize("scheme", ["aes-128", "cbcs"])
def test_playlists_that_grow_name_their_keys(scheme: str) -> None:
    found = protected(scheme)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    growing = GrowingStream(began_at=now, now=now, segment_seconds=4, source_seconds=60, video=found.video)
    texts = {name: text for name, text in playlists(found, growing).items() if "/" in name}
    assert {"360p/index.m3u8", "720p/growing.m3u8", "audio-0/index.m3u8"} <= set(texts)
    for text in texts.values():
        assert "EVENT" in text
        assert all(segment.key.uri for segment in m3u8.loads(text).segments)


def test_aes_128_has_no_byte_ranges_to_show_while_somebody_winds() -> None:
    names = playlists(protected("aes-128"))
    assert not [name for name in names if "iframes" in name]
    assert "I-FRAME" not in names["master.m3u8"]


def test_cbcs_names_a_key_for_apple_and_shaka_and_the_same_for_hls_js() -> None:
    found = playlists(protected("cbcs"))
    for name, key_id in (("720p/index.m3u8", VIDEO), ("720p/iframes.m3u8", VIDEO), ("audio-0/index.m3u8", SOUND)):
        keys = [line for line in found[name].splitlines() if line.startswith("#EXT-X-KEY")]
        tag = f'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="/keys/job/{key_id}"'
        assert keys == [tag, f'{tag},KEYFORMAT="org.w3.clearkey",KEYID=0x{key_id}']
        assert found[name].index("#EXT-X-KEY") < found[name].index("#EXT-X-MAP")


def test_what_is_not_protected_has_no_keys() -> None:
    found = stream(audio())
    assert not [name for name, text in playlists(found).items() if "#EXT-X-KEY" in text]
    assert "ContentProtection" not in manifest(found)


# ── DASH ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_each_set_names_its_key_and_where_the_licence_is() -> None:
    root = ET.fromstring(manifest(protected("cbcs")))
    for kind, key_id in (("video", VIDEO), ("audio", SOUND)):
        [adaptation] = [
            s for s in root.iter("{urn:mpeg:dash:schema:mpd:2011}AdaptationSet") if s.get("contentType") == kind
        ]
        common, clear_key = adaptation.findall("{urn:mpeg:dash:schema:mpd:2011}ContentProtection")
        assert (common.get("schemeIdUri"), common.get("value")) == ("urn:mpeg:dash:mp4protection:2011", "cbcs")
        assert str(common.get("{urn:mpeg:cenc:2013}default_KID")).replace("-", "") == key_id
        assert clear_key.get("schemeIdUri") == "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"
        assert clear_key.findtext("{https://dashif.org/CPS}Laurl") == "/keys/job/license"
        assert list(adaptation).index(common) < list(adaptation).index(adaptation.find("{*}SegmentTemplate"))


# ── the plan ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_plan_says_how_it_is_protected_and_what_is_left_out_for_it() -> None:
    plans = {scheme: make_plan(source(), settings(scheme)) for scheme in ("none", "aes-128", "cbcs")}
    assert plans["none"].protection is None
    assert plans["cbcs"].protection == Protection(scheme="cbcs")
    assert {scheme: has_dash(plan) for scheme, plan in plans.items()} == {"none": True, "aes-128": False, "cbcs": True}
    assert plans["none"].warnings == plans["cbcs"].warnings == []
    [warning] = plans["aes-128"].warnings
    assert "no DASH" in warning


def test_cbcs_is_refused_for_av1_with_the_keys_to_change() -> None:
    with pytest.raises(InvalidSettings, match=r"protection\.scheme.*transcode\.codecs"):
        make_plan(source(), settings("cbcs", "h264", "av1").for_profile("x"))
    assert make_plan(source(), settings("cbcs", "h264", "hevc").for_profile("x")).protection is not None
    assert make_plan(source(), settings("aes-128", "av1").for_profile("x")).protection is not None


def test_no_two_files_have_the_same_initialization_vector() -> None:
    names = [(key, track, f"{n}.m4s") for key in (VIDEO, SOUND) for track in ("720p", "360p") for n in range(100)]
    assert len({initialization_vector(*name) for name in names}) == len(names)
