"""What a job will cost, before it is begun: processor time, waiting time, bytes.

A video's content decides more than its size does: a talking head encodes five times as fast as the same minutes of
confetti, into a tenth of the bytes. So these are orders of magnitude: divide and multiply by UNCERTAINTY for the range
in which nearly all videos lie. All constants were measured on one core of a 2-core x86 server, with films from 360p to
1080p between a slide show and noise; another machine has another speed.
"""

from math import ceil

from streamforge.codecs.registry import CODECS
from streamforge.contracts.media.plan import Plan, VideoRendition
from streamforge.contracts.media.source import Source, VideoSource
from streamforge.contracts.printable_plan import (
    PlannedAudio,
    PlannedChunks,
    PlannedRendition,
    Prediction,
    PrintablePlan,
)
from streamforge.quality.registry import METRIC

UNCERTAINTY = 3.0

DECODED_PER_SECOND = 150e6
"""Pixels per CPU second, H.264 and its like; AV1 and 10 bit are slower, MPEG-2 is faster."""

PROVEN_PER_SECOND = 450e6
"""Pixels per CPU second of the decoding that proves what was encoded, or copied."""

AUDIO_SECONDS_PER_SECOND = 0.02
STARTUP_SECONDS = 1.0
"""What every job pays: probing, storing, manifests, and the queue in between."""

SHARE_OF_CEILING = 0.4
"""Of a rendition's highest bit rate, what films need on average at constant quality: from 0.13 to 1.1 seen."""


def predict(source: Source, plan: Plan, cores: int) -> Prediction:
    pictures = 0.0 if source.video is None or not plan.renditions else _pictures(source.video, plan)
    sound = len(plan.audio) * source.duration * AUDIO_SECONDS_PER_SECOND
    searching = plan.per_title.cpu_seconds if plan.per_title else 0.0
    cpu = pictures + sound + searching + STARTUP_SECONDS
    sound_bits = source.duration * sum(rendition.bitrate for rendition in plan.audio)
    bits = _bits_of_pictures(source, plan) + sound_bits
    return Prediction(
        cpu_seconds=round(cpu, 1),
        wall_seconds=round((cpu - STARTUP_SECONDS) / max(1, cores) + STARTUP_SECONDS, 1),
        output_bytes=ceil(bits / 8),
        cores=cores,
        uncertainty=UNCERTAINTY,
    )


def _bits_of_pictures(source: Source, plan: Plan) -> float:
    if plan.is_copy and source.video_required.coding is not None:
        return source.duration * source.video_required.coding.bitrate
    return source.duration * SHARE_OF_CEILING * sum(rendition.max_bitrate for rendition in plan.renditions)


def _pictures(video: VideoSource, plan: Plan) -> float:
    """CPU seconds for all renditions. What is copied is only proved."""
    frames = video.frame_count * min(1.0, plan.max_frame_rate / max(video.frame_rate, 1e-3))
    sizes = [rendition.width * rendition.height for rendition in plan.renditions]
    decoding = video.coded_width * video.coded_height * video.frame_count / DECODED_PER_SECOND
    if plan.is_copy:
        return frames * sum(sizes) / PROVEN_PER_SECOND
    encoding = frames * sum(r.width * r.height / encoding_speed(r) for r in plan.renditions)
    proving = frames * sum(sizes) / PROVEN_PER_SECOND
    return decoding + encoding + proving + _scoring(video, plan, frames)


def encoding_speed(rendition: VideoRendition) -> float:
    return CODECS[rendition.codec].speed(rendition.options["preset"])


def _scoring(video: VideoSource, plan: Plan, frames: float) -> float:
    if not plan.quality.enabled:
        return 0.0
    step = plan.quality.sample_every_frames
    pictures = frames * len(plan.renditions) * (1 if step == 1 else METRIC.price_of_lead / step)
    return pictures * video.width * video.height / METRIC.pixels_per_second


def printable(source: Source, plan: Plan, cores: int) -> PrintablePlan:
    lengths = [(source.duration if chunk.end is None else chunk.end) - chunk.start for chunk in plan.chunks]
    return PrintablePlan(
        source=source.without_key_frames(),
        renditions=[
            PlannedRendition(
                name=rendition.name,
                width=rendition.width,
                height=rendition.height,
                codec=rendition.codec,
                max_bitrate=rendition.max_bitrate,
                encoder=rendition.encoder,
                options=rendition.options,
            )
            for rendition in plan.renditions
        ],
        audio=[
            PlannedAudio(
                name=rendition.name,
                codec=rendition.codec,
                bitrate=rendition.bitrate,
                sample_rate=rendition.sample_rate,
                channels=rendition.channels,
                language=rendition.language,
            )
            for rendition in plan.audio
        ],
        chunks=PlannedChunks(
            count=len(plan.chunks),
            first_seconds=round(lengths[0], 3) if lengths else 0,
            longest_seconds=round(max(lengths, default=0), 3),
            starts=[round(chunk.start, 3) for chunk in plan.chunks],
        ),
        quality=plan.quality,
        per_title=plan.per_title,
        prediction=predict(source, plan, cores),
        warnings=plan.warnings,
    )
