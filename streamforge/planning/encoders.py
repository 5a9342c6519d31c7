"""Exact encoder options. Chunks are encoded apart, perhaps on different machines and perhaps twice, and must join without
a seam, so everything that an encoder would otherwise choose by looking at its input or its machine is fixed here.

Each encoder is one thread; a chunk's renditions run side by side, and so do chunks. x264 with a bit-rate ceiling and
frame threads writes other bytes every time (measured: 14 different results in 16 runs with threads=3), and its AVX-512
macroblock tree reads memory it never wrote unless told to be cpu-independent.

Rate control is capped CRF: constant quality, with a ceiling per rendition. Whole-file average bit rate cannot survive
cutting a film into chunks.
"""

from collections.abc import Callable
from dataclasses import dataclass

BITS_FOLLOW_PIXELS = 0.75
"""Larger pictures need fewer bits per pixel: the ceiling grows with pixels to this power."""


@dataclass(frozen=True)
class Encoder:
    """One encoder of FFmpeg. `efficiency` is the share of H.264's bits it needs for the same picture."""

    name: str
    efficiency: float
    private_options: Callable[[int], dict[str, str]]

    def max_bitrate(self, width: int, height: int, frame_rate: float, at_1080p: int) -> int:
        """bit/s. `at_1080p` is the ceiling of H.264 at 1080p30, from which others follow."""
        pixels = (width * height) / (1920 * 1080)
        pace = float(max(1.0, frame_rate / 30) ** 0.5)
        ceiling = at_1080p * self.efficiency * float(pixels**BITS_FOLLOW_PIXELS) * pace
        return max(200_000, round(ceiling / 1000) * 1000)

    def options(self, preset: str | int, crf: float, max_bitrate: int) -> dict[str, str]:
        return {"preset": str(preset), "crf": f"{crf:g}"} | self.private_options(max_bitrate // 1000)


def _x264(kbit: int) -> dict[str, str]:
    params = (
        "keyint=infinite:min-keyint=1:scenecut=0:open-gop=0:threads=1:cpu-independent=1:stitchable=1"
        f":vbv-maxrate={kbit}:vbv-bufsize={kbit * 2}"
    )
    return {"profile": "high", "x264-params": params}


def _x265(kbit: int) -> dict[str, str]:
    params = (
        "keyint=-1:min-keyint=1:scenecut=0:open-gop=0:frame-threads=1:pools=none:wpp=0:repeat-headers=0:info=0"
        f":log-level=error:vbv-maxrate={kbit}:vbv-bufsize={kbit * 2}"
    )
    return {"forced-idr": "1", "x265-params": params}


def _svt_av1(kbit: int) -> dict[str, str]:
    return {"svtav1-params": f"keyint=-1:scd=0:irefresh-type=2:mbr={kbit}:lp=1:enable-force-key-frames=1"}


ENCODERS = {
    "h264": Encoder("libx264", 1.0, _x264),
    "hevc": Encoder("libx265", 0.65, _x265),
    "av1": Encoder("libsvtav1", 0.55, _svt_av1),
}


def encoder_for(codec: str) -> Encoder:
    return ENCODERS[codec]
