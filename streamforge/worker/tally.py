"""How often an activity has failed of which cause. Temporal counts attempts, whatever ended them: after three waits for
the store the first crash would be the fourth, and final."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityOutboundInterceptor

_running: ContextVar["Tally"] = ContextVar("tally")


class Tally:
    """Of the activity that runs in this context. It travels from attempt to attempt behind the checkpoint, in what a
    heartbeat tells."""

    def __init__(self) -> None:
        checkpoint, failures, *_ = (*activity.info().heartbeat_details, None, None)
        self._checkpoint: Any = checkpoint
        self._failures: Mapping[str, int] = failures or {}
        _running.set(self)

    def count(self, code: str) -> int:
        """One more failure of this cause: the how many'th it is."""
        times = self._failures.get(code, 0) + 1
        self._failures = {**self._failures, code: times}
        activity.heartbeat(*self._checkpoint_as_told())
        return times

    def behind(self, details: tuple[Any, ...]) -> tuple[Any, ...]:
        """What a heartbeat tells, with what goes along."""
        self._checkpoint = details[0] if details else None
        return (self._checkpoint, self._failures) if self._failures else details

    def _checkpoint_as_told(self) -> tuple[Any, ...]:
        return () if self._checkpoint is None else (self._checkpoint,)


class TallyHeartbeats(ActivityOutboundInterceptor):
    def heartbeat(self, *details: Any) -> None:
        tally = _running.get(None)
        super().heartbeat(*(details if tally is None else tally.behind(details)))
