"""A lock file as a Python of another version reads it: `python requirements_of_python.py 3.11.2 < requirements.lock`.

pip asks its own version which packages are needed, also for what it downloads for others: what only an older Python needs was not
there when the image was built.
"""

import re
import sys
from collections.abc import Iterable, Iterator

from packaging.markers import Marker

LINE = re.compile(r"(?P<pinned>\S+==\S+) ; (?P<marker>.*?)(?P<goes_on> \\)?\n")


def of(version: str, lines: Iterable[str]) -> Iterator[str]:
    """Without the lines of what it does not need, and without the conditions of the rest."""
    environment = {"python_full_version": version, "python_version": version.rpartition(".")[0]}
    is_needed = True
    for line in lines:
        if not line.startswith((" ", "\t")):
            condition = LINE.fullmatch(line)
            is_needed = condition is None or Marker(condition["marker"]).evaluate(environment)
        if is_needed:
            yield LINE.sub(r"\g<pinned>\g<goes_on>\n", line)


if __name__ == "__main__":
    sys.stdout.writelines(of(sys.argv[1], sys.stdin))
