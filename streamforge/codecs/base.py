"""What there is to say of a codec that renditions are made in. Each has a file of its own here, and is named in
streamforge.codecs.registry; nothing else in StreamForge asks which codec it deals with.

Chunks are encoded apart, perhaps on different machines and perhaps twice, and must join without a seam, so everything that
an encoder would otherwise choose by looking at its input or its machine is fixed by its options. Each encoder is one
thread; a chunk's renditions run side by side, and so do chunks.

Rate control is capped CRF: constant quality, with a ceiling per rendition. Whole-file average bit rate cannot survive
cutting a film into chunks.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from streamforge.contracts.media.source import ContentLight, MasteringDisplay, VideoSource

BITS_FOLLOW_PIXELS = 0.75
"""Larger pictures need fewer bits per pixel: the ceiling grows with pixels to this power."""

LONGEST_REORDERED_SECONDS = 1 / 8
"""A picture that stays on the screen for longer is decoded when it is shown, neither before nor after another one. Players
that go by decode times would take it for as long as the one in whose place it is decoded."""

LONGEST_STILL_SECONDS = 1
"""A picture that stays for longer is encoded again: players must have some pictures ahead, or they wait for more."""


Setting = tuple[Any, Any]
"""The type of a setting, as pydantic takes it, and its default."""


@dataclass(frozen=True)
class CrfScale:
    """How one encoder's CRF is divided, and what a step of 1 usually does to the log-odds of what is missing to 100 and to
    the logarithm of the bit rate. `unit` is how many steps are about one of x264's. Measured on two films, see bench
    codecs."""

    finest: float
    unit: float
    more_missing: float
    fewer_bits: float


class Codec(ABC):
    """One codec, and the encoder of FFmpeg that writes it. Implementations have no state."""

    name: ClassVar[str]
    """As in settings, plans and answers of the API, and as FFmpeg calls the codec."""

    encoder: ClassVar[str]
    """FFmpeg's name of the encoder, like libx264."""

    decoder: ClassVar[str]
    """FFmpeg's name of the decoder that works without hardware."""

    gpu_encoder: ClassVar[str | None] = None
    """NVIDIA's, where parts of one stream may come from a GPU or from a CPU."""

    efficiency: ClassVar[float]
    """The share of H.264's bits it needs for the same picture."""

    keeps_hdr: ClassVar[bool]
    """Whether players show more than 8 bits, and HDR, in it. Elsewhere HDR is tone-mapped."""

    encrypts_samples: ClassVar[bool]
    """Whether cbcs is there for it: needs the length of slice headers, see streamforge.media.bitstream.slice_headers."""

    sample_entry: ClassVar[str]
    """ISO/IEC 14496-12 §8.5.2: what the track is called in MP4."""

    configuration_box: ClassVar[str]
    """The box in the sample entry with which a decoder is set up."""

    signature: ClassVar[bytes | None] = None
    """A regular expression of what the encoder writes about itself into the head of a stream."""

    profiles_to_copy: ClassVar[frozenset[str]]
    """Profiles of 8 bit and 4:2:0 which every player has, by FFmpeg's names: such streams may be copied."""

    preset: ClassVar[Setting]
    crf: ClassVar[Setting]
    searched_crf: ClassVar[Setting]
    """Of settings: `transcode.presets`, `transcode.crf` and `per_title.crf`, the lowest and the highest that a search may
    choose."""

    crf_scale: ClassVar[CrfScale]

    pixels_per_second: ClassVar[Mapping[str, float]]
    """Per CPU second and preset, scaling included. A preset that is not here counts as the slowest that is."""

    @abstractmethod
    def private_options(self, kbit: int) -> dict[str, str]:
        """What fixes all that the encoder would choose by itself; `kbit` is the ceiling in kbit/s."""

    @abstractmethod
    def codec_string(self, configuration: bytes) -> str:
        """RFC 6381, from what is in the configuration box, like avc1.64001f: what a player asks its decoder before it
        downloads media."""

    @abstractmethod
    def is_configuration(self, header: bytes) -> bool:
        """Whether what a container says in front of its packets is a configuration box with all parameter sets, as MP4
        has it. Annex B of H.264 and HEVC is not."""

    @abstractmethod
    def fresh_starts(self, configuration: bytes) -> Callable[[memoryview], bool]:
        """Whether a packet that its container calls a key frame also is one to a decoder: nothing behind it refers to what
        lies before."""

    def with_hdr_metadata(self, options: dict[str, str], video: VideoSource) -> dict[str, str]:
        """Options that also write what is known of the mastering display and the content's light into the stream."""
        return options

    def without_reordering(self, options: dict[str, str]) -> dict[str, str]:
        """The options, with which the stream also says in its header that its pictures are decoded in the order in which
        they are shown: no decoder then waits for the next one."""
        return options

    def gpu_options(
        self, options: Mapping[str, str], max_bitrate: int, configuration: bytes, *, reorders: bool
    ) -> dict[str, str]:
        """For the GPU's encoder, what the CPU's is asked for with `options`. `configuration` is what manifests say: a GPU
        must not ask more of players. `max_bitrate` in bit/s; `reorders`: whether the plan has room for it."""
        raise NotImplementedError(f"There is no GPU encoder for {self.name}.")

    def max_bitrate(self, width: int, height: int, frame_rate: float, at_1080p: int) -> int:
        """bit/s. `at_1080p` is the ceiling of H.264 at 1080p30, from which others follow."""
        pixels = (width * height) / (1920 * 1080)
        pace = float(max(1.0, frame_rate / 30) ** 0.5)
        ceiling = at_1080p * self.efficiency * float(pixels**BITS_FOLLOW_PIXELS) * pace
        return max(200_000, round(ceiling / 1000) * 1000)

    def options(self, preset: str | int, crf: float, max_bitrate: int) -> dict[str, str]:
        return {"preset": str(preset), "crf": f"{crf:g}"} | self.private_options(max_bitrate // 1000)

    def speed(self, preset: str) -> float:
        """Pixels per CPU second."""
        return self.pixels_per_second.get(preset, min(self.pixels_per_second.values()))


def reorders(frame_rate: float) -> bool:
    """Whether the usual picture of a film may be reordered."""
    return 1 / frame_rate <= LONGEST_REORDERED_SECONDS


# ── what implementations share ──────────────────────────────────────────────────────────────────────────────────────
def appended(options: dict[str, str], name: str, added: list[str]) -> dict[str, str]:
    """`options` with more parameters in the colon-separated option `name`."""
    return options | {name: ":".join([options[name], *added])} if added else options


def chromaticities(screen: MasteringDisplay, written: Callable[[float], str]) -> str:
    points = {"G": screen.green, "B": screen.blue, "R": screen.red, "WP": screen.white}
    return "".join(f"{name}({written(x)},{written(y)})" for name, (x, y) in points.items())


def content_light(name: str, light: ContentLight | None) -> list[str]:
    return [] if light is None else [f"{name}={light.max_content},{light.max_frame_average}"]
