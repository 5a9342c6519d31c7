"""What becomes of a measurement whose ffmpeg gives up, as it does on a full disk or where it may not start."""

from pathlib import Path

import pytest
from av import VideoFrame

from streamforge.errors import OutputInvalid
from streamforge.media.encoding.scaling import Output, Size
from streamforge.media.measuring import scorer
from streamforge.media.measuring.scorer import Scorer
from streamforge.quality.sampling import Sampling

SIZE = Size(176, 144)
GIVES_UP = "#!/bin/sh\necho 'No space left on device' >&2\nexit 1\n"


def test_it_ends_with_the_words_of_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(GIVES_UP)
    program.chmod(0o700)
    monkeypatch.setattr(scorer, "ffmpeg_path", lambda: program)

    with Scorer(SIZE, {"144p": Output(SIZE)}, Sampling(1), tmp_path) as measuring:
        for number in range(40):
            picture = VideoFrame(SIZE.width, SIZE.height, "yuv420p")
            measuring.reference(number, {"sdr": picture})
            measuring.distorted("144p", number, picture)
        with pytest.raises(OutputInvalid) as refused:
            measuring.finish()

    assert refused.value.debug == "No space left on device\n"
