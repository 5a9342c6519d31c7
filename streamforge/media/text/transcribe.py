"""Captions from the sound: faster-whisper behind Silero's voice detection, so that silence and music say nothing.

faster_whisper is imported when a transcription begins and nowhere else: the zygote and the API never load it.
"""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from streamforge.contracts.media.encoded import Text, TextTrack
from streamforge.contracts.media.plan import Transcription
from streamforge.contracts.tasks import TRANSCRIBE, Listened, TranscribeTask
from streamforge.errors import CaptionsUnavailable
from streamforge.media.process.performing import Tell, performs
from streamforge.media.sound.speech import RATE, read_speech, write_speech
from streamforge.media.text.subtitles import write_track
from streamforge.media.worker.capabilities import cores
from streamforge.media.worker.speech import not_here
from streamforge.planning.text.cues import Phrase, Word, believable, cues
from streamforge.planning.text.languages import language_tag
from streamforge.planning.text.tracks import caption_label

if TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from numpy.typing import NDArray

NICENESS = 10
"""On top of what every media child has: captions take what the encoders leave."""

WINDOW_SECONDS = 600
QUIET_WITHIN_SECONDS = 30
"""A window of the film is cut at the quietest moment of its last half minute, so that no word is cut."""

QUIET = RATE // 10
"""Samples of a moment."""

PULSE_SECONDS = 5.0
"""A large model on a busy CPU works on one passage for minutes; meanwhile it is said that it works."""

DETECTION_PASSAGES = 5
SURE_OF_LANGUAGE = 0.8
"""Passages of 30 s of speech vote for the language, unless one of them is this sure."""

TEMPERATURES = [0.0, 0.2, 0.4]
"""Whisper's own way out of loops; higher ones are for those who prefer a guess to nothing."""

NO_SPEECH_FOUND = "No speech was found in the sound, so there are no captions."

NEEDED_FILES = ("model.bin", "config.json", "tokenizer.json")
"""Without its tokenizer, faster-whisper would fetch one."""


@performs(TRANSCRIBE)
def run(task: TranscribeTask, on_progress: Tell[Listened]) -> Text:
    """One track, or none where nobody speaks. Raises CaptionsUnavailable when the model is not here or cannot do it."""
    os.nice(NICENESS)
    with Pulse(on_progress, Listened(phase="extracting_audio", progress=0.0)):  # A large model takes its time to load.
        model = _load(task.transcription)
    language = _spoken_code(task.transcription.language, model)
    speech = task.target / "speech.s16"
    total = write_speech(task.path, task.source, task.transcription.stream_index, speech, on_progress)
    with Pulse(on_progress, Listened(phase="transcribing", progress=0.0)) as pulse:
        heard = _Listener(model, language, pulse)
        phrases = believable(heard.phrases(speech, total))
    speech.unlink()
    found = cues(word for phrase in phrases for word in phrase.words if word.start < task.source.duration)
    if not found:
        return Text(warnings=[NO_SPEECH_FOUND])
    tag = language_tag(task.transcription.language or heard.language)
    track = TextTrack(
        name=task.transcription.name,
        label=caption_label(tag),
        language=tag,
        generated=True,
        cues=len(found),
        size_bytes=0,
    )
    return Text(tracks=[write_track(task.target, found, track)])


class Pulse:
    """Tells the latest progress at once and again and again, from a thread of its own."""

    def __init__(self, on_progress: Tell[Listened], told: Listened) -> None:
        self._on_progress = on_progress
        self._told = told
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._report()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def tell(self, progress: float, language: str | None) -> None:
        self._told = self._told.model_copy(update={"progress": round(progress, 4), "language": language})
        self._report()

    def _beat(self) -> None:
        while not self._ended.wait(PULSE_SECONDS):
            self._report()

    def _report(self) -> None:
        with self._lock:
            self._on_progress(self._told)


