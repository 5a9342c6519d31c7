"""The DASH manifest over the same CMAF segments (ISO/IEC 23009-1, profile isoff-live)."""

from datetime import datetime, timedelta
from fractions import Fraction
from xml.etree import ElementTree as ET

from streamforge.contracts.media.encoded import EncodedTrack, TextTrack
from streamforge.contracts.media.plan import AudioRendition, VideoRendition
from streamforge.contracts.media.source import VIDEO_TIMESCALE, AudioRole
from streamforge.contracts.media.stills import Storyboard
from streamforge.packaging.encryption import add_content_protection
from streamforge.packaging.presentation import (
    INIT_SEGMENT,
    TEXT_FILE,
    AudioTrack,
    GrowingStream,
    Presentation,
    VideoTrack,
    ladders,
    longest_seconds,
    peak_bitrate,
)
from streamforge.planning.stills import bitrate, sheet_name
from streamforge.planning.text.printable import printable

NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
THUMBNAIL_TILE = "http://dashif.org/guidelines/thumbnail_tile"
UPDATE_SECONDS = 1
"""A first segment of a few seconds is all that some players have when they look again."""

ROLES = {
    AudioRole.COMMENTARY: "commentary",
    AudioRole.DESCRIPTION: "description",
    AudioRole.CLEAR_SPEECH: "enhanced-audio-intelligibility",
}
PURPOSES = {AudioRole.DESCRIPTION: "1", AudioRole.CLEAR_SPEECH: "2"}
"""For the visually impaired, and for the hard of hearing (ETSI TS 102 822-3-1)."""

LONGEST_JOB_SECONDS = 7 * 86_400
"""A player that stays this far behind the live edge begins at the beginning, however long the job has been running."""


def manifest(presentation: Presentation, growing: GrowingStream | None = None) -> str:
    """One period, the video renditions of each codec in one adaptation set, each audio track and each text in one of its
    own. Static when the stream is whole; while it grows, a dynamic one that players fetch again."""
    mpd = ET.Element(
        "MPD",
        {
            "xmlns": NAMESPACE,
            "profiles": "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019",
            "minBufferTime": f"PT{_longest_segment(presentation):.3f}S",
        }
        | (_dynamic(growing) if growing else _static(presentation)),
    )
    period = ET.SubElement(mpd, "Period", {"id": "0", "start": "PT0S"})
    _add_video(period, presentation)
    _add_audio(period, presentation)
    _add_text(period, presentation)
    if presentation.storyboard is not None:
        _add_storyboard(period, presentation.storyboard)
    if growing:
        # What the time is; dash.js otherwise asks a server of its own makers.
        utc = {"schemeIdUri": "urn:mpeg:dash:utc:direct:2014", "value": _timestamp(growing.now)}
        ET.SubElement(mpd, "UTCTiming", utc)
    ET.indent(mpd)
    return ET.tostring(mpd, encoding="unicode", xml_declaration=True) + "\n"


def _longest_segment(presentation: Presentation) -> float:
    """Seconds. Not less than planned; more in a copy whose key frames are further apart."""
    return max([presentation.plan.segment_seconds, *(longest_seconds(track.encoded) for track in presentation.video)])


def _static(presentation: Presentation) -> dict[str, str]:
    return {"type": "static", "mediaPresentationDuration": f"PT{presentation.seconds:.3f}S"}


