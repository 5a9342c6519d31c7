"""Base material: numbered pictures and beeps in every codec, encoded once and kept for the session."""

import io
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from film import TICKS, Film, Packet, Track, ticks
from marks import HEIGHT, WIDTH, beeping, numbered_picture

QUIETLY = "log-level=none:scenecut=0:open-gop=0"

ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "ultrafast", "bf": "0", "sc_threshold": "0"}),
    "h264-b": ("libx264", {"preset": "ultrafast", "bf": "2", "sc_threshold": "0"}),
    "hevc-b": ("libx265", {"preset": "ultrafast", "x265-params": f"{QUIETLY}:bframes=2"}),
    "mpeg2-b": ("mpeg2video", {"bf": "2", "sc_threshold": "1000000000"}),
    "mpeg2": ("mpeg2video", {"bf": "0", "sc_threshold": "1000000000"}),
    "mpeg4": ("mpeg4", {"bf": "0", "sc_threshold": "1000000000"}),
    "mpeg4-b": ("mpeg4", {"bf": "1", "sc_threshold": "1000000000"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "mjpeg": ("mjpeg", {}),
}
"""FFmpeg's encoder and its options; `-b`: with pictures that are decoded before others that are shown earlier."""

CODECS = {"libx264": "h264", "libx265": "hevc", "mpeg2video": "mpeg2video", "mpeg4": "mpeg4", "libvpx-vp9": "vp9"}
CODECS |= {"mjpeg": "mjpeg", "libmp3lame": "mp3", "libopus": "opus"}

SOUND_ENCODERS = {"aac": "aac", "mp2": "mp2", "mp3": "libmp3lame", "ac3": "ac3", "flac": "flac", "opus": "libopus"}
PCM = "pcm_s16le"
PCM_FRAME = 1200

START_CODES = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
HEADERS_IN_FRONT = {"mpeg2video", "mpeg4"}

VARIABLE = Fraction(0)
"""The frame rate of pictures that stay for one, two or three fiftieths of a second."""
RATES = (Fraction(25), Fraction(30000, 1001), Fraction(25, 2), Fraction(60), VARIABLE)


@dataclass(frozen=True)
class Making:
    """`elementary`: as in a transport stream, where headers stand in front of key frames; else as in MP4 and Matroska."""

    pictures: str
    sound: str
    rate: Fraction = Fraction(25)
    gop: int = 15
    seconds: int = 6
    elementary: bool = False


@cache
def material(making: Making) -> Film:
    pictures = _pictures(making.pictures, making.rate, making.gop, making.seconds, making.elementary)
    return Film(pictures, _sound(making.sound, making.seconds))


# ── pictures ────────────────────────────────────────────────────────────────────────────────────────────────────────
@cache
def _pictures(kind: str, rate: Fraction, gop: int, seconds: int, elementary: bool) -> Track:
    times = _times(rate, seconds)
    nominal = rate or Fraction(50)
    with av.open(io.BytesIO(_encoded(kind, nominal, gop, len(times) - 1))) as container:
        stream = container.streams.video[0]
        codec, private = CODECS[ENCODERS[kind][0]], stream.codec_context.extradata or b""
        spacing = 1 / nominal / stream.time_base
        packets = [packet for packet in container.demux(stream) if packet.size]
        stamped = [(round(p.pts / spacing), round(p.dts / spacing), p.is_keyframe) for p in packets]
        if elementary and codec in START_CODES:
            data = _with_start_codes(START_CODES[codec], stream, packets)
        else:
            front = private if elementary and codec in HEADERS_IN_FRONT else b""
            data = [(front if packet.is_keyframe else b"") + bytes(packet) for packet in packets]
        held = [
            Packet(
                data=content,
                at=times[number],
                due=times[due] if due >= 0 else round(due * TICKS / nominal),
                lasts=times[number + 1] - times[number],
                key=is_key,
                number=number,
            )
            for (number, due, is_key), content in zip(stamped, data, strict=True)
        ]
    return Track(codec, private, tuple(held), nominal)


def _times(rate: Fraction, seconds: int) -> list[int]:
    """When each picture is due, and when the last one ends."""
    if rate != VARIABLE:
        return [round(number * TICKS / rate) for number in range(int(seconds * rate) + 1)]
    times, lasts = [0], (1800, 3600, 3600, 5400, 3600, 1800, 3600)
    while times[-1] < seconds * TICKS:
        times.append(times[-1] + lasts[len(times) % len(lasts)])
    return times


def _encoded(kind: str, rate: Fraction, gop: int, count: int) -> bytes:
    file = io.BytesIO()
    encoder, options = ENCODERS[kind]
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(encoder, rate=rate, options=options)
        stream.width, stream.height, stream.bit_rate = WIDTH, HEIGHT, 600_000
        stream.pix_fmt = "yuvj420p" if kind == "mjpeg" else "yuv420p"
        stream.gop_size = gop
        stream.codec_context.thread_count = 1  # The same bytes everywhere.
        for number in range(count):
            frame = numbered_picture(number)
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _with_start_codes(name: str, stream: av.VideoStream, packets: list[av.Packet]) -> list[bytes]:
    bitstream = BitStreamFilterContext(name, stream)
    return [b"".join(bytes(out) for out in bitstream.filter(packet)) for packet in packets]


# ── sound ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@cache
def _sound(codec: str, seconds: int) -> Track:
    rate = 44_100 if codec == "mp3" else 48_000
    if codec == PCM:
        return _samples(beeping(seconds, rate), rate)
    with av.open(io.BytesIO(_encoded_sound(SOUND_ENCODERS[codec], rate, seconds))) as container:
        stream = container.streams.audio[0]
        packets = [
            Packet(bytes(p), at, at, ticks(p.duration * stream.time_base))
            for p in container.demux(stream)
            if p.size and (at := ticks(p.pts * stream.time_base)) >= 0
        ]
        return Track(codec, stream.codec_context.extradata or b"", tuple(packets), Fraction(rate))


def _samples(sound: np.ndarray, rate: int) -> Track:
    frames = [(sound[at : at + PCM_FRAME] * 32767).astype("<i2").tobytes() for at in range(0, len(sound), PCM_FRAME)]
    lasts = PCM_FRAME * TICKS // rate
    packets = [Packet(frame, number * lasts, number * lasts, lasts) for number, frame in enumerate(frames)]
    return Track(PCM, b"", tuple(packets), Fraction(rate))


def _encoded_sound(encoder: str, rate: int, seconds: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(encoder, rate=rate)
        stream.layout = "mono"
        whole = av.AudioFrame.from_ndarray(beeping(seconds, rate).reshape(1, -1), format="fltp", layout="mono")
        whole.sample_rate, whole.pts, whole.time_base = rate, 0, Fraction(1, rate)
        context = stream.codec_context
        context.open(strict=False)
        pieces = av.AudioResampler(context.format.name, "mono", rate, frame_size=context.frame_size or 1024)
        for frame in [*pieces.resample(whole), *pieces.resample(None)]:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