class _Listener:
    """`language` is Whisper's code, found out where speech begins when it is not given."""

    def __init__(self, model: "WhisperModel", language: str | None, pulse: Pulse) -> None:
        self._model = model
        self._pulse = pulse
        self.language = language

    def phrases(self, speech: Path, total: int) -> Iterator[Phrase]:
        at = 0
        while at < total:
            samples = read_speech(speech, at, min(total, at + WINDOW_SECONDS * RATE))
            if at + len(samples) < total:
                samples = samples[: _quietest(samples)]
            for phrase in self._window(samples, at / RATE):
                self._pulse.tell(min(1.0, phrase.words[-1].end * RATE / total), self.language)
                yield phrase
            at += len(samples)
            self._pulse.tell(at / total, self.language)

    def _window(self, samples: "NDArray[np.float32]", offset: float) -> Iterator[Phrase]:
        from faster_whisper.vad import VadOptions, collect_chunks, get_speech_timestamps  # noqa: PLC0415

        voice = VadOptions(min_speech_duration_ms=250, min_silence_duration_ms=1000)
        spoken = get_speech_timestamps(samples, voice)
        if not spoken:
            return
        if self.language is None:
            pieces, _ = collect_chunks(samples, spoken)
            self.language, _, _ = self._model.detect_language(
                np.concatenate(pieces),
                language_detection_segments=DETECTION_PASSAGES,
                language_detection_threshold=SURE_OF_LANGUAGE,
            )
        segments, _ = self._model.transcribe(
            samples,
            language=self.language,
            temperature=TEMPERATURES,
            condition_on_previous_text=False,  # Else one invented phrase makes the next one.
            word_timestamps=True,
            hallucination_silence_threshold=2,
            vad_filter=True,
            vad_parameters=voice,
        )
        for segment in segments:
            words = [
                Word(float(word.start) + offset, float(word.end) + offset, word.word) for word in segment.words or []
            ]
            if words:
                yield Phrase(words, segment.no_speech_prob, segment.avg_logprob, segment.compression_ratio)


def _quietest(samples: "NDArray[np.float32]") -> int:
    """Where, in the last part of the samples, it is quietest."""
    first = max(0, len(samples) - QUIET_WITHIN_SECONDS * RATE)
    tail = samples[first:]
    moments = tail[: len(tail) // QUIET * QUIET].reshape(-1, QUIET)
    return first + int(np.argmin(np.square(moments).mean(axis=1))) * QUIET + QUIET // 2


# ── the model ───────────────────────────────────────────────────────────────────────────────────────────────────────
def _load(wanted: Transcription) -> "WhisperModel":
    """int8 on a CPU, float16 on a GPU, unless something else is asked for. A GPU that does not work is none."""
    import ctranslate2  # noqa: PLC0415

    ctranslate2.set_random_seed(1)  # The same sound gives the same words.
    folder = _model_folder(wanted)
    device = wanted.device
    if device == "auto":
        device = "cuda" if ctranslate2.get_cuda_device_count() > 0 else "cpu"
    try:
        return _loaded(folder, device, wanted.compute_type)
    except CaptionsUnavailable:
        if wanted.device != "auto" or device == "cpu":
            raise
        return _loaded(folder, "cpu", wanted.compute_type)


def _loaded(folder: str, device: str, compute_type: str) -> "WhisperModel":
    """Proven by one second of silence: what a GPU lacks is only noticed when it is put to work."""
    from faster_whisper import WhisperModel  # noqa: PLC0415

    if compute_type == "auto":
        compute_type = "int8" if device == "cpu" else "float16"
    try:
        model = WhisperModel(folder, device=device, compute_type=compute_type, cpu_threads=cores())
        model.encode(model.feature_extractor(np.zeros(RATE, np.float32)))
    except (RuntimeError, ValueError) as error:
        raise CaptionsUnavailable(
            f"The speech model cannot be used on {device} with {compute_type}.",
            debug=str(error),
        ) from error

    return model


def _model_folder(wanted: Transcription) -> str:
    """A folder with everything in it; the worker has found it."""
    folder = Path(wanted.model)
    missing = [name for name in NEEDED_FILES if not (folder / name).is_file()]
    if missing:
        raise not_here(wanted.model, f"{folder} has no {', '.join(missing)}")
    return str(folder)


def _spoken_code(tag: str | None, model: "WhisperModel") -> str | None:
    """Whisper's code of a language tag. Raises CaptionsUnavailable for a language that the model does not know."""
    if tag is None:
        return None if model.model.is_multilingual else "en"
    code = tag.split("-")[0].lower()
    code = {"jv": "jw", "nb": "no", "fil": "tl"}.get(code, code)
    if code not in model.supported_languages:
        raise CaptionsUnavailable(f"The speech model does not know the language {tag}.")
    return code
