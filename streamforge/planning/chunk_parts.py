"""How the work of a chunk is shared out, and when viewers are shown more of it."""

from collections.abc import Iterator

from streamforge.contracts.media.plan import Chunk, VideoRendition
from streamforge.planning.ladder import by_codec


def parts_of(chunk: Chunk, renditions: list[VideoRendition]) -> list[list[VideoRendition]]:
    """All renditions of a chunk are one part, with one decoding. Only the first chunk is two: the smallest rendition of
    each codec alone is done in a second whatever the source, and then there is something to play."""
    smallest = [ladder[-1] for ladder in by_codec(renditions)]
    if chunk.index > 0 or len(renditions) == len(smallest):
        return [renditions]
    return [smallest, [rendition for rendition in renditions if rendition not in smallest]]


def weight_of(part: list[VideoRendition], renditions: list[VideoRendition], chunks: int) -> float:
    """Share of a chunk's work, 0–1, by pixels. Where the first chunk is also the only one, its first part finishes a
    whole rendition, and the wire contract has a job half through its transcoding by then (30 %)."""
    if chunks == 1 and len(part) < len(renditions):
        return 0.5
    return sum(r.width * r.height for r in part) / sum(r.width * r.height for r in renditions)


PROMPT_STEPS = 8
GROWTH = 1.1


def publishing_steps(parts: int) -> Iterator[int]:
    """After how many finished parts the growing manifests are written again: each of the first few, then with every
    tenth more. The number of times grows with the logarithm of the film's length, and so does the workflow's history.

    The last part is left out: then the final manifests are written.
    """
    step = 1
    while step < parts:
        yield step
        step = step + 1 if step < PROMPT_STEPS else max(step + 1, int(step * GROWTH))
