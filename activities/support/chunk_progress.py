"""What a part of a chunk, or a track of sound, tells while it is encoded: from frames that are really done."""

from typing import Any

from streamforge.contracts.events import JobChange, PartProgress, RenditionProgress
from streamforge.contracts.job import Stage
from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.pipeline import EncodeAudioInput, EncodeChunkInput
from streamforge.contracts.tasks import FramesEncoded
from streamforge.packaging.presentation import seconds
from streamforge.progress.bands import BANDS


class ChunkProgress:
    """Turns the messages of an encoding child into what goes into the log. Never falls back."""

    def __init__(self, work: EncodeChunkInput) -> None:
        self._work = work
        self._frames = {rendition.name: 0 for rendition in work.plan.renditions}

    def at(self, told: FramesEncoded) -> tuple[JobChange, PartProgress]:
        frames, seconds = told.frames, max(1e-3, told.seconds)
        for name, count in frames.items():
            self._frames[name] = max(self._frames[name], min(count, self._work.chunk.expected_frames))
        again = f" ({', '.join(frames)} again, for its quality)" if told.repair else ""
        return self._told({name: round(count / seconds, 1) for name, count in frames.items()}, again)

    def finished(self) -> tuple[JobChange, PartProgress]:
        self._frames = dict.fromkeys(self._frames, self._work.chunk.expected_frames)
        return self._told({})

    def _told(self, fps: dict[str, float], again: str = "") -> tuple[JobChange, PartProgress]:
        work = self._work
        position = f", chunk {work.chunk.index + 1} of {work.chunk_count}" if work.chunk_count > 1 else ""
        change = JobChange(
            stage=Stage.TRANSCODING,
            message=f"{'Copying' if work.plan.is_copy else 'Transcoding'} {', '.join(self._frames)}{position}{again}",
            details={"chunk": work.chunk.index, "renditions": self._details(fps)} if fps else None,
        )
        low, high = BANDS[Stage.TRANSCODING]
        return change, PartProgress(
            part=f"chunk-{work.chunk.index}-{work.plan.renditions[0].name}",
            done=self._done() * work.weight,
            whole=work.total_frames,
            low=low,
            high=high,
            renditions={n: RenditionProgress(frames=count, fps=fps.get(n)) for n, count in self._frames.items()},
        )

    def _done(self) -> float:
        """Frames of the part, each rendition counted by its pixels: that is what the work goes by."""
        pixels = {rendition.name: rendition.width * rendition.height for rendition in self._work.plan.renditions}
        return sum(count * pixels[name] for name, count in self._frames.items()) / sum(pixels.values())

    def _details(self, fps: dict[str, float]) -> dict[str, Any]:
        rate = self._work.source.video_required.frame_rate_up_to(self._work.plan.max_frame_rate)
        return {
            name: {"frames": self._frames[name], "fps": each, "speed": round(each / rate, 2)}
            for name, each in fps.items()
        }


def sound_progress(work: EncodeAudioInput, track: EncodedTrack) -> tuple[JobChange, PartProgress]:
    """Where sound is all there is. Beside pictures it is done long before them, and not worth a word."""
    low, high = BANDS[Stage.TRANSCODING]
    return JobChange(stage=Stage.TRANSCODING, message="Transcoding sound"), PartProgress(
        part=track.name,
        done=min(work.source.duration, seconds(track)),
        whole=work.source.duration * work.track_count,
        low=low,
        high=high,
    )
