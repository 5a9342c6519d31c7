"""How a module of media code says which task it performs; the registry finds it by that."""

from collections.abc import Callable
from typing import Any, TypeAlias

from streamforge.contracts.tasks import In, Out, Progress, Task

Tell: TypeAlias = Callable[[Progress], None]
"""Called by a task, now and then, with how far it is; crosses to the worker as JSON."""

Work: TypeAlias = Callable[[In, Tell[Progress]], Out]

MARK = "performed_task"


def performs(task: Task[In, Out, Progress]) -> Callable[[Work[In, Progress, Out]], Work[In, Progress, Out]]:
    """For the function that performs `task`."""

    def marked(work: Work[In, Progress, Out]) -> Work[In, Progress, Out]:
        setattr(work, MARK, task)
        return work

    return marked


def performed_by(work: Any) -> Task[Any, Any, Any] | None:
    found = getattr(work, MARK, None)
    return found if isinstance(found, Task) else None
