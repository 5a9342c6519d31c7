"""The one type that all media tasks share."""

from collections.abc import Callable
from typing import Any

Progress = Callable[[dict[str, Any]], None]
"""Called by a task, now and then, with how far it is; crosses to the worker as JSON."""
