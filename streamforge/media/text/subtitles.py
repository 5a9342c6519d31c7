"""Subtitle tracks of the source, as WebVTT on the video's timeline."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heappop, heappush
from itertools import zip_longest
from math import inf, isfinite
from pathlib import Path

from av.container import InputContainer
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from streamforge.contracts.media.encoded import Text, TextTrack
from streamforge.contracts.media.plan import SubtitleRendition
from streamforge.contracts.media.source import Source
from streamforge.contracts.tasks import SUBTITLES, PacketsRead, SubtitlesTask
from streamforge.media.container.opening import open_source, packets
from streamforge.media.container.packet_clock import AnyPacket, PacketClock
from streamforge.media.process.performing import Tell, performs
from streamforge.media.text.cea608 import Caption, CaptionReader, cc_data, spread
from streamforge.media.text.subtitle_text import decode, payload, plain
from streamforge.media.text.ttml import Said, read_ttml
from streamforge.packaging.presentation import TEXT_FILE
from streamforge.planning.text.tracks import CEA_608, subtitle_label
from streamforge.planning.text.webvtt import Cue, escaped, read_webvtt, webvtt

MAX_CUES = 50_000
"""Of one track. Twelve hours of talk have ten thousand; animated letters have a cue for every picture."""

MAX_CUE_BYTES = 4096
MAX_REORDERED = 512
"""Pairs of bytes that are held back, at most, to bring them into order. Codecs reorder within 16 pictures, of which each
has four at most; DVDs have those of a whole GOP in one."""

LONGEST_CUE_SECONDS = 600
WITHOUT_END_SECONDS = 5
"""A cue that does not say how long it lasts stays until the next one, but no longer than this."""


@dataclass
class Entry:
    """A packet: seconds on the video's timeline, and what it holds. `end` is infinite where it does not say."""

    start: float
    end: float
    payload: bytes


@dataclass
class _Track:
    rendition: SubtitleRendition
    entries: list[Entry] = field(default_factory=list)
    without_time: int = 0
    too_many: int = 0
    unreadable: int = 0

    def take(self, packet: AnyPacket, source: Source) -> None:
        held = payload(self.rendition.codec, bytes(packet))[:MAX_CUE_BYTES]
        if not held.strip(b"\0 \r\n\t"):
            return  # MP4 fills the time between two cues with empty ones.
        if self.is_full:
            self.too_many += 1  # And nothing else: a file may have millions.
            return
        if packet.pts is None or packet.time_base is None:
            self.without_time += 1
            return
        start = float(packet.pts * packet.time_base - Fraction(source.start or 0))
        lasts = float(packet.duration * packet.time_base) if packet.duration and packet.duration > 0 else inf
        self.add(Entry(start, start + lasts, held))

    @property
    def is_full(self) -> bool:
        return len(self.entries) >= MAX_CUES

    def add(self, entry: Entry) -> None:
        if self.is_full:
            self.too_many += 1
        else:
            self.entries.append(entry)

    def finish(self) -> None:
        """All packets were taken."""


class _Captions(_Track):
    """Of a channel of CEA-608. What is among pictures comes in the order of decoding, and is held back until it is in that
    of the screen."""

    def __init__(self, rendition: SubtitleRendition) -> None:
        super().__init__(rendition)
        self._reader = CaptionReader(rendition.channel or 1)
        self._waiting: list[tuple[float, int, bytes]] = []
        self._count = 0

    def take(self, packet: AnyPacket, source: Source) -> None:
        if packet.pts is None or packet.time_base is None:
            return
        start = float(packet.pts * packet.time_base - Fraction(source.start or 0))
        held = bytes(packet)
        for later, triple in spread(held if isinstance(packet.stream, SubtitleStream) else cc_data(held)):
            self._count += 1
            heappush(self._waiting, (start + later, self._count, triple))
            if len(self._waiting) > MAX_REORDERED:
                self._read_next()

    def _read_next(self) -> None:
        seconds, _, data = heappop(self._waiting)
        self._keep(self._reader.take(seconds, data))

    def _keep(self, captions: list[Caption]) -> None:
        for caption in captions:
            self.add(Entry(caption.start, caption.end, caption.text.encode()))

    def finish(self) -> None:
        while self._waiting:
            self._read_next()
        self._keep(self._reader.finish())


class _Documents(_Track):
    """Of TTML: each packet is one, whose times are those of the track (ISO/IEC 14496-30 §5.2), and within the packet's."""

    def take(self, packet: AnyPacket, source: Source) -> None:
        if packet.pts is None or packet.time_base is None:
            self.without_time += 1
            return
        first = float(packet.pts * packet.time_base)
        last = first + float(packet.duration * packet.time_base) if packet.duration else inf
        offset = source.start or 0.0
        for said in self._read(bytes(packet)):
            begin, end = max(first, said.begin), min(last, said.end)
            if begin < end:
                self.add(Entry(begin - offset, end - offset, _cut(said.text)))

    def _read(self, document: bytes) -> list[Said]:
        try:
            return read_ttml(document)
        except ValueError:
            self.unreadable += 1
            return []


