"""AV1 by SVT-AV1. Its CRF counts to 63, and its pictures are not reordered from packet to packet."""

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from streamforge.codecs.base import Codec, CrfScale, appended, chromaticities, content_light
from streamforge.contracts.media.source import VideoSource

Crf = Annotated[int, Field(ge=1, le=63)]


class Av1(Codec):
    name = "av1"
    encoder = "libsvtav1"
    decoder = "libdav1d"  # FFmpeg's own, called av1, only works with hardware.
    efficiency = 0.55
    keeps_hdr = True
    encrypts_samples = False
    sample_entry = "av01"
    configuration_box = "av1C"
    profiles_to_copy = frozenset({"Main"})
    preset = (Annotated[int, Field(ge=0, le=13)], 8)
    crf = (Crf, 32)
    searched_crf = (tuple[Crf, Crf], (16, 54))
    crf_scale = CrfScale(finest=1.0, unit=3.0, more_missing=0.04, fewer_bits=0.05)
    pixels_per_second = {  # noqa: RUF012
        "13": 65e6,
        "12": 65e6,
        "11": 65e6,
        "10": 45e6,
        "9": 30e6,
        "8": 20e6,
        "7": 16e6,
        "6": 13e6,
        "5": 10e6,
        "4": 8e6,
        "3": 3e6,
        "2": 1.5e6,
    }

    def private_options(self, kbit: int) -> dict[str, str]:
        return {"svtav1-params": f"keyint=-1:scd=0:irefresh-type=2:mbr={kbit}:lp=1:enable-force-key-frames=1"}

    def with_hdr_metadata(self, options: dict[str, str], video: VideoSource) -> dict[str, str]:
        found = []
        if (screen := video.mastering_display) is not None:
            points = chromaticities(screen, lambda v: f"{v:.5f}")
            found.append(f"mastering-display={points}L({screen.max_luminance:.4f},{screen.min_luminance:.4f})")
        return appended(options, "svtav1-params", found + content_light("content-light", video.content_light))

    def codec_string(self, configuration: bytes) -> str:
        """AV1 in ISOBMFF §2.3.3: profile and level, tier, bit depth."""
        profile, level = configuration[1] >> 5, configuration[1] & 0x1F
        tier = "H" if configuration[2] & 0x80 else "M"
        depth = 8 if not configuration[2] & 0x40 else (12 if configuration[2] & 0x20 else 10)
        return f"av01.{profile}.{level:02}{tier}.{depth:02}"

    def is_configuration(self, header: bytes) -> bool:
        return header[:1] == b"\x81" and len(header) >= 4

    def fresh_starts(self, configuration: bytes) -> Callable[[memoryview], bool]:
        """Its key frames always are."""
        return lambda packet: True
