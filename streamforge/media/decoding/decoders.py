"""Which decoder a stream gets: FFmpeg's own, except where that one leaves something out."""

from av.codec import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these do not look at the second stream, in the BlockAdditional of each packet, that says how
opaque the pictures are."""


def own_decoder(stream: VideoStream) -> VideoCodecContext | None:
    """A decoder to be used in place of the stream's; None where that one does. Matroska's AlphaMode says so."""
    name = WITH_ALPHA.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return None
    return _decoder(name, stream)


def fresh_decoder(stream: VideoStream) -> VideoCodecContext:
    """One that has not seen any of the stream yet."""
    return own_decoder(stream) or _decoder(stream.codec_context.name, stream)


def _decoder(name: str, stream: VideoStream) -> VideoCodecContext:
    decoder = CodecContext.create(name, "r")
    assert isinstance(decoder, VideoCodecContext)
    told = stream.codec_context
    decoder.extradata, decoder.thread_count = told.extradata, told.thread_count
    decoder.color_primaries, decoder.color_trc = told.color_primaries, told.color_trc
    decoder.colorspace, decoder.color_range = told.colorspace, told.color_range
    return decoder
