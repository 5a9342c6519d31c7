"""HEVC (ISO/IEC 23008-2) by x265."""

import struct
from collections.abc import Callable

from streamforge.codecs import x26x
from streamforge.codecs.base import Codec, CrfScale, appended, chromaticities, content_light
from streamforge.codecs.nal_units import first_bytes
from streamforge.contracts.media.source import VideoSource

SLICES = 32
RANDOM_ACCESS = range(16, 22)
"""Of NAL unit types (ISO/IEC 23008-2 table 7-1) those below the first are slices, those of the second begin anew."""


class Hevc(Codec):
    name = "hevc"
    encoder = "libx265"
    decoder = "hevc"
    efficiency = 0.65
    keeps_hdr = True
    encrypts_samples = True
    sample_entry = "hvc1"  # Apple's players refuse hev1.
    configuration_box = "hvcC"
    signature = rb"x265 \(build \d+\) - [\w.+-]+"
    profiles_to_copy = frozenset({"Main"})
    preset = (x26x.Preset, "veryfast")
    crf = (x26x.Crf, 26.0)
    searched_crf = (tuple[x26x.SearchedCrf, x26x.SearchedCrf], (16.0, 38.0))
    crf_scale = CrfScale(finest=0.5, unit=1.0, more_missing=0.11, fewer_bits=0.13)
    pixels_per_second = {  # noqa: RUF012
        "ultrafast": 45e6,
        "superfast": 30e6,
        "veryfast": 23e6,
        "faster": 20e6,
        "fast": 16e6,
        "medium": 14e6,
        "slow": 6e6,
        "slower": 2e6,
        "veryslow": 1e6,
    }

    def private_options(self, kbit: int) -> dict[str, str]:
        params = (
            "keyint=-1:min-keyint=1:scenecut=0:open-gop=0:frame-threads=1:pools=none:wpp=0:repeat-headers=0:info=0"
            f":log-level=error:vbv-maxrate={kbit}:vbv-bufsize={kbit * 2}"
        )
        return x26x.NO_CAPTIONS | {"forced-idr": "1", "x265-params": params}

    def without_reordering(self, options: dict[str, str]) -> dict[str, str]:
        return appended(options, "x265-params", ["bframes=0"])

    def with_hdr_metadata(self, options: dict[str, str], video: VideoSource) -> dict[str, str]:
        """Integers: chromaticities in 0.00002, luminance in 0.0001 cd/m²."""
        found = []
        if (screen := video.mastering_display) is not None:
            points = chromaticities(screen, lambda v: str(round(v * 50_000)))
            luminance = f"L({round(screen.max_luminance * 10_000)},{round(screen.min_luminance * 10_000)})"
            found.append(f"master-display={points}{luminance}")
        return appended(options, "x265-params", found + content_light("max-cll", video.content_light))

    def codec_string(self, configuration: bytes) -> str:
        """ISO/IEC 14496-15 annex E.3: profile space and idc, compatibility flags bit-reversed, tier and level,
        constraints."""
        space = ("", "A", "B", "C")[configuration[1] >> 6]
        tier = "H" if configuration[1] & 0x20 else "L"
        (compatibility,) = struct.unpack_from(">I", configuration, 2)
        reversed_flags = int(f"{compatibility:032b}"[::-1], 2)
        constraints = configuration[6:12].rstrip(b"\0")
        suffix = "".join(f".{byte:X}" for byte in constraints)
        return f"hvc1.{space}{configuration[1] & 0x1F}.{reversed_flags:X}.{tier}{configuration[12]}{suffix}"

    def is_configuration(self, header: bytes) -> bool:
        """With arrays of all three kinds of parameter sets."""
        return header[:1] == b"\1" and len(header) > 23 and header[22] >= 3

    def fresh_starts(self, configuration: bytes) -> Callable[[memoryview], bool]:
        length_size = (configuration[21] & 3) + 1

        def is_random_access(packet: memoryview) -> bool:
            kinds = (byte >> 1 & 63 for byte in first_bytes(packet, length_size))
            return next((kind for kind in kinds if kind < SLICES), 0) in RANDOM_ACCESS

        return is_random_access