def _dynamic(growing: GrowingStream) -> dict[str, str]:
    """Encoding may be faster than playing: the presentation is said to have begun so long ago that none of it lies in
    the future, and the suggested delay reaches behind it, so that players begin at the beginning and not at the live
    edge."""
    whole = timedelta(seconds=growing.source_seconds)
    return {
        "type": "dynamic",
        "availabilityStartTime": _timestamp(growing.began_at - whole),
        "publishTime": _timestamp(growing.now),
        "minimumUpdatePeriod": f"PT{UPDATE_SECONDS}S",
        "suggestedPresentationDelay": f"PT{LONGEST_JOB_SECONDS + growing.source_seconds:.3f}S",
    }


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _add_video(period: ET.Element, presentation: Presentation) -> None:
    by_codec = ladders(presentation.video)
    for number, ladder in enumerate(by_codec):
        adaptation = ET.SubElement(
            period,
            "AdaptationSet",
            {
                "id": str(number),
                "contentType": "video",
                "mimeType": "video/mp4",
                "segmentAlignment": "true",
                "startWithSAP": "1",
                "maxWidth": str(max(track.rendition.width for track in ladder)),
                "maxHeight": str(max(track.rendition.height for track in ladder)),
            },
        )
        add_content_protection(adaptation, presentation.plan.protection, "video")
        if len(by_codec) > 1:
            others = ",".join(str(other) for other in range(len(by_codec)) if other != number)
            switching = {"schemeIdUri": "urn:mpeg:dash:adaptation-set-switching:2016", "value": others}
            ET.SubElement(adaptation, "SupplementalProperty", switching)
        _add_colors(adaptation, ladder[0].rendition)
        _add_segments(adaptation, ladder[0].encoded)  # Key frames are aligned: one timeline is everybody's.
        for track in ladder:
            _add_representation(adaptation, track, presentation)


def _add_representation(adaptation: ET.Element, track: VideoTrack, presentation: Presentation) -> None:
    ET.SubElement(
        adaptation,
        "Representation",
        {
            "id": track.rendition.name,
            "codecs": track.encoded.codec_string,
            "bandwidth": str(peak_bitrate(track.encoded, presentation.plan.segment_seconds)),
            "width": str(track.rendition.width),
            "height": str(track.rendition.height),
            "frameRate": _rate(presentation.frame_rate),
            "sar": "1:1",
        },
    )


def _add_colors(adaptation: ET.Element, rendition: VideoRendition) -> None:
    """What HDR needs to be known for (ISO/IEC 23091-2 in DASH: ISO/IEC 23009-1 §5.8.5): a player that cannot show it
    should look for another adaptation set, or map it itself where there is none."""
    if rendition.dynamic_range == "sdr":
        return
    color = rendition.color
    for name, value in [
        ("ColourPrimaries", color.primaries),
        ("TransferCharacteristics", color.transfer),
        ("MatrixCoefficients", color.matrix),
    ]:
        ET.SubElement(
            adaptation, "SupplementalProperty", {"schemeIdUri": f"urn:mpeg:mpegB:cicp:{name}", "value": str(value)}
        )


def _add_audio(period: ET.Element, presentation: Presentation) -> None:
    for number, track in enumerate(presentation.audio, start=len(ladders(presentation.video))):
        rendition = track.rendition
        attributes = {"id": str(number), "contentType": "audio", "mimeType": "audio/mp4", "startWithSAP": "1"}
        if rendition.language:
            attributes["lang"] = rendition.language
        if rendition.default and not rendition.is_surround:
            attributes["selectionPriority"] = "2"  # Players that know nothing better would take the heaviest.
        adaptation = ET.SubElement(period, "AdaptationSet", attributes)
        add_content_protection(adaptation, presentation.plan.protection, "audio")
        if rendition.title:
            ET.SubElement(adaptation, "Label").text = printable(rendition.title)
        _add_role(adaptation, rendition)
        _add_segments(adaptation, track.encoded)
        _add_sound(adaptation, track, presentation)


def _add_role(adaptation: ET.Element, rendition: AudioRendition) -> None:
    if (purpose := PURPOSES.get(rendition.role)) is not None:
        accessibility = {"schemeIdUri": "urn:tva:metadata:cs:AudioPurposeCS:2007", "value": purpose}
        ET.SubElement(adaptation, "Accessibility", accessibility)
    role = ROLES.get(rendition.role, "main" if rendition.default else "alternate")
    ET.SubElement(adaptation, "Role", {"schemeIdUri": "urn:mpeg:dash:role:2011", "value": role})


