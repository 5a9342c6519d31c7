"""Sound and text of a source, as its container describes them and as their packets turned out to be."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from av.container import InputContainer
from av.stream import Disposition

from streamforge.contracts.media.source import AudioRole, AudioSource, SubtitleSource
from streamforge.media.decoding.accepted import CAPTIONS
from streamforge.media.probe.tallies import SoundFormat
from streamforge.planning.stream_choice import Choice, Seen
from streamforge.planning.text.tracks import CEA_608

MAX_AUDIO_TRACKS = 64
MAX_SUBTITLE_TRACKS = 64
MAX_TITLE = 200
"""What is told of a source goes along with every chunk of it; a megabyte of title in each would stop the job."""


@dataclass(frozen=True)
class Found:
    """What is to be described: the streams that were chosen, how their sound is made, and the channels of CEA-608 in which
    something is said, both by the index of the stream."""

    choice: Choice
    sound: Mapping[int, SoundFormat]
    captions: Mapping[int, Sequence[int]]


def describe_audio(container: InputContainer, found: Found) -> Iterator[AudioSource]:
    for seen in found.choice.sound[:MAX_AUDIO_TRACKS]:
        stream, sound = container.streams[seen.index], found.sound[seen.index]
        yield AudioSource(
            index=seen.index,
            codec=sound.codec,
            channels=sound.channels,
            layout=sound.layout,
            sample_rate=sound.sample_rate,
            language=seen.language,
            title=stream.metadata.get("title", "")[:MAX_TITLE] or None,
            default=seen.is_default,
            role=_role(stream.disposition),
        )


def describe_subtitles(container: InputContainer, found: Found) -> Iterator[SubtitleSource]:
    for seen in found.choice.text[:MAX_SUBTITLE_TRACKS]:
        if seen.codec == CAPTIONS:
            yield from captions_in(seen, found)
            continue
        stream = container.streams[seen.index]
        about = stream.disposition
        yield SubtitleSource(
            index=seen.index,
            codec=seen.codec,
            language=seen.language,
            title=stream.metadata.get("title", "")[:MAX_TITLE] or None,
            default=seen.is_default,
            forced=bool(about & Disposition.forced),
            hearing_impaired=bool(about & (Disposition.hearing_impaired | Disposition.captions)),
        )


def captions_in(seen: Seen | None, found: Found) -> Iterator[SubtitleSource]:
    """A track for each channel, of which nobody says what language it is in; in a track of their own, at least the first."""
    if seen is None:
        return
    for channel in found.captions.get(seen.index, [1] if seen.kind == "subtitle" else []):
        yield SubtitleSource(
            index=seen.index,
            codec=CEA_608,
            language=seen.language if seen.kind == "subtitle" else None,
            title=f"CC{channel}",
            hearing_impaired=True,
            channel=channel,
        )


def _role(disposition: Disposition) -> AudioRole:
    if disposition & (Disposition.visual_impaired | Disposition.descriptions):
        return AudioRole.DESCRIPTION
    if disposition & Disposition.hearing_impaired:
        return AudioRole.CLEAR_SPEECH
    return AudioRole.COMMENTARY if disposition & Disposition.comment else AudioRole.PROGRAMME
