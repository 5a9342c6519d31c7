"""HLS playlists over CMAF segments (RFC 8216 and its second edition, draft-pantos-hls-rfc8216bis)."""

from collections.abc import Mapping, Sequence
from math import floor
from types import MappingProxyType

from streamforge.contracts.media.encoded import EncodedTrack, Segment, TextTrack
from streamforge.contracts.media.source import VIDEO_TIMESCALE, AudioRole, Source
from streamforge.contracts.media.stills import Storyboard
from streamforge.packaging.encryption import KeyTags
from streamforge.packaging.presentation import (
    GROWING_PLAYLIST,
    HLS_MASTER,
    IFRAME_PLAYLIST,
    INIT_SEGMENT,
    PLAYLIST,
    TEXT_FILE,
    AudioTrack,
    BitRates,
    GrowingStream,
    IFrames,
    Piece,
    Presentation,
    StandIn,
    VideoTrack,
    bit_rates,
    iframes,
    ladders,
    stand_in_of,
)
from streamforge.planning.stills import bitrate, sheet_name
from streamforge.planning.text.printable import printable

STEREO_GROUP = "audio-stereo"
SURROUND_GROUP = "audio-surround"
CHARACTERISTICS = {
    AudioRole.COMMENTARY: "public.auxiliary-content",
    AudioRole.DESCRIPTION: "public.accessibility.describes-video",
    AudioRole.CLEAR_SPEECH: "public.accessibility.enhances-speech-intelligibility",
}
STORYBOARD_PLAYLIST = "thumbnails.m3u8"
TEXT_GROUP = "text"
VIDEO_RANGES = {"sdr": "SDR", "hdr10": "PQ", "hlg": "HLG"}
NONE: Mapping[str, IFrames] = MappingProxyType({})
UNPROTECTED = KeyTags(None, "video")


def playlists(presentation: Presentation, growing: GrowingStream | None = None) -> dict[str, str]:
    """Every playlist by its name, in the order in which they are to be written: what is referred to comes before what
    refers to it."""
    return _growing_playlists(presentation, growing) if growing else _whole_playlists(presentation)


def _growing_playlists(presentation: Presentation, growing: GrowingStream) -> dict[str, str]:
    """All renditions but the smallest of each codec have playlists that begin with its opening, and no others yet."""
    smallest = {ladder[-1].rendition.codec: ladder[-1] for ladder in ladders(presentation.video)}
    beginnings = {codec: stand_in_of(track.encoded, presentation.plan) for codec, track in smallest.items()}
    others = [
        track
        for track in growing.video
        if (beginning := beginnings.get(track.rendition.codec)) is not None
        and track.rendition != smallest[track.rendition.codec].rendition
        and (beginning.segments or track.encoded.segments)
    ]
    video_keys, audio_keys = _key_tags(presentation)
    variants = [(track, GROWING_PLAYLIST) for track in others] + [(track, PLAYLIST) for track in smallest.values()]
    return (
        _media_playlists([track.encoded for track in smallest.values()], video_keys, growing)
        | _media_playlists([track.encoded for track in presentation.audio], audio_keys, growing)
        | _beginning_alike(others, beginnings, video_keys, growing)
        | {HLS_MASTER: master_playlist(presentation, variants)}
    )


def _whole_playlists(presentation: Presentation) -> dict[str, str]:
    """Whoever has begun to watch while the stream was growing goes on to the end in the playlists of that time."""
    by_codec = ladders(presentation.video)
    beginnings = {ladder[-1].rendition.codec: stand_in_of(ladder[-1].encoded, presentation.plan) for ladder in by_codec}
    others = [track for ladder in by_codec for track in ladder[:-1]]
    winding = {track.rendition.name: iframes(track.encoded) for track in presentation.video}
    key_frames = {name: found for name, found in winding.items() if found is not None}
    variants = [(track, PLAYLIST) for track in presentation.video]
    video_keys, audio_keys = _key_tags(presentation)
    return (
        _media_playlists([track.encoded for track in presentation.video], video_keys)
        | _media_playlists([track.encoded for track in presentation.audio], audio_keys)
        | {f"{track.name}/{PLAYLIST}": text_playlist(presentation.seconds) for track in presentation.text}
        | _beginning_alike(others, beginnings, video_keys)
        | {f"{name}/{IFRAME_PLAYLIST}": iframe_playlist(found, video_keys) for name, found in key_frames.items()}
        | _storyboard_playlists(presentation)
        | {HLS_MASTER: master_playlist(presentation, variants, key_frames)}
    )


