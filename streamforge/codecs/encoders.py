"""Exact encoder options. Chunks are encoded apart, perhaps on different machines and perhaps twice, and must join without
a seam, so everything that an encoder would otherwise choose by looking at its input or its machine is fixed here.

Each encoder is one thread; a chunk's renditions run side by side, and so do chunks. x264 with a bit-rate ceiling and
frame threads writes other bytes every time (measured: 14 different results in 16 runs with threads=3), and its AVX-512
macroblock tree reads memory it never wrote unless told to be cpu-independent.

Rate control is capped CRF: constant quality, with a ceiling per rendition. Whole-file average bit rate cannot survive
cutting a film into chunks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

BITS_FOLLOW_PIXELS = 0.75
"""Larger pictures need fewer bits per pixel: the ceiling grows with pixels to this power."""

LONGEST_REORDERED_SECONDS = 1 / 8
"""A picture that stays on the screen for longer is decoded when it is shown, neither before nor after another one. Players
that go by decode times would take it for as long as the one in whose place it is decoded."""

LONGEST_STILL_SECONDS = 1
"""A picture that stays for longer is encoded again: players must have some pictures ahead, or they wait for more."""


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

    def without_reordering(self, options: dict[str, str]) -> dict[str, str]:
        """The options, with which the stream also says in its header that its pictures are decoded in the order in which
        they are shown: no decoder then waits for the next one. AV1 is not reordered at all, from packet to packet."""
        return {name: f"{value}:bframes=0" if name in REORDERING else value for name, value in options.items()}


NO_CAPTIONS = {"a53cc": "0"}
"""Else encoders pass on what a source's pictures hold of CEA-608 (ATSC A/53), of which HLS says that there is none: it has
become WebVTT. SVT-AV1 passes nothing on."""


def _x264(kbit: int) -> dict[str, str]:
    params = (
        "keyint=infinite:min-keyint=1:scenecut=0:open-gop=0:threads=1:cpu-independent=1:stitchable=1"
        f":vbv-maxrate={kbit}:vbv-bufsize={kbit * 2}"
    )
    return NO_CAPTIONS | {"profile": "high", "x264-params": params}


def _x265(kbit: int) -> dict[str, str]:
    params = (
        "keyint=-1:min-keyint=1:scenecut=0:open-gop=0:frame-threads=1:pools=none:wpp=0:repeat-headers=0:info=0"
        f":log-level=error:vbv-maxrate={kbit}:vbv-bufsize={kbit * 2}"
    )
    return NO_CAPTIONS | {"forced-idr": "1", "x265-params": params}


def _svt_av1(kbit: int) -> dict[str, str]:
    return {"svtav1-params": f"keyint=-1:scd=0:irefresh-type=2:mbr={kbit}:lp=1:enable-force-key-frames=1"}


REORDERING = {"x264-params", "x265-params"}

ENCODERS = {
    "h264": Encoder("libx264", 1.0, _x264),
    "hevc": Encoder("libx265", 0.65, _x265),
    "av1": Encoder("libsvtav1", 0.55, _svt_av1),
}


GPU_ENCODERS = {"h264": "h264_nvenc"}
"""NVIDIA's, by codec. Parts of one stream may come from a GPU or from a CPU, so each brings its parameter sets along, in
band. Apple's players refuse HEVC in that form, and the configuration record of AV1 would have to fit both encoders."""


BASELINE = 66
NVENC_PROFILES = {BASELINE: "baseline", 77: "main", 100: "high"}
"""By profile_idc (ITU-T H.264 annex A)."""


def nvenc_options(
    options: Mapping[str, str], max_bitrate: int, profile: int, level: int, reorders: bool
) -> dict[str, str]:
    """For the same as the CPU's encoder is asked for with `options`: constant quality below a ceiling (bit/s), key frames
    where they are told and nowhere else, closed GOPs, and no more reordering than the plan has room for (`reorders`).

    `profile` and `level` are what manifests say (profile_idc, level_idc): a GPU must not ask more of players.
    """
    constant_quality = {"rc": "vbr", "cq": f"{max(1.0, float(options['crf'])):g}", "b": "0"}
    ceiling = {"maxrate": str(max_bitrate), "bufsize": str(2 * max_bitrate)}
    key_frames = {"g": "1000000", "forced-idr": "1", "no-scenecut": "1", "strict_gop": "1"}
    pictures = {
        "preset": "p5",
        "tune": "hq",
        "bf": "2" if reorders and profile != BASELINE else "0",
        "b_ref_mode": "disabled",
    }
    asked_of_players = {"profile": NVENC_PROFILES[profile], "level": str(level)}
    return constant_quality | ceiling | key_frames | pictures | asked_of_players | NO_CAPTIONS


def reorders(frame_rate: float) -> bool:
    """Whether the usual picture of a film may be reordered."""
    return 1 / frame_rate <= LONGEST_REORDERED_SECONDS


def encoder_for(codec: str) -> Encoder:
    return ENCODERS[codec]
