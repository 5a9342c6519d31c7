"""Text beside the picture: which subtitle tracks of a source are kept, what is listened to, and what menus call it."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain, count

from streamforge.contracts.media.encoded import TextTrack
from streamforge.contracts.media.plan import Plan, SubtitleRendition, Transcription
from streamforge.contracts.media.source import AudioSource, Source, SubtitleSource
from streamforge.planning.text.languages import language_name, language_tag
from streamforge.planning.text.printable import printable
from streamforge.settings import CaptionsSettings, Settings

CEA_608 = "cea608"
"""Captions of a channel, in a track of their own or among the pictures."""

TEXT_CODECS = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text", "ttml", CEA_608}
PICTURE_CODECS = {"dvbsub", "dvb_subtitle", "dvdsub", "dvd_subtitle", "pgssub", "hdmv_pgs_subtitle", "xsub"}
"""By the names of FFmpeg's decoders, or of its codecs where it has no decoder."""

MAX_SUBTITLE_TRACKS = 32
"""Each is an entry in the menu of every player."""

AUTO, NONE = "auto", "none"
CAPTIONS = "captions"


def with_captions_option(settings: Settings, captions: str | None) -> Settings:
    """The settings with what the job's own `captions` says: `auto`, `none`, a language; None leaves them."""
    if captions is None:
        return settings
    language = None if captions in {AUTO, NONE} else captions
    changed = settings.captions.model_copy(update={"enabled": captions != NONE, "language": language})
    return settings.model_copy(update={"captions": changed})


def with_text_tracks(plan: Plan, source: Source, settings: CaptionsSettings) -> Plan:
    """The plan with what is kept and made, and what is to be said about the rest."""
    return plan.model_copy(
        update={
            "subtitles": subtitle_renditions(source.subtitles),
            "transcription": transcription(source, settings),
            "warnings": [*plan.warnings, *left_out(source.subtitles), *warnings_without_sound(source, settings)],
        }
    )


def subtitle_renditions(tracks: Sequence[SubtitleSource]) -> list[SubtitleRendition]:
    kept = [track for track in tracks if track.codec in TEXT_CODECS][:MAX_SUBTITLE_TRACKS]
    return [
        SubtitleRendition(
            name=f"subtitles-{position}",
            stream_index=track.index,
            codec=track.codec,
            language=language_tag(track.language),
            title=track.title,
            default=track.default,
            forced=track.forced,
            hearing_impaired=track.hearing_impaired,
            channel=track.channel,
        )
        for position, track in enumerate(kept)
    ]


def left_out(tracks: Sequence[SubtitleSource]) -> list[str]:
    """A sentence for each kind of subtitles that is not kept."""
    kinds = Counter(track.codec for track in tracks if track.codec not in TEXT_CODECS)
    sentences = [_not_kept(codec, many) for codec, many in kinds.items()]
    more = sum(track.codec in TEXT_CODECS for track in tracks) - MAX_SUBTITLE_TRACKS
    if more > 0:
        sentences.append(f"Of the subtitle tracks only the first {MAX_SUBTITLE_TRACKS} are kept; {more} are left out.")
    return sentences


def _not_kept(codec: str, many: int) -> str:
    holds = "hold" if many > 1 else "holds"
    why = (
        f"{holds} pictures of text"
        if codec in PICTURE_CODECS
        else f"{'are' if many > 1 else 'is'} not of a kind that is read"
    )
    if many > 1:
        return f"{many} subtitle tracks of the kind {codec} cannot be kept: they {why}."
    return f"A subtitle track of the kind {codec} cannot be kept: it {why}."


def transcription(source: Source, settings: CaptionsSettings) -> Transcription | None:
    """None where captions are not wanted, or there is nothing to hear."""
    if not settings.enabled or not source.audio:
        return None
    return Transcription(
        name=CAPTIONS,
        stream_index=_main_audio(source.audio).index,
        language=language_tag(settings.language) or settings.language,
        model=settings.model,
        allow_download=settings.allow_download,
        device=settings.device,
        compute_type=settings.compute_type,
    )


def warnings_without_sound(source: Source, settings: CaptionsSettings) -> list[str]:
    if settings.enabled and not source.audio:
        return ["The file has no sound that can be decoded, so there are no captions from it."]
    return []


def _main_audio(tracks: Sequence[AudioSource]) -> AudioSource:
    return next((track for track in tracks if track.default), tracks[0])


# ── what menus call it ──────────────────────────────────────────────────────────────────────────────────────────────
def subtitle_label(track: SubtitleRendition) -> str:
    if title := printable(track.title or "").replace('"', "").strip():
        return title
    name = language_name(track.language) if track.language else "Subtitles"
    about = [word for word, holds in (("forced", track.forced), ("SDH", track.hearing_impaired)) if holds]
    return f"{name} ({', '.join(about)})" if about else name


def caption_label(language: str | None) -> str:
    return f"{language_name(language) if language else 'Captions'} (generated)"


def with_distinct_labels(tracks: Sequence[TextTrack]) -> list[TextTrack]:
    """Labels must differ within a menu, and at most one track can be the default."""
    apart: dict[str, TextTrack] = {}
    for track in tracks:
        numbered = (f"{track.label} ({number})" for number in count(2))
        label = next(label for label in chain([track.label], numbered) if label not in apart)
        default = track.default and not track.forced and not any(before.default for before in apart.values())
        apart[label] = track.model_copy(update={"label": label, "default": default})
    return list(apart.values())
