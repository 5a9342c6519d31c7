"""Which workflows there are: those of the modules of this package. Whoever adds a file has added its workflows."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

from temporalio import workflow

import workflows


def all_workflows() -> list[type]:
    return [kind for kind in _classes() if workflow._Definition.from_class(kind) is not None]


def _classes() -> Iterator[type]:
    for module in pkgutil.iter_modules(workflows.__path__, f"{workflows.__name__}."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if kind.__module__ == module.name:
                yield kind
