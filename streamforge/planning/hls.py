"""HLS playlists over CMAF segments (RFC 8216 and its second edition, draft-pantos-hls-rfc8216bis)."""

from collections.abc import Mapping, Sequence
from math import floor
from types import MappingProxyType

from streamforge.contracts.media import EncodedTrack, Segment
from streamforge.planning.manifests import (
    GROWING_PLAYLIST,
    HLS_MASTER,
    IFRAME_PLAYLIST,
    INIT_SEGMENT,
    PLAYLIST,
    AudioTrack,
    Growing,
    IFrames,
    Opening,
    Piece,
    Presentation,
    VideoTrack,
    average_bitrate,
    iframes,
    ladders,
    opening,
    peak_bitrate,
)

AUDIO_GROUP = "audio"
NONE: Mapping[str, IFrames] = MappingProxyType({})


def playlists(presentation: Presentation, growing: Growing | None = None) -> dict[str, str]:
    """Every playlist by its name, in the order in which they are to be written: what is referred to comes before what
    refers to it."""
    return _growing_playlists(presentation, growing) if growing else _whole_playlists(presentation)


def _growing_playlists(presentation: Presentation, growing: Growing) -> dict[str, str]:
    """All renditions but the smallest of each codec have playlists that begin with its opening, and no others yet."""
    smallest = {ladder[-1].rendition.codec: ladder[-1] for ladder in ladders(presentation.video)}
    beginnings = {codec: opening(track.encoded, presentation.plan) for codec, track in smallest.items()}
    others = [
        track
        for track in growing.video
        if (beginning := beginnings.get(track.rendition.codec)) is not None
        and track.rendition != smallest[track.rendition.codec].rendition
        and (beginning.segments or track.encoded.segments)
    ]
    tracks = [*(track.encoded for track in smallest.values()), *(track.encoded for track in presentation.audio)]
    variants = [(track, GROWING_PLAYLIST) for track in others] + [(track, PLAYLIST) for track in smallest.values()]
    return (
        {f"{track.name}/{PLAYLIST}": media_playlist(track, growing) for track in tracks}
        | _beginning_alike(others, beginnings, growing)
        | {HLS_MASTER: master_playlist(presentation, variants)}
    )


def _whole_playlists(presentation: Presentation) -> dict[str, str]:
    """Whoever has begun to watch while the stream was growing goes on to the end in the playlists of that time."""
    by_codec = ladders(presentation.video)
    beginnings = {ladder[-1].rendition.codec: opening(ladder[-1].encoded, presentation.plan) for ladder in by_codec}
    others = [track for ladder in by_codec for track in ladder[:-1]]
    winding = {track.rendition.name: iframes(track.encoded) for track in presentation.video}
    key_frames = {name: found for name, found in winding.items() if found is not None}
    variants = [(track, PLAYLIST) for track in presentation.video]
    return (
        {f"{track.name}/{PLAYLIST}": media_playlist(track) for track in presentation.tracks}
        | _beginning_alike(others, beginnings)
        | {f"{name}/{IFRAME_PLAYLIST}": iframe_playlist(found) for name, found in key_frames.items()}
        | {HLS_MASTER: master_playlist(presentation, variants, key_frames)}
    )


def _beginning_alike(
    video: list[VideoTrack], beginnings: Mapping[str, Opening], growing: Growing | None = None
) -> dict[str, str]:
    """`beginnings` by codec: no player changes from one codec to another within a playlist."""
    return {
        f"{track.rendition.name}/{GROWING_PLAYLIST}": media_playlist(
            track.encoded, growing, beginnings[track.rendition.codec]
        )
        for track in video
    }


