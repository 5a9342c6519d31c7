"""What x264 and x265 have in common."""

from typing import Annotated, Literal

from pydantic import Field

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
]
Crf = Annotated[float, Field(ge=0, le=51)]
SearchedCrf = Annotated[float, Field(ge=1, le=51)]
"""0 is lossless, which the curves of a search do not reach."""

NO_CAPTIONS = {"a53cc": "0"}
"""Else encoders pass on what a source's pictures hold of CEA-608 (ATSC A/53), of which HLS says that there is none: it has
become WebVTT. SVT-AV1 passes nothing on."""
