"""Record the histories that test_replay.py replays: `python tests/workflows/record_histories.py`.

Run it when a new path through the workflow deserves to be kept. Never re-record to make a replay pass: a replay that
fails says that jobs that are running now would break. (Until the first release there are none: the workflow was changed,
and all were recorded again, when scoring moved into the encoding.)
"""

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory

HERE = Path(__file__).parent
HISTORIES = HERE / "histories"
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
    from fakes import Fakes, start, working
    from temporalio.client import WorkflowFailureError
    from temporalio.contrib.pydantic import pydantic_data_converter
    from temporalio.testing import WorkflowEnvironment

    from streamforge.contracts import steps
    from streamforge.errors import NotAVideo
    from streamforge.temporal.connect import ensure_search_attributes
    from streamforge.temporal.failures import to_application_error

    def refuse(_: object) -> None:
        raise to_application_error(NotAVideo("This is a letter."))

    binary = str(Path(sys.executable).parent / "temporal")
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=binary, data_converter=pydantic_data_converter
    ) as environment:
        await ensure_search_attributes(environment.client)
        for name, fakes in {"completed": Fakes(), "low-quality": Fakes(score=10), "not-a-video": Fakes()}.items():
            if name == "not-a-video":
                fakes.on(steps.PROBE, refuse)
            async with working(environment.client, fakes):
                handle = await start(environment.client, key=f"{name}.mp4")
                with suppress(WorkflowFailureError):
                    await handle.result()
                HISTORIES.mkdir(exist_ok=True)
                (HISTORIES / f"{name}.json").write_text(scrubbed(await handle.fetch_history()))


if __name__ == "__main__":
    asyncio.run(main())
