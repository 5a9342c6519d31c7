"""Proof that what an encoder writes can be played: it is decoded at once, and compared with what went in."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import av
from av.codec import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamforge.codecs.registry import CODECS
from streamforge.errors import OutputInvalid
from streamforge.media.measuring.luma import Rows, luma_rows, mean_squared_error

OnPicture = Callable[[int, VideoFrame], None]
"""Hears of every decoded picture, with its number in the part."""


@dataclass(frozen=True)
class _Expected:
    time: int
    rows: Rows


class DecodeCheck:
    """Decodes the packets of one rendition and finds each picture that was encoded in them, at its time.

    Raises OutputInvalid, from `take` and `finish`, when something does not decode, is missing, or comes at another time.
    """

    def __init__(self, rendition: str, on_picture: OnPicture) -> None:
        self._rendition = rendition
        self._on_picture = on_picture
        self._expected: deque[_Expected] = deque()
        self._decoder: VideoCodecContext | None = None
        self.error: list[float] = []
        """Mean squared error of each picture that was found so far; their number is how far the encoder really is."""

    def expect(self, frame: VideoFrame) -> None:
        """Call it with every picture before it is encoded, in order."""
        self._expected.append(_Expected(frame.pts or 0, luma_rows(frame)))

    def take(self, packet: "Packet[VideoStream]", encoder: VideoCodecContext) -> None:
        if self._decoder is None:
            # Each rendition has a thread of its own already.
            self._decoder = decoder_of(encoder, threads=1)
        self._found(self._decode(self._decoder, packet))

    def finish(self) -> None:
        if self._decoder is not None:
            self._found(self._decode(self._decoder, None))
        if self._expected:
            raise self._broken(f"{len(self._expected)} pictures are missing")

    def _decode(self, decoder: VideoCodecContext, packet: "Packet[VideoStream] | None") -> list[VideoFrame]:
        try:
            return decoder.decode(packet)
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError as error:
            raise self._broken(str(error)) from error

    def _found(self, frames: Iterable[VideoFrame]) -> None:
        for frame in frames:
            if not self._expected or self._expected[0].time != frame.pts:
                raise self._broken(f"an unexpected picture at {frame.pts}")
            self.error.append(mean_squared_error(luma_rows(frame), self._expected.popleft().rows))
            self._on_picture(len(self.error) - 1, frame)

    def _broken(self, why: str) -> OutputInvalid:
        return OutputInvalid("What an encoder wrote cannot be played.", debug=f"{self._rendition}: {why}")


def decoder_of(coded: VideoCodecContext, threads: int) -> VideoCodecContext:
    """For what the encoder, or another decoder, `coded` is set up for. It overlooks nothing. `threads`: 0 = one for each
    core."""
    codec = coded.codec.canonical_name
    decoder = CodecContext.create(CODECS[codec].decoder if codec in CODECS else codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = coded.extradata
    decoder.thread_count = threads
    decoder.options = {"err_detect": "explode"}
    return decoder
