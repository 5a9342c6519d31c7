"""Record what this version stores, for the versions after it: `python tests/stored/record_shape.py NAME`, at each release.

Writes shapes/NAME.json: the rows of a job and its events, its work records and receipt, and what passed between its
workflow and its activities. Never record one again: it says what is out there.
"""

import asyncio
import base64
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "pipeline")]

TABLES = ("owners", "batches", "jobs", "progress_events", "part_progress")


async def main(name: str) -> None:
    from clips import Clips
    from factories import run_sql
    from serving import serving
    from system import System

    from streamforge.embedded.postgres import EmbeddedPostgres
    from streamforge.embedded.temporal import EmbeddedTemporal
    from streamforge.observability.logs import configure_logging
    from streamforge.settings import LogSettings, Settings
    from streamforge.storage.local import LocalStorage
    from streamforge.worker.run import worker

    configure_logging(Settings(log=LogSettings(level="warning")), "recording")
    delete = LocalStorage.delete

    async def keep_work(self: LocalStorage, prefix: str, check: Callable[[], None] | None = None) -> int:
        return 0 if prefix.startswith("work/") else await delete(self, prefix, check)

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        postgres, temporal = EmbeddedPostgres(root / "pg"), EmbeddedTemporal(root / "temporal")
        try:
            dsn, address = await postgres.start(), await temporal.start()
            settings = Settings.model_validate(
                {
                    "data_dir": root / "data",
                    "server": {"port": 0},
                    "transcode": {"presets": {"h264": "ultrafast"}},
                    "database": {"dsn": dsn},
                    "temporal": {"address": address},
                }
            )
            with patch.object(LocalStorage, "delete", keep_work):
                async with serving(settings) as api, worker(settings) as client:
                    system = System(api, client)
                    finished = await system.process(Clips(root).small, metadata='{"a": [1]}')
                    history = (await (await system.workflow(finished.id)).fetch_history()).to_json_dict()
            rows = {table: await run_sql(dsn, f"SELECT row_to_json(t)::text FROM {table} AS t") for table in TABLES}
            migrations = await run_sql(dsn, "SELECT name FROM schema_migrations ORDER BY name")
        finally:
            await temporal.stop()
            await postgres.stop()
        store = root / "data" / "storage"
        work = store / "work" / finished.id
        result = store / "output" / finished.id / "result.json"
        shape = {
            "job_id": finished.id,
            "migrations": [row["name"] for row in migrations],
            "rows": {table: [json.loads(row[0]) for row in found] for table, found in rows.items()},
            "work": {path.name: json.loads(path.read_bytes()) for path in sorted(work.glob("*.json"))},
            "result": json.loads(result.read_bytes()),
            **_payloads(history),
        }
    text = json.dumps(shape, indent=1, ensure_ascii=False) + "\n"
    (HERE / "shapes" / f"{name}.json").write_text(text, encoding="utf-8")


def _payloads(history: dict[str, Any]) -> dict[str, Any]:
    """The input of the workflow, and what went into and came out of each activity."""
    activities: dict[str, dict[str, Any]] = {}
    start = None
    for event in history["events"]:
        if started := event.get("workflowExecutionStartedEventAttributes"):
            start = _decoded(started["input"])
        if scheduled := event.get("activityTaskScheduledEventAttributes"):
            activities[event["eventId"]] = {
                "activity": scheduled["activityType"]["name"], "input": _decoded(scheduled["input"]), "result": None,
            }  # fmt: skip
        if completed := event.get("activityTaskCompletedEventAttributes"):
            activities[completed["scheduledEventId"]]["result"] = _decoded(completed.get("result"))
    return {"input": start, "activities": list(activities.values())}


def _decoded(payloads: dict[str, Any] | None) -> Any:
    data = payloads["payloads"][0].get("data") if payloads else None
    return json.loads(base64.b64decode(data)) if data else None


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
