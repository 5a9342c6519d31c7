"""HDR comes out as it was where the codec carries it, and on an SDR screen as near to it as that can show."""

import re
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from encoding import Encoded, encode
from patches import FFV1, Colors, Kind, patches, seen
from test_probe import probe

from streamforge.contracts.media.source import ContentLight
from streamforge.media.encoding.scaling import Output, Scaler, Size
from streamforge.media.worker.children import MediaChildren
from streamforge.settings import Settings

X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params")
SCREEN = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
"""P3 as x265 writes it, with a peak of 1,000 cd/m²."""
METADATA = f"lossless=1:log-level=error:hdr10=1:repeat-headers=1:master-display={SCREEN}:max-cll=1000,400"
HDR10 = Kind(9, 9, 16, bits=10, pixel_format="yuv420p10le", codec=(*X265, METADATA))
HLG = Kind(9, 9, 18, bits=10, pixel_format="yuv420p10le", codec=(*X265, "lossless=1:log-level=error"))
PRESETS = {"h264": "ultrafast", "hevc": "ultrafast", "av1": "12"}

NITS = np.array([0, 0.5, 5, 26, 50, 100, 203, 400, 700, 1000])


def settings(*codecs: str) -> Settings:
    transcode = {"codecs": codecs, "presets": PRESETS, "heights": [180, 90]}
    return Settings.model_validate({"transcode": transcode, "validation": {"min_score": 0}})


# ── computed by hand, from the standards ────────────────────────────────────────────────────────────────────────────
def pq(nits: Colors) -> Colors:
    """SMPTE ST 2084: signal of cd/m²."""
    power = (np.asarray(nits) / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(scene: Colors) -> Colors:
    """ARIB STD-B67: signal of the scene's light, 0–1."""
    scene = np.asarray(scene, float)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-6)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""Linear BT.709 in BT.2020's primaries (BT.2087)."""


BT709_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def hue(light: Colors) -> Colors:
    """Direction of linear BT.709 light from white, in degrees, in the chromaticity diagram (CIE 1931)."""
    xyz = light @ BT709_TO_XYZ.T
    x, y = xyz[:, 0] / xyz.sum(axis=1) - 0.3127, xyz[:, 1] / xyz.sum(axis=1) - 0.3290
    return np.degrees(np.arctan2(y, x))


def grays(values: Colors) -> Colors:
    return np.repeat(np.asarray(values)[:, None], 3, axis=1)


def luma(encoded: Encoded, folder: Path, name: str = "180p") -> Colors:
    return seen(encoded.file(name, folder), len(NITS)).signal.mean(axis=1) * 255


# ── to SDR ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_hdr10_is_tone_mapped_for_h264(children: MediaChildren, tmp_path: Path) -> None:
    """Below the knee light stays what it was, 203 cd/m² being SDR's white; a white page comes out near it; highlights get
    the rest, and all differ."""
    path = patches(tmp_path / "hdr.mp4", grays(pq(NITS)), HDR10)
    encoded = await encode(children, path, tmp_path / "out", settings("h264"))
    for name in ("180p", "90p"):
        picture = seen(encoded.file(name, tmp_path), len(NITS))
        assert (picture.primaries, picture.transfer, picture.matrix, picture.range) == (1, 1, 1, 1)
        assert picture.pixel_format == "yuv420p"
        shown = luma(encoded, tmp_path, name)
        dark = NITS <= 90
        assert shown[dark] == pytest.approx(255 * (NITS[dark] / 203) ** (1 / 2.4), abs=3)
        assert shown[0] <= 1
        assert 215 < shown[list(NITS).index(203)] < 240
        assert np.all(np.diff(shown[NITS <= 700]) > 0.5)
        assert shown[-1] == pytest.approx(255, abs=3)


async def test_hlg_is_tone_mapped_for_h264(children: MediaChildren, tmp_path: Path) -> None:
    """On a screen of 1,000 cd/m² a gray of the scene has its light to the power of 1.2 (BT.2100)."""
    scene = (NITS / 1000) ** (1 / 1.2)
    path = patches(tmp_path / "hlg.mp4", grays(hlg(scene)), HLG)
    encoded = await encode(children, path, tmp_path / "out", settings("h264"))
    shown = luma(encoded, tmp_path)
    dark = NITS <= 90
    assert shown[dark] == pytest.approx(255 * (NITS[dark] / 203) ** (1 / 2.4), abs=4)
    assert 215 < shown[list(NITS).index(203)] < 240
    assert np.all(np.diff(shown[NITS <= 700]) > 0.5)


async def test_colors_that_sdr_can_show_come_out_exactly(children: MediaChildren, tmp_path: Path) -> None:
    wanted = np.array([[0.4, 0.1, 0.1], [0.1, 0.4, 0.1], [0.1, 0.1, 0.4], [0.4, 0.3, 0.05], [0.2, 0.2, 0.2]])
    path = patches(tmp_path / "hdr.mp4", pq(203 * wanted @ TO_BT2020.T), HDR10)
    encoded = await encode(children, path, tmp_path / "out", settings("h264"))
    shown = seen(encoded.file("180p", tmp_path), len(wanted)).signal
    assert shown == pytest.approx(wanted ** (1 / 2.4), abs=4 / 255)


async def test_colors_beyond_sdr_keep_their_hue(children: MediaChildren, tmp_path: Path) -> None:
    """Purer than BT.709 can show, or brighter: they lie in the same direction from white, and not clipped to another."""
    pure = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [4, 1, 0.4], [0.4, 4, 0.4], [1, 0.4, 4], [0, 0.8, 0.8]])
    path = patches(tmp_path / "hdr.mp4", pq(203 * pure), HDR10)
    encoded = await encode(children, path, tmp_path / "out", settings("h264"))
    shown = seen(encoded.file("180p", tmp_path), len(pure)).signal
    turned = hue(shown.clip(0) ** 2.4) - hue(pure @ np.linalg.inv(TO_BT2020).T)
    assert (turned + 180) % 360 - 180 == pytest.approx(np.zeros(len(pure)), abs=4)
    assert np.all(shown.max(axis=1) - shown.min(axis=1) > 0.25)


