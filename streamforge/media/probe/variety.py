"""What else a film looks like: of each way in which its decoder is set up, one picture is looked at."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import av
from av.video.stream import VideoStream

from streamforge.contracts.media.source import VideoSource
from streamforge.media.decoding.decoders import fresh_decoder
from streamforge.media.decoding.fields import alone, is_field
from streamforge.media.decoding.looks import Look, LookReader, like
from streamforge.media.probe.decoder_set_ups import SetUp, SetUps

LEAST_SHARE = 1 / 1000
"""Of a film's pictures that must have a size for the ladder to follow it. In a film of up to 1,000 pictures a single one is
enough, because it may be the only one that shows what it shows; in a longer one a slip of the encoder is not."""


def variants(video: VideoSource, first: Look, stream: VideoStream, set_ups: SetUps) -> list[tuple[VideoSource, int]]:
    """The film as if all of it were like the pictures of each set-up, and how many these are. `first` is the look of its
    first picture; of nearly every film this is all there is, and nothing is decoded."""
    looks = [(first, set_ups.all[0].pictures)] if set_ups.all else []
    looks += [(look, set_up.pictures) for set_up in set_ups.all[1:] if (look := _look_of(set_up, first, stream))]
    changing = [name for name, told in ASPECTS.items() if len({told(look) for look, _ in looks}) > 1]
    film = video.model_copy(update={"changing": changing})
    return [(like(film, look), pictures) for look, pictures in looks] or [(video, video.frame_count)]


ASPECTS: dict[str, Callable[[Look], object]] = {
    "size": lambda look: (look.samples.width, look.samples.height),
    "pixel shape": lambda look: look.shape,
    "pixel format": lambda look: look.pixel_format,
    "orientation": lambda look: (look.rotation, look.mirrored),
    "colours": lambda look: look.tags,
}


def largest(found: list[tuple[VideoSource, int]]) -> VideoSource:
    """Of those that the film really uses, the one with the most pixels on screen."""
    total = sum(pictures for _, pictures in found)
    used = [video for video, pictures in found if pictures >= total * LEAST_SHARE]
    return max(used, key=lambda video: video.width * video.height)


def _look_of(set_up: SetUp, first: Look, stream: VideoStream) -> Look | None:
    """None where the packet cannot be decoded by itself and does not tell its size."""
    look = next(_decoded(set_up, stream), None)
    if look is None and set_up.size is not None:
        width, height = set_up.size
        return replace(first, samples=replace(first.samples, width=width, height=height))
    if look is not None and (look.rotation, look.mirrored) == (0, False):
        return replace(look, rotation=first.rotation, mirrored=first.mirrored)  # It is the container that tells it.
    return look


def _decoded(set_up: SetUp, stream: VideoStream) -> Iterator[Look]:
    decoder = fresh_decoder(stream)
    decoder.thread_count = 1
    decoder.options = {"flags": "+output_corrupt"}  # A recovery point is no fresh start, but looks the same.
    for packet in (set_up.packet, None):
        try:
            for picture in decoder.decode(packet):
                yield LookReader().of(alone(picture) if is_field(picture, decoder.name) else picture)
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            return
