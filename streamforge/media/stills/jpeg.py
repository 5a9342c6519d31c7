"""JPEG as browsers take it (JFIF): BT.601 over the full range, whatever colours the picture came in."""

from fractions import Fraction

from av.codec import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

PIXEL_FORMAT = "yuvj420p"

HD_HEIGHT = 720
"""From here on a source that does not say what its colours mean is taken for BT.709, below for BT.601, as browsers do."""

UNSPECIFIED = 2
MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
"""Of ISO/IEC 23091-2, Table 4."""


def in_jpeg_colors(picture: VideoFrame, source_height: int) -> VideoFrame:
    """`source_height` says what is meant where the picture itself does not."""
    return VideoReformatter().reformat(
        picture,
        format=PIXEL_FORMAT,
        src_colorspace=_matrix(picture, source_height),
        dst_colorspace=Colorspace.ITU601,
        src_color_range=ColorRange.JPEG if picture.color_range == ColorRange.JPEG else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )


def _matrix(picture: VideoFrame, source_height: int) -> Colorspace:
    matrix = int(picture.colorspace)
    if matrix == UNSPECIFIED and source_height >= HD_HEIGHT:
        return Colorspace.ITU709
    return MATRICES.get(matrix, Colorspace.ITU601)


def encoded(picture: VideoFrame, quality: int) -> bytes:
    """One file. `picture` in PIXEL_FORMAT and JPEG's colours; `quality` is the quantiser's scale, 2 best and 31 worst."""
    encoder = CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, PIXEL_FORMAT
    encoder.time_base = Fraction(1, 1)
    encoder.thread_count = 1
    encoder.options = {"qmin": str(quality), "qmax": str(quality)}
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])
