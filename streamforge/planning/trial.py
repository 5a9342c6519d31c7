"""A tiny rendition with the real encoder options, to find out at start whether they work."""

from streamforge.contracts.media import VideoRendition
from streamforge.planning.encoders import encoder_for
from streamforge.settings import TranscodeSettings

WIDTH, HEIGHT = 320, 180


def trial_rendition(settings: TranscodeSettings) -> VideoRendition:
    encoder = encoder_for(settings.codec)
    max_bitrate = encoder.max_bitrate(WIDTH, HEIGHT, 25)
    return VideoRendition(
        name="trial",
        width=WIDTH,
        height=HEIGHT,
        codec=settings.codec,
        encoder=encoder.name,
        options=encoder.options(settings.preset, max_bitrate),
        max_bitrate=max_bitrate,
    )
