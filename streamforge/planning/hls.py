"""HLS playlists over CMAF segments (RFC 8216 and its second edition, draft-pantos-hls-rfc8216bis)."""

from math import floor

from streamforge.contracts.media import EncodedTrack
from streamforge.planning.manifests import (
    INIT_SEGMENT,
    PLAYLIST,
    AudioTrack,
    Growing,
    Presentation,
    VideoTrack,
    average_bitrate,
    peak_bitrate,
)

AUDIO_GROUP = "audio"


def master_playlist(presentation: Presentation) -> str:
    """All renditions, best first, with the audio tracks as one group."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += [_audio_line(track, number) for number, track in enumerate(presentation.audio, start=1)]
    for track in presentation.video:
        lines += [_variant_line(track, presentation), f"{track.rendition.name}/{PLAYLIST}"]
    return "\n".join(lines) + "\n"


def media_playlist(track: EncodedTrack, growing: Growing | None = None) -> str:
    """One rendition. VOD when it is whole; an EVENT playlist may still grow."""
    lengths = [f"{segment.duration_ticks / track.timescale:.6f}" for segment in track.segments]
    # The target duration of a playlist must never change, so a growing one begins with what is planned.
    longest = max([*map(float, lengths), growing.segment_seconds if growing else 0.0])
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{max(1, floor(longest + 0.5))}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{'EVENT' if growing else 'VOD'}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        # While it grows it looks like a live stream, and players would begin at its end.
        *(["#EXT-X-START:TIME-OFFSET=0,PRECISE=YES"] if growing else []),
        f'#EXT-X-MAP:URI="{INIT_SEGMENT}"',
    ]
    for segment, length in zip(track.segments, lengths, strict=True):
        lines += [f"#EXTINF:{length},", segment.file_name]
    if growing is None:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _variant_line(track: VideoTrack, presentation: Presentation) -> str:
    target = presentation.plan.segment_seconds
    peak, average = peak_bitrate(track.encoded, target), average_bitrate(track.encoded)
    codecs = [track.encoded.codec_string]
    if presentation.audio:
        # A variant is as heavy as its video with the heaviest audio it can be played with.
        peak += max(peak_bitrate(audio.encoded, target) for audio in presentation.audio)
        average += max(average_bitrate(audio.encoded) for audio in presentation.audio)
        codecs += sorted({audio.encoded.codec_string for audio in presentation.audio})
    attributes = [
        f"BANDWIDTH={peak}",
        f"AVERAGE-BANDWIDTH={average}",
        f"CODECS={_quoted(','.join(codecs))}",
        f"RESOLUTION={track.rendition.width}x{track.rendition.height}",
        f"FRAME-RATE={float(presentation.frame_rate):.3f}",
        "CLOSED-CAPTIONS=NONE",  # Else players search the pictures for captions, and some list a track of unknown ones.
    ]
    if presentation.audio:
        attributes.append(f"AUDIO={_quoted(AUDIO_GROUP)}")
    return f"#EXT-X-STREAM-INF:{','.join(attributes)}"


def _audio_line(track: AudioTrack, number: int) -> str:
    rendition = track.rendition
    attributes = [
        "TYPE=AUDIO",
        f"GROUP-ID={_quoted(AUDIO_GROUP)}",
        f"NAME={_quoted(_audio_name(track, number))}",
        *([f"LANGUAGE={_quoted(rendition.language)}"] if rendition.language else []),
        f"DEFAULT={'YES' if rendition.default else 'NO'}",
        "AUTOSELECT=YES",
        f"CHANNELS={_quoted(str(rendition.channels))}",
        f"URI={_quoted(f'{rendition.name}/{PLAYLIST}')}",
    ]
    return f"#EXT-X-MEDIA:{','.join(attributes)}"


def _audio_name(track: AudioTrack, number: int) -> str:
    """Names must differ within a group, and two tracks of a source may well have the same title."""
    return f"{track.rendition.title or track.rendition.language or 'Audio'} ({number})"


def _quoted(text: str) -> str:
    """A quoted-string cannot hold quotes or line breaks; a title with one could otherwise write tags of its own."""
    return '"' + "".join(char for char in text if char.isprintable() and char != '"') + '"'