async def test_a_wide_gamut_in_sdr_becomes_bt709(children: MediaChildren, tmp_path: Path) -> None:
    wanted = np.array([[0, 0, 0], [1, 1, 1], [0.6, 0.1, 0.1], [0.1, 0.6, 0.1], [0.1, 0.1, 0.6], [0.3, 0.3, 0.3]])
    signal = (wanted @ TO_BT2020.T).clip(0, 1) ** (1 / 2.4)
    kind = Kind(9, 9, 14, bits=10, pixel_format="yuv420p10le", codec=FFV1)
    path = patches(tmp_path / "wide.mkv", signal, kind)
    encoded = await encode(children, path, tmp_path / "out", settings("h264"))
    picture = seen(encoded.file("180p", tmp_path), len(wanted))
    assert picture.matrix == picture.primaries == 1
    assert picture.signal == pytest.approx(wanted ** (1 / 2.4), abs=4 / 255)


# ── kept ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("kind", "transfer"), [(HDR10, 16), (HLG, 18)], ids=["hdr10", "hlg"])
@pytest.mark.parametrize(("codec", "suffix"), [("hevc", "hvc1.2."), ("av1", "M.10")])
async def test_hdr_stays_hdr_in_hevc_and_av1(
    children: MediaChildren, tmp_path: Path, codec: str, suffix: str, kind: Kind, transfer: int
) -> None:
    path = patches(tmp_path / "hdr.mp4", grays(pq(NITS)), kind)
    encoded = await encode(children, path, tmp_path / "out", settings(codec))
    for name in ("180p", "90p"):
        picture = seen(encoded.file(name, tmp_path), len(NITS))
        assert picture.pixel_format == "yuv420p10le"
        assert (picture.primaries, picture.transfer, picture.matrix, picture.range) == (9, transfer, 9, 1)
        assert picture.signal == pytest.approx(grays(pq(NITS)), abs=6 / 1023)
        assert re.search(re.escape(suffix), encoded.tracks[name].codec_string)


@pytest.mark.parametrize("codec", ["hevc", "av1"])
async def test_metadata_of_hdr_goes_along(children: MediaChildren, tmp_path: Path, codec: str) -> None:
    path = patches(tmp_path / "hdr.mp4", grays(pq(NITS)), HDR10)
    source = await probe(children, path)
    assert source.video.dynamic_range == "hdr10"
    assert source.video.content_light == ContentLight(max_content=1000, max_frame_average=400)
    screen = source.video.mastering_display
    assert screen is not None
    assert (screen.red, screen.max_luminance) == ((0.68, 0.32), 1000)
    encoded = await encode(children, path, tmp_path / "out", settings(codec))
    again = await probe(children, encoded.file("180p", tmp_path))
    assert again.video.content_light == source.video.content_light
    assert again.video.mastering_display is not None
    assert np.array(again.video.mastering_display.green) == pytest.approx(np.array(screen.green), abs=1e-4)
    assert again.video.mastering_display.max_luminance == pytest.approx(1000, rel=0.001)


async def test_a_tone_mapped_stream_does_not_claim_to_be_hdr(children: MediaChildren, tmp_path: Path) -> None:
    path = patches(tmp_path / "hdr.mp4", grays(pq(NITS)), HDR10)
    encoded = await encode(children, path, tmp_path / "out", settings("h264"))
    with av.open(str(encoded.file("180p", tmp_path))) as container:
        frame = next(container.decode(video=0))
        assert frame.side_data.get(Type.MASTERING_DISPLAY_METADATA) is None
        assert frame.side_data.get(Type.CONTENT_LIGHT_LEVEL) is None


async def test_quality_is_measured_against_the_source_in_the_same_dynamic_range(
    children: MediaChildren, tmp_path: Path
) -> None:
    """Both kinds in one part; against the other kind of reference they would score badly."""
    path = patches(tmp_path / "hdr.mp4", grays(pq(NITS)), HDR10)
    encoded = await encode(children, path, tmp_path / "out", settings("hevc", "h264"))
    quality = encoded.chunks[0].quality
    assert quality is not None
    scores = {log.name: list(log.scores.values()) for log in quality.renditions}
    assert {name: len(found) for name, found in scores.items() if name.startswith("180p")} == {
        "180p-hevc": 10,
        "180p-h264": 10,
    }
    assert min(scores["180p-hevc"] + scores["180p-h264"]) > 85


async def test_a_picture_does_not_depend_on_what_others_are_made_beside_it(
    children: MediaChildren, tmp_path: Path
) -> None:
    """Chunks are encoded in parts: the smallest rendition of the first one alone."""
    path = patches(tmp_path / "hdr.mp4", pq(203 * np.random.default_rng(0).random((40, 3))), HDR10)
    video = (await probe(children, path)).video_required
    small, large, kept = Output(Size(160, 90)), Output(Size(320, 180)), Output(Size(160, 90), "yuv420p10le", "hdr10")
    together, alone = Scaler(video, [large, small, kept]), [Scaler(video, [output]) for output in (large, small, kept)]
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            shown = [picture.to_ndarray() for picture in together.scale(frame, number)]
            singly = [scaler.scale(frame, number)[0].to_ndarray() for scaler in alone]
            assert all(np.array_equal(one, other) for one, other in zip(shown, singly, strict=True))