def master_playlist(
    presentation: Presentation, variants: Sequence[tuple[VideoTrack, str]], key_frames: Mapping[str, IFrames] = NONE
) -> str:
    """All renditions, best first, each with the playlist it has, and the audio tracks as one group."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += [_audio_line(track, number) for number, track in enumerate(presentation.audio, start=1)]
    if not presentation.plan.renditions:
        lines += _sound_variant(presentation)
    for track, playlist in variants:
        lines += [_variant_line(track, presentation), f"{track.rendition.name}/{playlist}"]
    for track, _ in variants:
        if (found := key_frames.get(track.rendition.name)) is not None:
            lines.append(_iframe_line(track, found))
    return "\n".join(lines) + "\n"


def media_playlist(track: EncodedTrack, growing: Growing | None = None, beginning: Opening | None = None) -> str:
    """One rendition. VOD when it is whole; an EVENT playlist may still grow."""
    opened = beginning.segments if beginning else []
    own = beginning.followed_by(track) if beginning else track.segments
    # The target duration of a playlist must never change, so a growing one begins with what is planned.
    longest = max([*_lengths([*opened, *own], track.timescale), growing.segment_seconds if growing else 0.0])
    lines = [
        *_media_head(longest, "EVENT" if growing else "VOD"),
        "#EXT-X-INDEPENDENT-SEGMENTS",
        # While it grows it looks like a live stream, and players would begin at its end.
        *(["#EXT-X-START:TIME-OFFSET=0,PRECISE=YES"] if growing else []),
        *(_listed(opened, track.timescale, f"../{beginning.name}/") if beginning else []),
        *_listed(own, track.timescale),
    ]
    if growing is None:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _listed(segments: Sequence[Segment], timescale: int, folder: str = "") -> list[str]:
    lines = [f'#EXT-X-MAP:URI="{folder}{INIT_SEGMENT}"'] if segments else []
    for segment, length in zip(segments, _lengths(segments, timescale), strict=True):
        lines += [f"#EXTINF:{length:.6f},", f"{folder}{segment.file_name}"]
    return lines


def iframe_playlist(key_frames: IFrames) -> str:
    """The key frames of one whole rendition, as byte ranges of its segments."""
    lengths = _lengths(key_frames.segments, key_frames.timescale)
    lines = [*_media_head(max(lengths), "VOD"), "#EXT-X-I-FRAMES-ONLY", f'#EXT-X-MAP:URI="{INIT_SEGMENT}"']
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


def _lengths(pieces: Sequence[Piece], timescale: int) -> list[float]:
    """As they are told: a target duration must not be less than what is rounded up to it."""
    return [round(piece.duration_ticks / timescale, 6) for piece in pieces]


def _variant_line(track: VideoTrack, presentation: Presentation) -> str:
    target = presentation.plan.segment_seconds
    # What is not encoded yet is told with its ceiling; nobody knows its average.
    peak = peak_bitrate(track.encoded, target) or track.rendition.max_bitrate
    average = average_bitrate(track.encoded)
    codecs = [track.encoded.codec_string]
    if presentation.audio:
        # A variant is as heavy as its video with the heaviest audio it can be played with.
        peak += max(peak_bitrate(audio.encoded, target) for audio in presentation.audio)
        average += max(average_bitrate(audio.encoded) for audio in presentation.audio) if average else 0
        codecs += sorted({audio.encoded.codec_string for audio in presentation.audio})
    attributes = [
        f"BANDWIDTH={peak}",
        *([f"AVERAGE-BANDWIDTH={average}"] if average else []),
        f"CODECS={_quoted(','.join(codecs))}",
        f"RESOLUTION={track.rendition.width}x{track.rendition.height}",
        f"FRAME-RATE={float(presentation.frame_rate):.3f}",
        "CLOSED-CAPTIONS=NONE",  # Else players search the pictures for captions, and some list a track of unknown ones.
    ]
    if presentation.audio:
        attributes.append(f"AUDIO={_quoted(AUDIO_GROUP)}")
    return f"#EXT-X-STREAM-INF:{','.join(attributes)}"


def _sound_variant(presentation: Presentation) -> list[str]:
    """Of a stream of sound alone: the default track, for which the group has the others."""
    tracks = [track.encoded for track in presentation.audio]
    attributes = [
        f"BANDWIDTH={max(peak_bitrate(track, presentation.plan.segment_seconds) for track in tracks)}",
        f"AVERAGE-BANDWIDTH={max(average_bitrate(track) for track in tracks)}",
        f"CODECS={_quoted(','.join(sorted({track.codec_string for track in tracks})))}",
        f"AUDIO={_quoted(AUDIO_GROUP)}",
    ]
    return [f"#EXT-X-STREAM-INF:{','.join(attributes)}", f"{tracks[0].name}/{PLAYLIST}"]


def _iframe_line(track: VideoTrack, key_frames: IFrames) -> str:
    target = max(_lengths(key_frames.segments, key_frames.timescale))
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