def _add_sound(adaptation: ET.Element, track: AudioTrack, presentation: Presentation) -> None:
    representation = ET.SubElement(
        adaptation,
        "Representation",
        {
            "id": track.rendition.name,
            "codecs": track.encoded.codec_string,
            "bandwidth": str(peak_bitrate(track.encoded, presentation.plan.segment_seconds)),
            "audioSamplingRate": str(track.rendition.sample_rate),
        },
    )
    # ISO/IEC 23091-3: 1 is mono, 2 stereo, 6 is 5.1.
    configuration = {
        "schemeIdUri": "urn:mpeg:mpegB:cicp:ChannelConfiguration",
        "value": str(track.rendition.channels),
    }
    ET.SubElement(representation, "AudioChannelConfiguration", configuration)


def _add_text(period: ET.Element, presentation: Presentation) -> None:
    """WebVTT as a file of its own (DASH-IF IOP 4.3 §6.4.5), one representation without segments for each."""
    before = len(ladders(presentation.video)) + len(presentation.audio)
    for number, track in enumerate(presentation.text, start=before):
        language = {"lang": track.language} if track.language else {}
        adaptation = ET.SubElement(
            period, "AdaptationSet", {"id": str(number), "contentType": "text", "mimeType": "text/vtt"} | language
        )
        ET.SubElement(adaptation, "Label").text = printable(track.label)
        ET.SubElement(adaptation, "Role", {"schemeIdUri": "urn:mpeg:dash:role:2011", "value": _text_role(track)})
        bandwidth = max(1, round(8 * track.size_bytes / presentation.seconds))
        representation = ET.SubElement(adaptation, "Representation", {"id": track.name, "bandwidth": str(bandwidth)})
        ET.SubElement(representation, "BaseURL").text = f"{track.name}/{TEXT_FILE}"


def _text_role(track: TextTrack) -> str:
    """ISO/IEC 23009-1 §5.8.5.5."""
    if track.forced:
        return "forced-subtitle"
    return "caption" if track.is_captions else "subtitle"


def _add_storyboard(period: ET.Element, board: Storyboard) -> None:
    """Sprite sheets as thumbnail tiles (DASH-IF IOP v4.3 §6.2.6): every sheet is a segment. The last set, for only the
    finished stream has it, and the others must keep their ids."""
    adaptation = ET.SubElement(
        period, "AdaptationSet", {"id": str(len(period)), "contentType": "image", "mimeType": "image/jpeg"}
    )
    ET.SubElement(
        adaptation,
        "SegmentTemplate",
        {
            "timescale": str(VIDEO_TIMESCALE),
            "duration": str(board.per_sheet * board.interval_ticks),
            "startNumber": "0",
            "media": sheet_name("$Number$"),
        },
    )
    representation = ET.SubElement(
        adaptation,
        "Representation",
        {
            "id": "sprites",
            "bandwidth": str(bitrate(board)),
            "width": str(board.columns * board.tile_width),
            "height": str(board.rows * board.tile_height),
        },
    )
    grid = {"schemeIdUri": THUMBNAIL_TILE, "value": f"{board.columns}x{board.rows}"}
    ET.SubElement(representation, "EssentialProperty", grid)


def _add_segments(adaptation: ET.Element, track: EncodedTrack) -> None:
    template = ET.SubElement(
        adaptation,
        "SegmentTemplate",
        {
            "timescale": str(track.timescale),
            "initialization": f"$RepresentationID$/{INIT_SEGMENT}",
            "media": "$RepresentationID$/$Time$.m4s",
        },
    )
    timeline = ET.SubElement(template, "SegmentTimeline")
    last: ET.Element | None = None
    expected: int | None = None
    for segment in track.segments:
        duration = str(segment.duration_ticks)
        follows = segment.start_ticks == expected
        if last is not None and follows and last.get("d") == duration:
            last.set("r", str(int(last.get("r", "0")) + 1))
        else:
            # Files are named after their times, so a time that does not follow from the one before must be told.
            time = {} if follows else {"t": str(segment.start_ticks)}
            last = ET.SubElement(timeline, "S", time | {"d": duration})
        expected = segment.start_ticks + segment.duration_ticks


def _rate(rate: Fraction) -> str:
    return str(rate.numerator) if rate.denominator == 1 else f"{rate.numerator}/{rate.denominator}"
