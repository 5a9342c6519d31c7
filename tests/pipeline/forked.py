"""A worker's media children without a zygote of their own."""

import socket
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import BaseModel

from streamforge.contracts import tasks
from streamforge.contracts.tasks import Task
from streamforge.media.worker.children import MediaChildren

_tried: dict[str, Any] = {}
"""What came of each trial of an encoder: nothing else comes of it a second time."""


class Forked(MediaChildren):
    """Forks from the zygote of others, which stays, within limits of its own."""

    others: ClassVar[MediaChildren]

    async def __aexit__(self, *_: object) -> None:
        pass

    async def run(
        self, task: Task[Any, Any, Any], task_input: BaseModel, on_progress: Callable[[Any], None] | None = None
    ) -> Any:
        if task is not tasks.TRIAL:
            return await super().run(task, task_input, on_progress)
        asked = task_input.model_dump_json()
        if asked not in _tried:
            _tried[asked] = await super().run(task, task_input)
        return _tried[asked]

    async def _ensure_zygote(self) -> socket.socket:
        return await self.others._ensure_zygote()
