"""Is there more in a file than in any film? Asked before anything of it is decoded, and while its packets are read."""

from collections.abc import Iterable, Iterator, Mapping

from av.container import InputContainer

from streamforge.contracts.tasks import ProbeTask
from streamforge.errors import SourceTooComplex
from streamforge.media.container.packet_clock import AnyPacket

MEBIBYTE = 2**20

FFMPEG_STREAMS = 1000
"""Of Matroska it looks at no more."""

FREE_PACKETS = 200_000
"""Are never too many: so that what is short may be dense, and clocks that lie by little do not matter."""

LOOKED_AT_EVERY = 5000


def refuse_too_much(container: InputContainer, task: ProbeTask) -> None:
    """Raises SourceTooComplex for more streams than allowed, or more beside the media: tags, covers, fonts, chapters."""
    count = len(container.streams)
    if count > task.max_streams:
        told = f"{count:,} streams" if count < FFMPEG_STREAMS else f"{count:,} streams or more"
        raise SourceTooComplex(f"The file has {told}; the most that are accepted are {task.max_streams:,}.")
    if (extra := _extra_bytes(container)) > task.max_extra_bytes:
        raise SourceTooComplex(
            f"The file has {extra / MEBIBYTE:,.0f} MiB of tags, covers, fonts and the like; the most that are accepted are "
            f"{task.max_extra_bytes / MEBIBYTE:,.0f}."
        )


def _extra_bytes(container: InputContainer) -> int:
    tagged = [container.metadata, *(stream.metadata for stream in container.streams)]
    tagged += [chapter["metadata"] for chapter in container.chapters()]
    set_up = (_set_up_bytes(stream) for stream in container.streams)
    return sum(map(_bytes_of, tagged)) + sum(set_up)


def _set_up_bytes(stream: object) -> int:
    """What a decoder is set up with; of an attachment, which has none, its content."""
    context = getattr(stream, "codec_context", None)
    held = getattr(context, "extradata", None) or getattr(stream, "data", None)
    return len(held or b"")


def _bytes_of(tags: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in tags.items())


def not_too_dense(packets: Iterable[AnyPacket], task: ProbeTask) -> Iterator[AnyPacket]:
    """The packets. Raises SourceTooComplex when there are more than allowed for each second that they last so far."""
    first, last = 0.0, 0.0
    for number, packet in enumerate(packets):
        yield packet
        if number % LOOKED_AT_EVERY or (time := packet.dts if packet.pts is None else packet.pts) is None:
            continue
        at = float(time * packet.time_base) if packet.time_base else 0.0
        first, last = min(first, at), max(last, at)
        allowed = FREE_PACKETS + task.max_packets_per_second * min(last - first, task.max_duration)
        if number > allowed:
            raise SourceTooComplex(
                f"The file has {number / max(1.0, last - first):,.0f} packets a second; the most that are accepted are "
                f"{task.max_packets_per_second:,}."
            )
