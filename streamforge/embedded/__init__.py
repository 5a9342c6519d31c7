"""PostgreSQL and Temporal as child processes, and the supervisor of `streamforge up`.

    child       one child process: its log, its signals, its end when ours comes
    postgres    an embedded PostgreSQL cluster
    temporal    an embedded Temporal server
    endpoints   what a running `up` leaves in DIR/run for `api`, `worker` and the next `up`
    service     `streamforge api` and `streamforge worker`
    printed     what all of them print, in files that do not grow without end
    leftovers   processes whose owner was killed
    supervisor  `up` itself: starts the parts, restarts the crashed, stops all of them

Needs the `embedded` extra, except for `endpoints`.
"""

import importlib.util

from streamforge.errors import MissingPart


def require() -> None:
    """Raises MissingPart where the extra is not installed."""
    if importlib.util.find_spec("psutil") is None:
        raise MissingPart("The embedded parts are missing: `pip install 'streamforge[embedded]'`.")
