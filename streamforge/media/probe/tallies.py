"""What is seen of every stream of a file while its packets are read once: how much there is of it, whether it is
encrypted, and how sound is made that the header does not describe."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from streamforge.media.container.packet_clock import AnyPacket
from streamforge.media.container.programs import Described, described
from streamforge.media.container.scrambling import scrambled
from streamforge.media.decoding.accepted import CAPTIONS, is_accepted
from streamforge.media.text.cea608 import cc_data, channels
from streamforge.planning.stream_choice import Seen

Track: TypeAlias = VideoStream | AudioStream | SubtitleStream

MAX_TRIES = 500
"""Packets of a track that are decoded to find out how its sound is made: ten seconds, should all of them be broken."""

MAX_LANGUAGE = 35
"""What is told of a source goes along with every chunk of it; a megabyte in each would stop the job."""

HEAD_BYTES = 8192
"""Of a picture, in which its captions stand: before what is drawn."""

CAPTIONED = {"h264", "hevc", "mpeg2video", "av1", "libdav1d"}
"""Codecs that may have captions among their pictures, by the names of FFmpeg's decoders."""

ENCRYPTED_FOURCCS = {"drmi", "drms", "drmt", "drmw", "enca", "encv"}
"""Sample entries that say so by their name: FairPlay, and ISO/IEC 14496-12 §8.12 where the way back is missing."""

LOCKS_EVERY = 16
"""Packets of which one is asked whether it is encrypted: to ask is dear, and whoever encrypts a track does so with most."""

IS_ENCRYPTED = "it is encrypted"
HAS_NO_DECODER = "there is no decoder for it"
IS_NOT_ACCEPTED = "its codec is not among those that are accepted"
SAYS_NOTHING = "nothing in it can be decoded"
IS_EMPTY = "it is empty, or damaged beyond reading"


@dataclass(frozen=True)
class SoundFormat:
    """How a track's sound is made."""

    codec: str
    channels: int
    layout: str
    sample_rate: int


@dataclass
class _Tally:
    """Of one stream; times are in its own time base."""

    stream: Track
    header: Seen
    packets: int = 0
    first: int | None = None
    last: int = 0
    is_encrypted: bool = False
    tries: int = 0
    sound: SoundFormat | None = None
    captions: set[int] = field(default_factory=set)

    def take(self, packet: AnyPacket) -> None:
        if self.packets % LOCKS_EVERY == 0:
            self.is_encrypted = self.is_encrypted or packet.has_sidedata("encryption_info")
        self.packets += 1
        if (shown := packet.pts) is not None:
            if self.first is None or shown < self.first:
                self.first = shown
            if (end := shown + (packet.duration or 0)) > self.last:
                self.last = end
        if self.may_have_captions:
            self.captions |= channels(self._cc_data(packet))
        if self.sound is None and isinstance(self.stream, AudioStream) and self.tries < MAX_TRIES:
            self._listen(self.stream, packet)

    @cached_property
    def may_have_captions(self) -> bool:
        return self.header.codec in CAPTIONED or self.header.codec == CAPTIONS

    def _cc_data(self, packet: AnyPacket) -> bytes:
        held = bytes(memoryview(packet)[:HEAD_BYTES])
        return held if self.header.codec == CAPTIONS else cc_data(held)

    def _listen(self, stream: AudioStream, packet: AnyPacket) -> None:
        """FFmpeg looks at the first seconds of MPEG-TS for what its header does not say; sound may begin later. It is
        framed so that each packet says what it is (ADTS, MPEG audio, AC-3), so the decoder tells with the first one."""
        if self.header.obstacle is not None or self.is_encrypted:
            return
        self.tries += 1
        for frame in _frames(stream, packet):
            codec = stream.codec_context.name
            self.sound = SoundFormat(codec, frame.layout.nb_channels, frame.layout.name, frame.sample_rate)

    def seen(self) -> Seen:
        base = self.stream.time_base or 0
        return replace(
            self.header,
            packets=self.packets,
            begin=float((self.first or 0) * base),
            seconds=float((self.last - self.first) * base) if self.first is not None else 0.0,
            obstacle=self.header.obstacle or self._obstacle(),
        )

    def _obstacle(self) -> str | None:
        if self.is_encrypted:
            return IS_ENCRYPTED
        if self.header.kind == "video" and not self.packets:
            return IS_EMPTY
        if self.header.kind != "audio" or self.sound is not None:
            return None
        return SAYS_NOTHING if self.packets else IS_EMPTY


