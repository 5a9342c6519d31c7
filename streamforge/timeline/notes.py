"""What a job says about its source's clock: notes for machines, and a sentence of each kind for people."""

from collections.abc import Iterable, Sequence

from streamforge.contracts.media.timeline import NoteKind, TimelineNote

MOST_NOTES = 100


def from_start(notes: Iterable[TimelineNote], start: float) -> list[TimelineNote]:
    """With times that count from `start`, in seconds of the notes' own clock."""
    moved = [note.model_copy(update={"at": round(max(0.0, note.at - start), 3)}) for note in notes]
    return sorted(moved, key=lambda note: note.at)[:MOST_NOTES]


def warnings_of(notes: Sequence[TimelineNote]) -> list[str]:
    """One sentence for each kind of thing, with the moment of the first."""
    kinds = dict.fromkeys(note.kind for note in notes)
    return [_sentence([note for note in notes if note.kind == kind]) for kind in kinds]


def _sentence(notes: list[TimelineNote]) -> str:
    first = notes[0]
    if first.kind in {NoteKind.OUTPUT_ORDER, NoteKind.UNDECODABLE, NoteKind.UNUSABLE} and first.at == 0:
        return first.text
    more = f" (and {len(notes) - 1} more like this)" if len(notes) > 1 else ""
    return f"At {first.at:.1f} s: {first.text[0].lower()}{first.text[1:]}".removesuffix(".") + f"{more}."
