"""What media children work with. Asked of one of them, because the worker itself loads no media code."""

import av

from streamforge.codecs.registry import CODECS, GPU_ENCODERS
from streamforge.contracts.tasks import LIBRARIES, Libraries, LibrariesTask, Nothing
from streamforge.media.process.performing import Tell, performs

ENCODERS = (*(codec.encoder for codec in CODECS.values()), "aac", *GPU_ENCODERS.values())


@performs(LIBRARIES)
def run(_: LibrariesTask, __: Tell[Nothing]) -> Libraries:
    return Libraries(
        av=av.__version__,
        ffmpeg=av.ffmpeg_version_info,
        libavcodec=".".join(map(str, av.library_versions["libavcodec"])),
        encoders=[name for name in ENCODERS if _has_encoder(name)],
    )


def _has_encoder(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True
