"""HLS playlists over CMAF segments (RFC 8216 and its second edition, draft-pantos-hls-rfc8216bis)."""

from collections.abc import Mapping
from math import floor

from streamforge.contracts.media import EncodedTrack
from streamforge.planning.manifests import (
    HLS_MASTER,
    IFRAME_PLAYLIST,
    INIT_SEGMENT,
    PLAYLIST,
    AudioTrack,
    Growing,
    IFrames,
    Pieces,
    Presentation,
    VideoTrack,
    average_bitrate,
    iframes,
    peak_bitrate,
)

AUDIO_GROUP = "audio"
MAP = f'#EXT-X-MAP:URI="{INIT_SEGMENT}"'


def playlists(presentation: Presentation, growing: Growing | None = None) -> dict[str, str]:
    """Every playlist by its name, in the order in which they are to be written: what is referred to comes before what
    refers to it. Nobody winds through a stream that is still growing: I-frame playlists come at its end."""
    media = {f"{track.name}/{PLAYLIST}": media_playlist(track, growing) for track in presentation.tracks}
    winding = {} if growing else _iframes_by_name(presentation)
    key_frames = {f"{name}/{IFRAME_PLAYLIST}": iframe_playlist(found) for name, found in winding.items()}
    return media | key_frames | {HLS_MASTER: master_playlist(presentation, winding)}


def _iframes_by_name(presentation: Presentation) -> dict[str, IFrames]:
    found = {track.rendition.name: iframes(track.encoded) for track in presentation.video}
    return {name: key_frames for name, key_frames in found.items() if key_frames is not None}


def master_playlist(presentation: Presentation, winding: Mapping[str, IFrames]) -> str:
    """All renditions, best first, with the audio tracks as one group. `winding`: those that have an I-frame playlist."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += [_audio_line(track, number) for number, track in enumerate(presentation.audio, start=1)]
    for track in presentation.video:
        lines += [_variant_line(track, presentation), f"{track.rendition.name}/{PLAYLIST}"]
    for track in presentation.video:
        if (key_frames := winding.get(track.rendition.name)) is not None:
            lines.append(_iframe_line(track, key_frames))
    return "\n".join(lines) + "\n"


def media_playlist(track: EncodedTrack, growing: Growing | None = None) -> str:
    """One rendition. VOD when it is whole; an EVENT playlist may still grow."""
    lengths = _lengths(track)
    # The target duration of a playlist must never change, so a growing one begins with what is planned.
    longest = max([*lengths, growing.segment_seconds if growing else 0.0])
    lines = [
        *_media_head(longest, "EVENT" if growing else "VOD"),
        "#EXT-X-INDEPENDENT-SEGMENTS",
        # While it grows it looks like a live stream, and players would begin at its end.
        *(["#EXT-X-START:TIME-OFFSET=0,PRECISE=YES"] if growing else []),
        MAP,
    ]
    for segment, length in zip(track.segments, lengths, strict=True):
        lines += [f"#EXTINF:{length:.6f},", segment.file_name]
    if growing is None:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def iframe_playlist(key_frames: IFrames) -> str:
    """The key frames of one whole rendition, as byte ranges of its segments."""
    lengths = _lengths(key_frames)
    lines = [*_media_head(max(lengths), "VOD"), "#EXT-X-I-FRAMES-ONLY", MAP]
    for frame, length in zip(key_frames.segments, lengths, strict=True):
        lines += [f"#EXTINF:{length:.6f},", f"#EXT-X-BYTERANGE:{frame.size_bytes}@{frame.offset}", frame.file_name]
    return "\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n"


def _media_head(longest: float, kind: str) -> list[str]:
    return [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{max(1, floor(longest + 0.5))}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{kind}",
    ]


def _lengths(track: Pieces) -> list[float]:
    """As they are told: a target duration must not be less than what is rounded up to it."""
    return [round(segment.duration_ticks / track.timescale, 6) for segment in track.segments]


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


def _iframe_line(track: VideoTrack, key_frames: IFrames) -> str:
    target = max(_lengths(key_frames))
    attributes = [
        f"BANDWIDTH={peak_bitrate(key_frames, target)}",
        f"AVERAGE-BANDWIDTH={average_bitrate(key_frames)}",
        f"CODECS={_quoted(track.encoded.codec_string)}",
        f"RESOLUTION={track.rendition.width}x{track.rendition.height}",
        f"URI={_quoted(f'{track.rendition.name}/{IFRAME_PLAYLIST}')}",
    ]
    return f"#EXT-X-I-FRAME-STREAM-INF:{','.join(attributes)}"


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
