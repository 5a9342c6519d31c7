"""What performs the steps: classes of this package, found by their marks and built from the parts of a worker.

A new activity is a class in a file of its own; nothing else has to be told of it.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, TypeVar, get_type_hints

import httpx
from temporalio import activity
from temporalio.client import Client

import activities
from activities.support.gpu_sessions import GpuSessions
from activities.support.memory import MemoryBudget
from activities.support.originals import Originals
from activities.support.scratch import Scratch
from streamforge.contracts import steps
from streamforge.contracts.steps import In, Out, Step
from streamforge.contracts.tasks import Libraries
from streamforge.db.audit import AuditLog
from streamforge.db.chunks import Chunks
from streamforge.db.fetches import Fetches
from streamforge.db.jobs import Jobs
from streamforge.db.webhooks import Deliveries
from streamforge.events.log import EventLog
from streamforge.keys import Keys
from streamforge.media.worker.children import MediaChildren
from streamforge.settings import RetentionSettings, Settings
from streamforge.storage import ResumableStorage

Owner = TypeVar("Owner")
T = TypeVar("T")
Method: TypeAlias = Callable[[Owner, In], Coroutine[Any, Any, Out]]
Activity: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]

MARK = "performed_step"


@dataclass(frozen=True)
class Parts:
    """What activities are built from: each takes those that its fields name."""

    settings: Settings
    storage: ResumableStorage
    events: EventLog
    jobs: Jobs
    chunks: Chunks
    fetches: Fetches
    audit_log: AuditLog
    children: MediaChildren
    libraries: Libraries
    scratch: Scratch
    originals: Originals
    room: MemoryBudget
    keys: Keys
    gpu: GpuSessions
    temporal: Client
    deliveries: Deliveries
    outbound: httpx.AsyncClient

    @property
    def retention(self) -> RetentionSettings:
        return self.settings.retention


def performs(step: Step[In, Out]) -> Callable[[Method[Owner, In, Out]], Method[Owner, In, Out]]:
    """For the method that performs `step`. Raises TypeError where it takes or gives other models than the row says."""

    def marked(method: Method[Owner, In, Out]) -> Method[Owner, In, Out]:
        hints = get_type_hints(method)
        given = hints.pop("return", None)
        if (*hints.values(), given) != (step.takes, step.gives):
            raise TypeError(f"{method.__qualname__} is not {step.takes.__name__} → {step.gives.__name__}.")
        setattr(method, MARK, step)
        return activity.defn(name=step.name)(method)

    return marked


def activities_by_queue(
    performers: Iterable[object], wanted: Sequence[Step[Any, Any]] = steps.ALL
) -> dict[str, list[Activity]]:
    """The activities of each task queue. Raises LookupError where a wanted step is performed by none of `performers` or by
    two, or one by them that is not wanted."""
    found = [(step, method) for performer in performers for step, method in performed_by(performer)]
    names, expected = sorted(step.name for step, _ in found), sorted(step.name for step in wanted)
    if names != expected:
        raise LookupError(f"There are activities for {', '.join(names)}; there should be for {', '.join(expected)}.")
    queues = {step.queue: list[Activity]() for step in wanted}
    for step, method in found:
        queues[step.queue].append(method)
    return queues


def performed_by(performer: object) -> Iterator[tuple[Step[Any, Any], Activity]]:
    """The steps that an instance, or a class, performs."""
    kind = performer if inspect.isclass(performer) else type(performer)
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        if isinstance(step := getattr(method, MARK, None), Step):
            yield step, getattr(performer, name)


def all_activities(parts: Parts) -> list[object]:
    """One of each class in this package that performs a step."""
    return [built(kind, parts) for kind in activity_classes()]


def built(kind: type[T], parts: Parts) -> T:
    """Raises AttributeError for a field that is no part of a worker."""
    return kind(**{field.name: getattr(parts, field.name) for field in fields(kind)})  # type: ignore[arg-type]


def activity_classes() -> Iterator[type[Any]]:
    """Of this package, those that perform a step."""
    for module in pkgutil.iter_modules(activities.__path__, f"{activities.__name__}."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if kind.__module__ == module.name and any(performed_by(kind)):
                yield kind
