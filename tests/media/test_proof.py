"""What an encoder wrote is decoded on the spot; whatever is not as it went in is found."""

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from streamforge.errors import OutputInvalid
from streamforge.media.encoding.decode_check import DecodeCheck
from streamforge.media.measuring.luma import Observer

COUNT = 12


def pictures() -> Iterator[VideoFrame]:
    """A bright square that moves over gray."""
    for number in range(COUNT):
        planes = np.full((96, 64), 128, np.uint8)
        planes[8:24, 2 * number : 2 * number + 16] = 230
        frame = VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = number * 3600, Fraction(1, 90_000)
        yield frame


def encoder() -> VideoCodecContext:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = 64, 64, "yuv420p"
    context.time_base = Fraction(1, 90_000)
    context.options = {"preset": "veryfast", "x264-params": "keyint=6"}
    return context


def packets(context: VideoCodecContext, proof: DecodeCheck) -> list["Packet[av.video.stream.VideoStream]"]:
    found = []
    for frame in pictures():
        proof.expect(frame)
        found += context.encode(frame)
    return [*found, *context.encode(None)]


def proven(damage: object = lambda found: found) -> tuple[DecodeCheck, list[int]]:
    seen: list[int] = []
    proof = DecodeCheck("64p", lambda number, _: seen.append(number))
    context = encoder()
    for packet in damage(packets(context, proof)):  # type: ignore[operator]
        proof.take(packet, context)
    proof.finish()
    return proof, seen


def test_every_picture_is_found_with_its_error() -> None:
    proof, seen = proven()
    assert seen == list(range(COUNT))
    assert len(proof.error) == COUNT
    assert all(0 <= error < 30 for error in proof.error)


def test_a_missing_picture_is_noticed() -> None:
    with pytest.raises(OutputInvalid, match="cannot be played"):
        proven(lambda found: found[:-1])


def test_a_missing_group_of_pictures_is_noticed() -> None:
    with pytest.raises(OutputInvalid):
        proven(lambda found: found[6:])


def test_bytes_that_are_no_video_are_noticed() -> None:
    def spoiled(found: "list[Packet[av.video.stream.VideoStream]]") -> Iterator[object]:
        for number, packet in enumerate(found):
            if number == 4:
                broken: Packet[av.video.stream.VideoStream] = Packet(b"\xff" * packet.size)
                broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
                yield broken
            else:
                yield packet

    with pytest.raises(OutputInvalid):
        proven(spoiled)


def test_a_picture_at_another_time_is_noticed() -> None:
    def late(found: "list[Packet[av.video.stream.VideoStream]]") -> object:
        for packet in found:
            packet.pts = (packet.pts or 0) + 1
        return found

    with pytest.raises(OutputInvalid):
        proven(late)


# ── what pictures look like ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "nv12", "yuyv422", "rgb24", "gray", "yuv420p10be"])
def test_detail_and_motion_are_seen_in_every_pixel_format(pixel_format: str) -> None:
    observer = Observer()
    for number, frame in enumerate(pictures()):
        observer.see(frame.reformat(format=pixel_format), number)
    log = observer.log
    assert log.ticks == list(range(COUNT))
    assert log.motion[0] == 0
    # Two columns of 16 pixels change by about 100 in a quarter of the rows: 100 · 4 / 64 / 4.
    assert all(motion == pytest.approx(1.6, rel=0.25) for motion in log.motion[1:])
    # FFmpeg dithers where it takes bits away, which adds some detail.
    assert all(0.6 < across < 1.6 for across in log.across[1:])


def test_a_change_of_size_is_no_motion() -> None:
    observer = Observer()
    first, second = list(pictures())[:2]
    observer.see(first, 0)
    observer.see(second.reformat(width=32, height=32), 1)
    assert observer.log.motion == [0, 0]