def _key_tags(presentation: Presentation) -> tuple[KeyTags, KeyTags]:
    """Of pictures and of sound."""
    protection = presentation.plan.protection
    return KeyTags(protection, "video"), KeyTags(protection, "audio")


def _media_playlists(tracks: list[EncodedTrack], keys: KeyTags, growing: GrowingStream | None = None) -> dict[str, str]:
    return {f"{track.name}/{PLAYLIST}": media_playlist(track, growing, keys=keys) for track in tracks}


def _beginning_alike(
    video: list[VideoTrack], beginnings: Mapping[str, StandIn], keys: KeyTags, growing: GrowingStream | None = None
) -> dict[str, str]:
    """`beginnings` by codec: no player changes from one codec to another within a playlist."""
    return {
        f"{track.rendition.name}/{GROWING_PLAYLIST}": media_playlist(
            track.encoded, growing, beginnings[track.rendition.codec], keys
        )
        for track in video
    }


def master_playlist(
    presentation: Presentation, variants: Sequence[tuple[VideoTrack, str]], key_frames: Mapping[str, IFrames] = NONE
) -> str:
    """All renditions, best first, each with the playlist it has, and each with every group of audio tracks; texts as one
    group."""
    groups = audio_groups(presentation.audio)
    rates = _rates(presentation, variants)
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for group, members in groups.items():
        lines += [_audio_line(track, number, group) for number, track in enumerate(members, start=1)]
    lines += [_text_line(track) for track in presentation.text]
    for chosen in groups or [None]:  # All with stereo first: some players begin with the first line they can play.
        if chosen is not None and not presentation.plan.renditions:
            lines += _sound_variant(presentation, groups, chosen, rates)
        for track, playlist in variants:
            lines += [_variant_line(track, presentation, groups, chosen, rates), f"{track.rendition.name}/{playlist}"]
    for track, _ in variants:
        if (found := key_frames.get(track.rendition.name)) is not None:
            lines.append(_iframe_line(track, found, presentation))
    if presentation.storyboard is not None:
        lines.append(_storyboard_line(presentation.storyboard))
    return "\n".join(lines) + "\n"


def _rates(presentation: Presentation, variants: Sequence[tuple[VideoTrack, str]]) -> dict[str, BitRates]:
    """Of every track by its name, once: each variant tells of all sound that may go with it."""
    encoded = [*(track.encoded for track, _ in variants), *(track.encoded for track in presentation.audio)]
    return {track.name: bit_rates(track, presentation.plan.segment_seconds) for track in encoded}


def audio_groups(audio: Sequence[AudioTrack]) -> dict[str, list[AudioTrack]]:
    """One for each layout, with the same members under the same names (RFC 8216 §4.3.4.1.1): a track without surround
    sound is in that group, too, as it is. None of them where there is no sound."""
    stereo = [track for track in audio if not track.rendition.is_surround]
    surround = {track.rendition.track: track for track in audio if track.rendition.is_surround}
    groups = {STEREO_GROUP: stereo} if stereo else {}
    if any(track.rendition.track in surround for track in stereo):
        groups[SURROUND_GROUP] = [surround.get(track.rendition.track, track) for track in stereo]
    return groups


def media_playlist(
    track: EncodedTrack,
    growing: GrowingStream | None = None,
    beginning: StandIn | None = None,
    keys: KeyTags = UNPROTECTED,
) -> str:
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
        *(_listed(beginning.name, opened, track.timescale, keys, f"../{beginning.name}/") if beginning else []),
        *_listed(track.name, own, track.timescale, keys),
    ]
    if growing is None:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _listed(track: str, segments: Sequence[Segment], timescale: int, keys: KeyTags, folder: str = "") -> list[str]:
    lines = keys.around_map(f'#EXT-X-MAP:URI="{folder}{INIT_SEGMENT}"') if segments else []
    for segment, length in zip(segments, _lengths(segments, timescale), strict=True):
        lines += [*keys.before(track, segment), f"#EXTINF:{length:.6f},", f"{folder}{segment.file_name}"]
    return lines


def iframe_playlist(key_frames: IFrames, keys: KeyTags = UNPROTECTED) -> str:
    """The key frames of one whole rendition, as byte ranges of its segments."""
    lengths = _lengths(key_frames.segments, key_frames.timescale)
    init = keys.around_map(f'#EXT-X-MAP:URI="{INIT_SEGMENT}"')
    lines = [*_media_head(max(lengths), "VOD"), "#EXT-X-I-FRAMES-ONLY", *init]
    for frame, length in zip(key_frames.segments, lengths, strict=True):
        lines += [f"#EXTINF:{length:.6f},", f"#EXT-X-BYTERANGE:{frame.size_bytes}@{frame.offset}", frame.file_name]
    return "\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n"


