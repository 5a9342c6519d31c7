"""Between whom the time of workers is shared out: Temporal's fairness keys. Of what waits with the same priority in a task
queue, each key has its turn, however much of it waits."""

import hashlib

LONGEST_KEY_BYTES = 64
"""Temporal's own limit."""
FIRST = "first:"


def share_of(owner: str) -> str:
    """That of an owner, by name where it is short enough; people read it in Temporal's web UI."""
    if len(f"{FIRST}{owner}".encode()) <= LONGEST_KEY_BYTES:
        return owner
    return f"sha256:{hashlib.sha256(owner.encode()).hexdigest()[:40]}"


def share_of_first_parts(share: str | None) -> str | None:
    """What a viewer waits for does not stand behind the other parts of the same owner. None where a job has no share: one
    that began before there were any."""
    return f"{FIRST}{share}" if share else None
