"""The codecs that renditions can be made in."""

from collections.abc import Iterable

from streamforge.codecs.av1 import Av1
from streamforge.codecs.base import Codec
from streamforge.codecs.h264 import H264
from streamforge.codecs.hevc import Hevc

CODECS: dict[str, Codec] = {codec.name: codec for codec in (H264(), Hevc(), Av1())}

GPU_ENCODERS: dict[str, str] = {name: codec.gpu_encoder for name, codec in CODECS.items() if codec.gpu_encoder}
"""By codec."""

CBCS_CODECS = f"cbcs encrypts {' and '.join(name for name, codec in CODECS.items() if codec.encrypts_samples)}"


def without_cbcs(codecs: Iterable[str]) -> list[str]:
    """Those of `codecs` that common encryption is not there for."""
    return [name for name in codecs if not CODECS[name].encrypts_samples]


def by_configuration_box(init: bytes) -> tuple[Codec, bytes] | None:
    """The codec of an init segment, and what lies in its configuration box; None for sound."""
    for codec in CODECS.values():
        if (at := init.find(codec.configuration_box.encode())) >= 0:
            return codec, init[at + 4 :]
    return None