def _cut(text: str) -> bytes:
    """To MAX_CUE_BYTES, and between two characters."""
    return text.encode()[:MAX_CUE_BYTES].decode(errors="ignore").encode()


READERS = {CEA_608: _Captions, "ttml": _Documents}


@performs(SUBTITLES)
def run(task: SubtitlesTask, on_progress: Tell[PacketsRead]) -> Text:
    """All tracks in one pass. A track that says nothing is left out; whatever is wrong with one is a warning."""
    tracks = [READERS.get(each.codec, _Track)(each) for each in task.renditions]
    with open_source(task.path, task.source.analysed_bytes) as container:
        clocks = {stream.index: PacketClock(task.source.text_clock, stream.time_base) for stream in container.streams}
        for number, packet in enumerate(_packets(container, {each.stream_index for each in task.renditions})):
            clocks[packet.stream_index].correct(packet)
            for track in tracks:
                if track.rendition.stream_index == packet.stream_index:
                    track.take(packet, task.source)
            if number % 1000 == 0:
                on_progress(PacketsRead(packets=number))
    kept = Text()
    for track in tracks:
        track.finish()
        _write(track, task, kept)
    return kept


def _packets(container: InputContainer, indexes: set[int]) -> Iterator[AnyPacket]:
    streams = [stream for stream in container.streams if stream.index in indexes]
    known = [stream for stream in streams if isinstance(stream, SubtitleStream | VideoStream)]
    return packets(container, *known) if known else iter(())


def _write(track: _Track, task: SubtitlesTask, kept: Text) -> None:
    rendition = track.rendition
    label = subtitle_label(rendition)
    told = f"Subtitles “{label}”"
    timed, garbage = _with_times(track.entries, task.source.duration)
    found = decode([entry.payload for entry in timed], rendition.language)
    cues = list(_cues(timed, found.texts, rendition.codec))
    garbage += track.without_time
    if found.lost:
        kept.warnings.append(f"{told}: some characters could not be read, because their encoding is unknown.")
    elif found.repaired_from:
        kept.warnings.append(f"{told} were not in plain UTF-8; they were read as {found.repaired_from}.")
    if garbage:
        kept.warnings.append(
            f"{told}: {garbage} were left out, which have no time, none within the video, or stay for more than "
            f"{LONGEST_CUE_SECONDS // 60} minutes."
        )
    if track.unreadable:
        kept.warnings.append(f"{told}: {track.unreadable} of its documents could not be read and were left out.")
    if track.too_many:
        kept.warnings.append(f"{told}: only the first {MAX_CUES} were kept; {track.too_many} were left out.")
    if not cues:
        why = "hold nothing" if not garbage else "have nothing else"
        kept.warnings.append(f"{told} {why} that can be shown, so there is no such track.")
        return
    kept.tracks.append(
        write_track(
            task.target,
            cues,
            TextTrack(
                name=rendition.name,
                label=label,
                language=rendition.language,
                default=rendition.default,
                forced=rendition.forced,
                hearing_impaired=rendition.hearing_impaired,
                cues=len(cues),
                size_bytes=0,
            ),
        )
    )


def write_track(folder: Path, cues: list[Cue], track: TextTrack) -> TextTrack:
    """The file in the track's own folder, and the track with its size. Proven: what is written can be read back."""
    text = webvtt(cues)
    if read_webvtt(text) != cues:
        raise ValueError("WebVTT came out differently than it went in")
    data = text.encode()
    (folder / track.name).mkdir(parents=True)
    (folder / track.name / TEXT_FILE).write_bytes(data)
    return track.model_copy(update={"size_bytes": len(data)})


def _with_times(entries: Iterable[Entry], duration: float) -> tuple[list[Entry], int]:
    """In the order of time, each with an end, cut to the video; and how many lay outside of it."""
    ordered = sorted(entries, key=lambda entry: entry.start)
    timed = []
    for entry, following in zip_longest(ordered, ordered[1:]):
        start, end = max(0.0, entry.start), min(_end(entry, following), duration)
        if 0.001 <= end - start <= LONGEST_CUE_SECONDS:
            timed.append(Entry(start, end, entry.payload))
    return timed, len(ordered) - len(timed)


def _end(entry: Entry, following: Entry | None) -> float:
    if isfinite(entry.end):
        return entry.end
    longest = entry.start + WITHOUT_END_SECONDS
    return longest if following is None else min(longest, following.start)


def _cues(entries: list[Entry], texts: list[str], codec: str) -> Iterator[Cue]:
    """Letters that are drawn in layers come several times: once is enough."""
    seen: set[Cue] = set()
    for entry, text in zip(entries, texts, strict=True):
        if not (shown := plain(codec, text)):
            continue
        start = round(entry.start * 1000)
        cue = Cue(start, max(start + 1, round(entry.end * 1000)), escaped(shown))
        if cue not in seen:
            seen.add(cue)
            yield cue
