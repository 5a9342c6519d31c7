"""Cues that can be read, from words that were heard; and nothing from what was only imagined."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamforge.planning.text.cues import Phrase, Word, believable, cues
from streamforge.planning.text.webvtt import Cue, read_webvtt, webvtt


def spoken(text: str, begin: float = 0, each: float = 0.3) -> list[Word]:
    """One word after the other, without a pause."""
    return [
        Word(begin + number * each, begin + (number + 1) * each, f" {word}") for number, word in enumerate(text.split())
    ]


def shown(cue: Cue) -> list[str]:
    return re.sub(r"<[^>]*>", "", cue.text).split("\n")


def phrase(text: str, *, no_speech: float = 0.1, log_probability: float = -0.3, ratio: float = 1.3) -> Phrase:
    return Phrase(spoken(text), no_speech, log_probability, ratio)


# ── cues ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_sentence_is_a_cue_with_a_tag_for_each_word_but_the_first() -> None:
    (cue,) = cues(spoken("Ask not what you want.", begin=1.23, each=0.5))
    assert (cue.start_ms, cue.end_ms) == (1230, 3730)
    assert cue.text == "Ask <00:00:01.730>not <00:00:02.230>what <00:00:02.730>you <00:00:03.230>want."


def test_cues_break_where_sentences_end() -> None:
    found = cues(spoken("The sun is shining today. Nobody is at home here."))
    assert [shown(cue) for cue in found] == [["The sun is shining today."], ["Nobody is at home here."]]


def test_a_short_answer_stays_with_what_follows() -> None:
    assert len(cues(spoken("Yes. I think so too."))) == 1


def test_cues_break_at_pauses() -> None:
    found = cues([*spoken("and then"), *spoken("nothing happened", begin=2)])
    assert [shown(cue) for cue in found] == [["and then"], ["nothing happened"]]
    assert found[0].end_ms == 800, "stays until it can be read"


def test_two_even_lines() -> None:
    (cue,) = cues(spoken("It was the best of times it was the worst of times", each=0.2))
    assert shown(cue) == ["It was the best of times", "it was the worst of times"]


def test_lines_rather_break_at_a_comma() -> None:
    (cue,) = cues(spoken("When he came home again, the house was empty and cold", each=0.2))
    assert shown(cue)[0] == "When he came home again,"


def test_a_cue_that_is_full_breaks_at_a_clause() -> None:
    text = "There was a man who lived at the very end of the long road, and he had a dog that never barked at anybody"
    found = cues(spoken(text, each=0.15))
    assert shown(found[0])[-1].endswith("road,")


def test_nothing_can_be_smuggled_into_the_markup() -> None:
    (cue,) = cues(spoken("<b>R&D</b> --> <00:00:00.000>"))
    assert shown(cue) == ["&lt;b&gt;R&amp;D&lt;/b&gt; --&gt; &lt;00:00:00.000&gt;"]


def test_languages_without_spaces() -> None:
    words = [Word(number * 0.2, number * 0.2 + 0.2, char) for number, char in enumerate("今日はとても良い天気ですね。")]
    (cue,) = cues(words)
    assert shown(cue) == ["今日はとても良い天気ですね。"]


def test_nobody_speaks() -> None:
    assert cues([]) == []


words = st.lists(
    st.builds(
        lambda start, length, text: Word(start, start + length, text),
        st.floats(0, 60),
        st.floats(-1, 20),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=60).map(lambda text: f" {text}"),
    ),
    max_size=60,
)


@given(words)
def test_whatever_a_model_makes_up_it_stays_readable(heard: list[Word]) -> None:
    found = cues(sorted(heard, key=lambda word: word.start))
    assert read_webvtt(webvtt(found)) == found
    for cue in found:
        assert 800 <= cue.end_ms - cue.start_ms <= 7000
        lines = [line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for line in shown(cue)]
        assert len(lines) <= 2
        assert all(0 < len(line) <= 42 for line in lines)
    for before, after in pairwise(found):
        assert before.end_ms <= after.start_ms


# ── what is believed ────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_is_clearly_said_is_believed() -> None:
    said = [phrase("Good morning."), phrase("Good morning."), phrase("How are you?")]
    assert believable(said) == said


def test_words_in_what_sounds_like_no_speech_are_not() -> None:
    assert believable([phrase("Thank you.", no_speech=0.9, log_probability=-0.8)]) == []


def test_guesses_and_loops_are_not() -> None:
    assert believable([phrase("Mumble", log_probability=-1.4), phrase("la la la la", ratio=3.1)]) == []


def test_descriptions_of_sounds_are_no_words() -> None:
    assert believable([phrase("[Music]"), phrase("♪ ♪"), phrase("(applause)"), phrase("...")]) == []


def test_a_phrase_that_comes_again_and_again_was_said_once() -> None:
    looped = [phrase("Thanks for watching!"), phrase("thanks for watching"), *[phrase("Thanks for watching.")] * 3]
    assert believable([phrase("Hello."), *looped, phrase("Bye.")]) == [phrase("Hello."), looped[0], phrase("Bye.")]
