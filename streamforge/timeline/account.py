"""The law: what goes in comes out, or the job says what did not.

Pictures are counted three times by different eyes: when the probe demuxed the whole file, which knows no window; when the
chunks demuxed and decoded their parts; and when they were handed to the encoders. What lies between the first two that
nobody can explain is a fault of ours, and the job fails rather than show less than it got.
"""

from collections.abc import Iterable, Mapping, Sequence

from streamforge.contracts.media.account import Account, PictureAccount, SoundAccount
from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.media.plan import StreamPlan
from streamforge.contracts.media.source import Source, VideoSource
from streamforge.contracts.media.timeline import NoteKind, PictureCount
from streamforge.errors import PicturesLost

TOLERATED_PICTURES = 2
TOLERATED_SECONDS = 0.1

MOST_MISSING = 100
MOST_NAMED = 5

FIELD_CODED = {"h264", "hevc", "mpeg2video"}
"""Codecs in which each field of a picture may be a packet."""


def account_of(
    source: Source, plan: StreamPlan, counts: Sequence[PictureCount | None], sound: Iterable[EncodedTrack]
) -> Account:
    """`counts` has one for each chunk; None where it was encoded by a version that did not count.

    Raises PicturesLost.
    """
    video = source.video if plan.renditions else None
    pictures = None if video is None else _pictures(video, counts)
    sounds = _sounds(plan, sound)
    told = {note.track: note.seconds for note in source.timeline_notes if note.kind == NoteKind.CUT}
    lines = [
        *_about_pictures(video, pictures),
        *_about_rate(video, pictures, plan),
        *(line for each in sounds for line in _about_sound(each, sounds, told)),
    ]
    return Account(pictures=pictures, sounds=sounds, timeline=source.timeline_notes, lines=lines)


def _pictures(video: VideoSource, counts: Sequence[PictureCount | None]) -> PictureAccount:
    account = PictureAccount(in_source=video.frame_count, without_reference=video.undecodable)
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return account
    seen = sum(count.in_source for count in known)
    if video.fields:
        seen = -(-seen // 2)  # Once for all: a field and its partner may be in two chunks.
    account.decoded = sum(count.decoded for count in known)
    account.shown = sum(count.shown for count in known)
    account.thinned = sum(count.thinned for count in known)
    account.missing = [gap for count in known for gap in count.missing][:MOST_MISSING]
    _refuse_loss(video.frame_count - video.undecodable - seen, "no chunk has", seen)
    _refuse_loss(account.decoded - account.thinned - account.shown, "were decoded and not shown", account.decoded)
    return account


def _refuse_loss(lost: int, where: str, of: int) -> None:
    if lost > TOLERATED_PICTURES:
        raise PicturesLost(
            f"{lost} pictures of the video were lost on the way; this is a fault of StreamForge, please report it.",
            debug=f"{lost} {where}, {of} are there",
        )


def _about_pictures(video: VideoSource | None, account: PictureAccount | None) -> Iterable[str]:
    if video is None or account is None or account.decoded is None:
        return
    expected = account.in_source - account.without_reference
    lost = expected - account.decoded
    is_field_coded = video.interlaced and video.codec in FIELD_CODED and 2 * account.decoded >= expected
    if lost > TOLERATED_PICTURES and not is_field_coded:
        places = ", ".join(f"{begin:.1f}–{begin + length:.1f} s" for begin, length in account.missing[:MOST_NAMED])
        more = " and elsewhere" if len(account.missing) > MOST_NAMED else ""
        where = f" ({places}{more})" if places else ""
        yield f"{lost} of {expected} pictures cannot be decoded{where}; the one before each stays in its place."


def _about_rate(video: VideoSource | None, account: PictureAccount | None, plan: StreamPlan) -> Iterable[str]:
    if video is None or account is None or account.thinned <= TOLERATED_PICTURES:
        return
    is_fast = video.frame_rate > plan.max_frame_rate
    why = f"the stream has at most {plan.max_frame_rate:g} a second" if is_fast else "others have the same times"
    yield f"{account.thinned} of {account.decoded} pictures are left out: {why}."


def _sounds(plan: StreamPlan, tracks: Iterable[EncodedTrack]) -> list[SoundAccount]:
    streams = {rendition.name: rendition.stream_index for rendition in plan.audio}
    return [
        SoundAccount(name=track.name, track=streams[track.name], **track.sound.model_dump())
        for track in tracks
        if track.sound is not None and track.name in streams
    ]


def _about_sound(sound: SoundAccount, all_: Sequence[SoundAccount], told: Mapping[int | None, float]) -> Iterable[str]:
    """Once for each track of the source, in however many layouts it is. `told`: seconds of each track that the probe has
    said already are cut."""
    if next(each for each in all_ if each.track == sound.track) is not sound:
        return
    if sum(length for _, length in sound.gaps) > TOLERATED_SECONDS:
        at, longest = sound.gaps[0][0], max(length for _, length in sound.gaps)
        times = f"in {len(sound.gaps)} places, first " if len(sound.gaps) > 1 else ""
        yield f"Audio track {sound.name} has nothing for up to {longest:.1f} s ({times}at {at:.1f} s); there is silence."
    if sound.cut - told.get(sound.track, 0.0) > TOLERATED_SECONDS:
        yield (
            f"{sound.cut:.1f} s of audio track {sound.name} are left out: they lie before the first picture, or say again "
            "what was said."
        )
