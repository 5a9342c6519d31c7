"""From words that were heard to captions that can be read: what is believed, and where a cue begins and ends."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from unicodedata import category

from streamforge.planning.text.webvtt import Cue, escaped, timestamp

LINE = 42
"""Characters; two such lines are what a viewer reads at a glance."""

SHORTEST_SECONDS = 0.8
LONGEST_SECONDS = 7.0
PAUSE_SECONDS = 0.7
"""A silence this long ends a cue."""

SENTENCE_SECONDS = 1.5
"""A sentence ends a cue that has been there so long; "Yes." does not end one."""

PUNCTUATION_IS_WORTH = 12
"""Characters by which two lines may differ more when the first one ends with a comma."""

SENTENCE_ENDS = tuple(".?!…。？！।؟")
CLAUSE_ENDS = (*SENTENCE_ENDS, *",;:–—、，；：،")
CONTROL = {"Cc", "Cs"}
CLOSING = "\"'”’»)]」』"

# ── what is believed ────────────────────────────────────────────────────────────────────────────────────────────────
NO_SPEECH = 0.6
UNSURE = -0.7
GUESSED = -1.2
"""Mean log probabilities of the tokens: with a doubt that anybody speaks at all, and without one."""

REPETITIVE = 2.4
"""Compression ratio from which Whisper itself calls its text a loop."""

OFTEN = 3
"""A phrase that comes so many times in a row was said once at most."""

_DESCRIBED = re.compile(r"[\[(*♪].*[\])*♪]", re.DOTALL)


@dataclass(frozen=True)
class Word:
    """Seconds on the video's timeline. `text` begins with a space where the language puts one."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Phrase:
    """What the model heard in one go, and how sure it is."""

    words: Sequence[Word]
    no_speech: float
    log_probability: float
    compression_ratio: float

    @property
    def text(self) -> str:
        return "".join(word.text for word in self.words).strip()


def believable(phrases: Iterable[Phrase]) -> list[Phrase]:
    """Without what the model makes of music and noise: doubtful, looping, or no words at all."""
    credible = [phrase for phrase in phrases if _is_credible(phrase)]
    runs = (list(run) for _, run in groupby(credible, key=_letters))
    return [phrase for run in runs for phrase in (run[:1] if len(run) >= OFTEN else run)]


def _is_credible(phrase: Phrase) -> bool:
    return (
        any(char.isalnum() for char in phrase.text)
        and not _DESCRIBED.fullmatch(phrase.text)
        and not (phrase.no_speech > NO_SPEECH and phrase.log_probability < UNSURE)
        and phrase.log_probability > GUESSED
        and phrase.compression_ratio < REPETITIVE
    )


def _letters(phrase: Phrase) -> str:
    return "".join(char for char in phrase.text.casefold() if char.isalnum())


# ── cues ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def cues(words: Iterable[Word]) -> list[Cue]:
    """At most two lines of 42 characters and 7 seconds each, at least 0.8 seconds, none over another; every word that
    is not the first one of its cue has a timestamp tag."""
    return list(_timed(list(_grouped(_tidied(words)))))


def _tidied(words: Iterable[Word]) -> Iterator[Word]:
    """In the order of time, none longer than a line or a cue."""
    clock = 0.0
    for word in words:
        start = max(word.start, clock)
        end = min(max(word.end, start), start + LONGEST_SECONDS)
        clock = start
        text = "".join(" " if category(char) in CONTROL else char for char in word.text)
        for piece in _pieces(text):
            yield Word(start, end, piece)


def _pieces(text: str) -> Iterator[str]:
    """A "word" that no line could hold is cut where it must be."""
    text = (" " if text.startswith(" ") else "") + " ".join(text.split())
    while len(text.strip()) > LINE:
        cut = len(text) - len(text.lstrip()) + LINE
        yield text[:cut]
        text = text[cut:]
    if text.strip():
        yield text


def _grouped(words: Iterable[Word]) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in words:
        if group and word.start - group[-1].end >= PAUSE_SECONDS:
            yield group
            group = []
        while group and not _fits([*group, word]):
            cut = _best_cut(group)
            yield group[:cut]
            group = group[cut:]
        group.append(word)
        if _ends(word, SENTENCE_ENDS) and word.end - group[0].start >= SENTENCE_SECONDS:
            yield group
            group = []
    if group:
        yield group


def _fits(group: list[Word]) -> bool:
    return group[-1].end - group[0].start <= LONGEST_SECONDS and _lines(group) is not None


def _best_cut(group: list[Word]) -> int:
    """Behind the last clause that ends in the second half; else everything."""
    clauses = [n for n in range(len(group), len(group) // 2, -1) if _ends(group[n - 1], CLAUSE_ENDS)]
    return clauses[0] if clauses else len(group)


def _ends(word: Word, marks: tuple[str, ...]) -> bool:
    return word.text.rstrip().rstrip(CLOSING).endswith(marks)


def _lines(group: list[Word]) -> list[list[Word]] | None:
    """One line, or two as even as they can be, sooner broken at a comma. None where two do not hold it."""
    if _length(group) <= LINE:
        return [group]
    halves = [(group[:n], group[n:]) for n in range(1, len(group))]
    possible = [[first, second] for first, second in halves if max(_length(first), _length(second)) <= LINE]
    return min(possible, key=_unevenness, default=None)


def _unevenness(lines: list[list[Word]]) -> int:
    first, second = lines
    difference = abs(_length(first) - _length(second))
    return difference - PUNCTUATION_IS_WORTH if _ends(first[-1], CLAUSE_ENDS) else difference


def _length(words: list[Word]) -> int:
    return len("".join(word.text for word in words).strip())


def _timed(groups: list[list[Word]]) -> Iterator[Cue]:
    """A cue that would be too short to be read stays on, if need be into the time of the next one, which waits for it."""
    clock = 0
    for group, following in zip_longest(groups, groups[1:]):
        start = max(_ms(group[0].start), clock)
        latest = start + _ms(LONGEST_SECONDS)
        if following is not None:
            latest = min(latest, _ms(following[0].start))
        end = max(min(_ms(group[-1].end), latest), start + _ms(SHORTEST_SECONDS))
        clock = end
        yield Cue(start, end, _text(_lines(group) or [group], start, end))


def _text(lines: list[list[Word]], start: int, end: int) -> str:
    written: list[str] = []
    told = start
    for line in lines:
        text = ""
        for position, word in enumerate(line):
            spoken = _ms(word.start)
            tag = f"<{timestamp(spoken)}>" if told < spoken < end else ""
            told = spoken if tag else told
            plain = escaped(word.text.strip())
            space = " " if position and word.text.startswith(" ") else ""
            text += f"{space}{tag}{plain}"
        written.append(text)
    return "\n".join(written)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
