"""Which tracks of sound a stream gets, in which layouts."""

from collections.abc import Sequence

from langcodes import standardize_tag, tag_is_valid
from langcodes.tag_parser import LanguageTagError

from streamforge.contracts.media.plan import AudioRendition
from streamforge.contracts.media.source import AudioRole, AudioSource, Source
from streamforge.planning.sound.downmix import UNNAMED
from streamforge.settings import AudioSettings

AAC_SAMPLE_RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000)
MAX_AUDIO_TRACKS = 16
"""Each track is an encode and a rendition in every manifest; a file with hundreds is an attack, not a film."""

SURROUND_CHANNELS = 6


def audio_renditions(tracks: Sequence[AudioSource], settings: AudioSettings) -> list[AudioRendition]:
    """Every track in stereo, so that everybody hears every language; behind them those that also have 5.1.

    A mono track stays mono: two equal channels would cost bits and say nothing, and players send one to both sides.
    """
    kept = tracks[:MAX_AUDIO_TRACKS]
    default = _default(kept)
    stereo = [
        _rendition(kept, position, min(track.channels, 2), settings, is_default=position == default)
        for position, track in enumerate(kept)
    ]
    surround = [
        _rendition(kept, position, SURROUND_CHANNELS, settings, is_default=position == default)
        for position, track in enumerate(kept)
        if settings.surround and _is_surround(track)
    ]
    return stereo + surround


def audio_warnings(source: Source) -> list[str]:
    found = max(source.audio_track_count, len(source.audio))
    if len(source.audio) <= MAX_AUDIO_TRACKS:
        return []
    lost = found - MAX_AUDIO_TRACKS
    return [
        f"The file has {found} audio tracks; the first {MAX_AUDIO_TRACKS} are kept, "
        f"{lost} {'is' if lost == 1 else 'are'} left out."
    ]


def _rendition(
    tracks: Sequence[AudioSource], position: int, channels: int, settings: AudioSettings, *, is_default: bool
) -> AudioRendition:
    track = tracks[position]
    bitrates = {1: settings.stereo_bitrate // 2, 2: settings.stereo_bitrate, 6: settings.surround_bitrate}
    return AudioRendition(
        name=f"audio-{position}-surround" if channels == SURROUND_CHANNELS else f"audio-{position}",
        stream_index=track.index,
        bitrate=bitrates[channels],
        sample_rate=_sample_rate(track.sample_rate),
        channels=channels,
        track=position,
        language=_language_tag(track.language),
        title=track.title,
        default=is_default,
        role=track.role,
        loudness_target=settings.loudness_target,
        true_peak_ceiling=settings.true_peak_ceiling,
    )


def _is_surround(track: AudioSource) -> bool:
    """At least 5.1. Of many channels without names nobody knows where they belong: cameras record microphones."""
    nameless = track.layout.endswith("channels") or track.layout.startswith("ambisonic")
    return track.channels >= SURROUND_CHANNELS and not (nameless and track.channels not in UNNAMED)


def _default(tracks: Sequence[AudioSource]) -> int:
    """What the file calls its default, where that is the film's own sound. Matroska says it of every track."""
    numbered = list(enumerate(tracks))
    programme = [(position, track) for position, track in numbered if track.role is AudioRole.PROGRAMME]
    candidates = [position for position, track in programme if track.default]
    return next(iter([*candidates, *(position for position, _ in programme)]), 0)


def _language_tag(language: str | None) -> str | None:
    """RFC 5646, as manifests want it: containers have `fre` or `fra` for `fr`. None for what names no language."""
    try:
        return standardize_tag(language) if language and tag_is_valid(language) else None
    except LanguageTagError:
        return None


def _sample_rate(source_rate: int) -> int:
    """The source's own rate where AAC has it, else the next one it has: resampling up loses nothing."""
    return min((rate for rate in AAC_SAMPLE_RATES if rate >= source_rate), default=48_000)
