"""Record the histories that test_replay.py replays: `python tests/workflows/record_histories.py`.

Add a case when a new path through the workflow deserves to be kept: what has its history is not recorded again. Never
remove one to make a replay pass: a replay that fails says that jobs that are running now would break. (Until the first
release there are none: the workflow was changed, and all were recorded again, when scoring moved into the encoding.)
"""

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temporalio.client import Client, WorkflowHistory

if TYPE_CHECKING:
    from fakes import Fakes

    from streamforge.contracts.media.source import Source
    from streamforge.errors import StreamForgeError

HERE = Path(__file__).parent
HISTORIES = HERE / "histories"
CANCELLED = "cancelled"
FETCHED = "fetched"
sys.path[:0] = [str(HERE), str(HERE.parent)]


def scrubbed(history: WorkflowHistory) -> str:
    """Without what belongs to the machine that recorded it: stack traces with its paths, its host's name."""

    def scrub(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {key: scrub(item) for key, item in value.items() if key != "stackTrace"}
            return kept | ({"identity": "worker"} if "identity" in kept else {})
        return [scrub(item) for item in value] if isinstance(value, list) else value

    return json.dumps(scrub(history.to_json_dict()), indent=2) + "\n"


async def main() -> None:
    from temporalio.contrib.pydantic import pydantic_data_converter
    from temporalio.testing import WorkflowEnvironment

    from streamforge.temporal.connect import ensure_search_attributes

    binary = str(Path(sys.executable).parent / "temporal")
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=binary, data_converter=pydantic_data_converter
    ) as environment:
        await ensure_search_attributes(environment.client)
        for name, fakes in cases().items():
            path = HISTORIES / f"{name}.json"
            if not path.exists():
                path.write_text(scrubbed(await recorded(environment.client, name, fakes)), encoding="utf-8")


def cases() -> dict[str, "Fakes"]:
    """The jobs that are recorded, by the names of their histories."""
    from fakes import SOURCE, Fakes

    from streamforge.contracts import steps
    from streamforge.contracts.media.source import SubtitleSource
    from streamforge.errors import CannotBeCopied, NotAVideo
    from streamforge.planning.plan import make_plan
    from streamforge.settings import Settings

    def planned(source: "Source" = SOURCE, **settings: Any) -> Fakes:
        plan = make_plan(source, Settings.model_validate({"transcode": {"max_chunk_seconds": 8}} | settings))
        return Fakes(source=source, plan=plan)

    subtitled = SOURCE.model_copy(update={"subtitles": [SubtitleSource(index=2, codec="srt")]})
    found = {
        "completed": Fakes(),
        "low-quality": Fakes(score=10),
        "not-a-video": Fakes(),
        "per-title": planned(per_title={"enabled": True}),
        "copy-fallback": planned(),
        "captions": planned(subtitled, captions={"enabled": True}),
        CANCELLED: planned(),
        FETCHED: Fakes(),
    }
    found["not-a-video"].on(steps.PROBE, raising(NotAVideo("This is a letter.")))
    found["copy-fallback"].on(steps.ENCODE_CHUNK, raising(CannotBeCopied("It is not whole."), times=1))
    found[CANCELLED].on(steps.VALIDATE, until_cancelled)
    return found


def raising(error: "StreamForgeError", times: int = 1_000_000) -> Callable[[object], None]:
    from streamforge.temporal.failures import to_application_error

    left = iter(range(times))

    def hook(_: object) -> None:
        if next(left, None) is not None:
            raise to_application_error(error)

    return hook


async def until_cancelled(_: object) -> None:
    from temporalio import activity

    while True:
        activity.heartbeat()
        await asyncio.sleep(0.05)


async def recorded(client: Client, name: str, fakes: "Fakes") -> WorkflowHistory:
    from fakes import start, working
    from temporalio.client import WorkflowFailureError

    from streamforge.contracts import steps

    async with working(client, fakes):
        handle = await start(client, key=f"{name}.mp4", to_be_fetched=name == FETCHED)
        if name == CANCELLED:
            while steps.VALIDATE.name not in fakes.called():
                await asyncio.sleep(0.05)
            await handle.cancel()
        with suppress(WorkflowFailureError):
            await handle.result()
        return await handle.fetch_history()


if __name__ == "__main__":
    asyncio.run(main())
