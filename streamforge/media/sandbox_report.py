"""What a media child cannot do here, tried by one."""

import os
import socket
from contextlib import suppress

from streamforge.contracts.tasks import CALLS, FILES, SANDBOX, Nothing, Sandbox, SandboxTask
from streamforge.media.process import sandbox
from streamforge.media.process.performing import Tell, performs

LEAKS = "it is in force and does not hold"


@performs(SANDBOX)
def run(_: SandboxTask, __: Tell[Nothing]) -> Sandbox:
    """Whatever is said to be in force is tried: a sandbox that does not hold is none."""
    found = sandbox.IN_FORCE.model_copy(deep=True)
    if found.landlock and _may_look_around():
        found.landlock, found.missing[FILES] = 0, LEAKS
    if found.system_calls and _may_talk():
        found.system_calls, found.missing[CALLS] = False, LEAKS
    return found


def _may_look_around() -> bool:
    with suppress(OSError):
        os.listdir("/")
        return True
    return False


def _may_talk() -> bool:
    with suppress(OSError), socket.socket():
        return True
    return False