def text_playlist(duration: float) -> str:
    """WebVTT as one segment that is as long as the film (RFC 8216 §3.5)."""
    lines = [*_media_head(duration, "VOD"), f"#EXTINF:{duration:.6f},", TEXT_FILE, "#EXT-X-ENDLIST"]
    return "\n".join(lines) + "\n"


def _storyboard_playlists(presentation: Presentation) -> dict[str, str]:
    """The sprite sheets as an image media playlist, an extension that Roku's and Disney's players brought up and others
    understand: one segment for each sheet. Whoever does not know its tags skips it."""
    board = presentation.storyboard
    if board is None:
        return {}
    end = presentation.seconds
    interval = board.interval_ticks / VIDEO_TIMESCALE
    lengths = [
        min(board.per_sheet * interval, end - number * board.per_sheet * interval)
        for number in range(board.sheet_count)
    ]
    size, layout = f"{board.tile_width}x{board.tile_height}", f"{board.columns}x{board.rows}"
    tiles = f"#EXT-X-TILES:RESOLUTION={size},LAYOUT={layout},DURATION={interval:.6f}"
    lines = [*_media_head(max(lengths), "VOD"), "#EXT-X-IMAGES-ONLY"]
    for number, length in enumerate(lengths):
        lines += [f"#EXTINF:{length:.6f},", tiles, sheet_name(number)]
    return {STORYBOARD_PLAYLIST: "\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n"}


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


def _variant_line(
    track: VideoTrack,
    presentation: Presentation,
    groups: Mapping[str, list[AudioTrack]],
    chosen: str | None,
    rates: Mapping[str, BitRates],
) -> str:
    # What is not encoded yet is told with its ceiling; nobody knows its average.
    peak = rates[track.encoded.name].peak or track.rendition.max_bitrate
    average = rates[track.encoded.name].average
    codecs = [track.encoded.codec_string]
    if chosen is not None:
        # As heavy as its video with the heaviest audio of any group: only where the peaks of a rendition are equal does
        # hls.js see that it is one and the same, which can be played with either. Else it would change between stereo
        # and surround as the network gets slower and faster.
        every = [audio.encoded.name for members in groups.values() for audio in members]
        peak += max(rates[name].peak for name in every)
        average += max(rates[audio.encoded.name].average for audio in groups[chosen]) if average else 0
        codecs += sorted({audio.encoded.codec_string for audio in groups[chosen]})
    attributes = [
        f"BANDWIDTH={peak}",
        *([f"AVERAGE-BANDWIDTH={average}"] if average else []),
        f"CODECS={_quoted(','.join(codecs))}",
        f"RESOLUTION={track.rendition.width}x{track.rendition.height}",
        *_video_range(track, presentation),
        f"FRAME-RATE={float(presentation.highest_frame_rate):.3f}",  # RFC 8216 §4.3.4.2: the maximum.
        *_closed_captions(track, presentation.source),
        *([f"AUDIO={_quoted(chosen)}"] if chosen is not None else []),
    ]
    if presentation.text:
        attributes.append(f"SUBTITLES={_quoted(TEXT_GROUP)}")
    return f"#EXT-X-STREAM-INF:{','.join(attributes)}"


def _closed_captions(track: VideoTrack, source: Source) -> list[str]:
    """Without the attribute players search the pictures for captions, and some list a track of unknown ones. Encoders are
    told to pass none on; a copy has what the source has."""
    among_pictures = any(text.channel and text.index == source.video_required.index for text in source.subtitles)
    return [] if track.rendition.is_copy and among_pictures else ["CLOSED-CAPTIONS=NONE"]


def _video_range(track: VideoTrack, presentation: Presentation) -> list[str]:
    """Draft-pantos-hls-rfc8216bis §4.4.6.2: without the attribute it is SDR, as in nearly all streams."""
    if all(each.rendition.dynamic_range == "sdr" for each in presentation.video):
        return []
    return [f"VIDEO-RANGE={VIDEO_RANGES[track.rendition.dynamic_range]}"]


