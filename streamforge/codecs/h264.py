"""H.264 (ISO/IEC 14496-10) by x264, or by NVENC on a GPU.

x264 with a bit-rate ceiling and frame threads writes other bytes every time (measured: 14 different results in 16 runs
with threads=3), and its AVX-512 macroblock tree reads memory it never wrote unless told to be cpu-independent.
"""

from collections.abc import Callable, Mapping

from streamforge.codecs import x26x
from streamforge.codecs.base import Codec, CrfScale, appended
from streamforge.codecs.nal_units import first_bytes

BASELINE = 66
NVENC_PROFILES = {BASELINE: "baseline", 77: "main", 100: "high"}
"""By profile_idc (ISO/IEC 14496-10 annex A)."""

IDR_SLICE = 5


class H264(Codec):
    name = "h264"
    encoder = "libx264"
    decoder = "h264"
    gpu_encoder = "h264_nvenc"
    efficiency = 1.0
    keeps_hdr = False
    encrypts_samples = True
    sample_entry = "avc1"
    configuration_box = "avcC"
    signature = rb"x264 - core \d+(?: r\d+)?(?: [0-9a-f]{6,})?"
    profiles_to_copy = frozenset({"Constrained Baseline", "Baseline", "Main", "High"})
    preset = (x26x.Preset, "veryfast")
    crf = (x26x.Crf, 23.0)
    searched_crf = (tuple[x26x.SearchedCrf, x26x.SearchedCrf], (16.0, 36.0))
    crf_scale = CrfScale(finest=0.5, unit=1.0, more_missing=0.14, fewer_bits=0.13)
    pixels_per_second = {  # noqa: RUF012
        "ultrafast": 200e6,
        "superfast": 110e6,
        "veryfast": 80e6,
        "faster": 42e6,
        "fast": 30e6,
        "medium": 24e6,
        "slow": 15e6,
        "slower": 9e6,
        "veryslow": 5e6,
    }

    def private_options(self, kbit: int) -> dict[str, str]:
        params = (
            "keyint=infinite:min-keyint=1:scenecut=0:open-gop=0:threads=1:cpu-independent=1:stitchable=1"
            f":vbv-maxrate={kbit}:vbv-bufsize={kbit * 2}"
        )
        return x26x.NO_CAPTIONS | {"profile": "high", "x264-params": params}

    def without_reordering(self, options: dict[str, str]) -> dict[str, str]:
        return appended(options, "x264-params", ["bframes=0"])

    def codec_string(self, configuration: bytes) -> str:
        """ISO/IEC 14496-15 §5.3.3.1: version, profile, constraints, level."""
        return f"avc1.{configuration[1:4].hex()}"

    def is_configuration(self, header: bytes) -> bool:
        return header[:1] == b"\1" and len(header) > 8 and header[5] & 0x1F > 0

    def fresh_starts(self, configuration: bytes) -> Callable[[memoryview], bool]:
        """By the first slice (ISO/IEC 14496-10 table 7-1). Recovery points are none: what comes behind them may refer to
        what lies before."""
        length_size = (configuration[4] & 3) + 1

        def is_idr(packet: memoryview) -> bool:
            slices = (byte & 31 for byte in first_bytes(packet, length_size) if 1 <= byte & 31 <= IDR_SLICE)
            return next(slices, 0) == IDR_SLICE

        return is_idr

    def gpu_options(
        self, options: Mapping[str, str], max_bitrate: int, configuration: bytes, *, reorders: bool
    ) -> dict[str, str]:
        """Constant quality below a ceiling, key frames where they are told and nowhere else, closed GOPs, and no more
        reordering than the plan has room for."""
        profile, level = configuration[1], configuration[3]
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
        return constant_quality | ceiling | key_frames | pictures | asked_of_players | x26x.NO_CAPTIONS