def _frames(stream: AudioStream, packet: AnyPacket) -> list[AudioFrame]:
    try:
        return [frame for frame in stream.decode(packet) if frame.sample_rate and frame.layout.nb_channels]
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError:
        return []


class Tallies:
    """Takes the packets of all `streams` of a container, in the order of the file. Nothing of them is kept."""

    def __init__(self, container: InputContainer) -> None:
        about = described(container)
        locked = scrambled(Path(container.name)) if container.format.name == "mpegts" else frozenset()
        tracks = [each for each in container.streams if isinstance(each, Track)]
        self._tallies = {each.index: _Tally(each, _as_declared(each, about.get(each.index), locked)) for each in tracks}
        for tally in self._tallies.values():
            tally.sound = _declared_sound(tally.stream)

    @property
    def streams(self) -> list[Track]:
        """What is to be read: all but text, unless it has to be looked into to know what there is."""
        every = self._tallies.values()
        return [each.stream for each in every if each.header.kind != "subtitle" or each.header.codec == CAPTIONS]

    def take(self, packet: AnyPacket) -> None:
        if (tally := self._tallies.get(packet.stream_index)) is not None:
            tally.take(packet)

    def declared(self) -> Sequence[Seen]:
        """What is known before a packet is read."""
        return [each.header for each in self._tallies.values()]

    def seen(self) -> Sequence[Seen]:
        return [each.seen() for each in self._tallies.values()]

    def sound(self) -> dict[int, SoundFormat]:
        """Of every track of which it is known, by its index."""
        return {index: each.sound for index, each in self._tallies.items() if each.sound is not None}

    def captions(self) -> dict[int, list[int]]:
        """The channels of CEA-608 in which something is said, by the index of the stream that they are in."""
        return {index: sorted(each.captions) for index, each in self._tallies.items() if each.captions}


def _as_declared(stream: Track, about: Described | None, locked: frozenset[int]) -> Seen:
    """`locked` are numbers that an MPEG transport stream has for what is scrambled."""
    context = stream.codec_context
    width, height = _size(stream)
    return Seen(
        index=stream.index,
        kind=_kind(stream),
        codec=context.name if context is not None else about.codec if about is not None else "unknown",
        width=width,
        height=height,
        language=language(stream.metadata.get("language")),
        is_default=bool(stream.disposition & Disposition.default),
        is_cover=bool(stream.disposition & Disposition.attached_pic),
        programs=about.programs if about is not None else frozenset(),
        obstacle=IS_ENCRYPTED if stream.id in locked else _declared_obstacle(stream, about),
    )


def _kind(stream: Track) -> Literal["video", "audio", "subtitle"]:
    if isinstance(stream, SubtitleStream):
        return "subtitle"
    return "video" if isinstance(stream, VideoStream) else "audio"


def _size(stream: Track) -> tuple[int, int]:
    """0×0 for what has none, or does not say."""
    if not isinstance(stream, VideoStream) or stream.codec_context is None:
        return 0, 0
    return stream.codec_context.width, stream.codec_context.height


def _declared_obstacle(stream: Track, about: Described | None) -> str | None:
    """Text is read without FFmpeg's decoders."""
    if isinstance(stream, SubtitleStream):
        return None
    if stream.codec_context is None:
        return HAS_NO_DECODER
    if not is_accepted(stream.codec_context.name):
        return IS_NOT_ACCEPTED
    return IS_ENCRYPTED if about is not None and about.fourcc in ENCRYPTED_FOURCCS else None


def _declared_sound(stream: Track) -> SoundFormat | None:
    context = stream.codec_context if isinstance(stream, AudioStream) else None
    if context is None or context.channels < 1 or context.sample_rate < 1:
        return None
    return SoundFormat(context.name, context.channels, context.layout.name, context.sample_rate)


def language(tag: str | None) -> str | None:
    """What a container calls a track's language, where it can be a tag of one."""
    is_tag = tag and tag != "und" and len(tag) <= MAX_LANGUAGE and tag.isascii() and tag.replace("-", "").isalnum()
    return tag if is_tag else None