def _sound_variant(
    presentation: Presentation, groups: Mapping[str, list[AudioTrack]], chosen: str, rates: Mapping[str, BitRates]
) -> list[str]:
    """Of a stream of sound alone: the first track, for which the group has the others. As with pictures, BANDWIDTH is that
    of the heaviest group."""
    every = [audio.encoded.name for members in groups.values() for audio in members]
    tracks = [audio.encoded for audio in groups[chosen]]
    attributes = [
        f"BANDWIDTH={max(rates[name].peak for name in every)}",
        f"AVERAGE-BANDWIDTH={max(rates[track.name].average for track in tracks)}",
        f"CODECS={_quoted(','.join(sorted({track.codec_string for track in tracks})))}",
        f"AUDIO={_quoted(chosen)}",
        *([f"SUBTITLES={_quoted(TEXT_GROUP)}"] if presentation.text else []),
    ]
    return [f"#EXT-X-STREAM-INF:{','.join(attributes)}", f"{tracks[0].name}/{PLAYLIST}"]


def _iframe_line(track: VideoTrack, key_frames: IFrames, presentation: Presentation) -> str:
    rates = bit_rates(key_frames, max(_lengths(key_frames.segments, key_frames.timescale)))
    attributes = [
        f"BANDWIDTH={rates.peak}",
        f"AVERAGE-BANDWIDTH={rates.average}",
        f"CODECS={_quoted(track.encoded.codec_string)}",
        f"RESOLUTION={track.rendition.width}x{track.rendition.height}",
        *_video_range(track, presentation),
        f"URI={_quoted(f'{track.rendition.name}/{IFRAME_PLAYLIST}')}",
    ]
    return f"#EXT-X-I-FRAME-STREAM-INF:{','.join(attributes)}"


def _storyboard_line(board: Storyboard) -> str:
    attributes = [
        f"BANDWIDTH={bitrate(board)}",
        f"RESOLUTION={board.tile_width}x{board.tile_height}",
        'CODECS="jpeg"',
        f"URI={_quoted(STORYBOARD_PLAYLIST)}",
    ]
    return f"#EXT-X-IMAGE-STREAM-INF:{','.join(attributes)}"


def _audio_line(track: AudioTrack, number: int, group: str) -> str:
    rendition = track.rendition
    characteristics = CHARACTERISTICS.get(rendition.role)
    attributes = [
        "TYPE=AUDIO",
        f"GROUP-ID={_quoted(group)}",
        f"NAME={_quoted(_audio_name(track, number))}",
        *([f"LANGUAGE={_quoted(rendition.language)}"] if rendition.language else []),
        f"DEFAULT={'YES' if rendition.default else 'NO'}",
        # A commentary is heard by who asks for it, not by who speaks its language.
        f"AUTOSELECT={'NO' if rendition.role is AudioRole.COMMENTARY and not rendition.default else 'YES'}",
        *([f"CHARACTERISTICS={_quoted(characteristics)}"] if characteristics else []),
        f"CHANNELS={_quoted(str(rendition.channels))}",
        f"URI={_quoted(f'{rendition.name}/{PLAYLIST}')}",
    ]
    return f"#EXT-X-MEDIA:{','.join(attributes)}"


def _text_line(track: TextTrack) -> str:
    characteristics = [
        *(["public.accessibility.transcribes-spoken-dialog"] if track.is_captions else []),
        *(["public.accessibility.describes-music-and-sound"] if track.hearing_impaired else []),
    ]
    attributes = [
        "TYPE=SUBTITLES",
        f"GROUP-ID={_quoted(TEXT_GROUP)}",
        f"NAME={_quoted(track.label)}",
        *([f"LANGUAGE={_quoted(track.language)}"] if track.language else []),
        f"DEFAULT={'YES' if track.default else 'NO'}",
        "AUTOSELECT=YES",
        f"FORCED={'YES' if track.forced else 'NO'}",
        *([f"CHARACTERISTICS={_quoted(','.join(characteristics))}"] if characteristics else []),
        f"URI={_quoted(f'{track.name}/{PLAYLIST}')}",
    ]
    return f"#EXT-X-MEDIA:{','.join(attributes)}"


def _audio_name(track: AudioTrack, number: int) -> str:
    """Names must differ within a group, and two tracks of a source may well have the same title."""
    return f"{track.rendition.title or track.rendition.language or 'Audio'} ({number})"


def _quoted(text: str) -> str:
    """A quoted-string cannot hold quotes or line breaks; a title with one could otherwise write tags of its own."""
    return '"' + printable(text).replace('"', "") + '"'
