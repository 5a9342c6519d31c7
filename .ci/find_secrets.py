"""Is there something in the repository of this folder that looks like a secret? Part of `make lint`.

detect-secrets looks into every file that git has or would take. What looks like a secret and is none (a password of the
tests, a hash) stands in .secrets.baseline, as a hash, by file; `--accept` writes there what is found now: look at it first.
What consists of small words only is none either (placeholders of examples and tests); ruff's S105 to S107 look for passwords
in what we ship. A file that had nothing is not looked at again until it changes.
"""

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from detect_secrets.__version__ import VERSION
from detect_secrets.core import baseline
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings

BASELINE = Path(".secrets.baseline")
CLEAN = Path(sys.prefix) / "without-secrets.json"


def files() -> list[str]:
    """What git has or would take."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, capture_output=True, encoding="utf-8", check=True)  # noqa: S603 - a constant
    return sorted({name for name in listed.stdout.split("\0") if name and Path(name).is_file()})


def scan(configuration: dict[str, Any], name: str) -> list[dict[str, Any]]:
    with transient_settings(configuration):
        found = SecretsCollection()
        found.scan_file(name)
        return [secret.json() for _, secret in found]


def fingerprint(configuration: dict[str, Any], name: str) -> str:
    told = json.dumps([VERSION, configuration, name]).encode()
    return hashlib.sha256(told + Path(name).read_bytes()).hexdigest()


def read_clean() -> set[str]:
    try:
        return set(json.loads(CLEAN.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return set()


def scan_all(configuration: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What is found, by file. Files are shared out to all cores: 600 of them take one core 13 s."""
    prints = {name: fingerprint(configuration, name) for name in files()}
    clean = read_clean()
    waiting = [name for name, print_ in prints.items() if print_ not in clean]
    with ProcessPoolExecutor() as pool:
        found = dict(zip(waiting, pool.map(scan, [configuration] * len(waiting), waiting, chunksize=16), strict=True))
    CLEAN.write_text(json.dumps([print_ for name, print_ in prints.items() if not found.get(name)]), encoding="utf-8")
    return {name: secrets for name, secrets in found.items() if secrets}


def accept(accepted: dict[str, Any], found: dict[str, list[dict[str, Any]]]) -> None:
    results = SecretsCollection.load_from_baseline({"results": found})
    for _, secret in results:
        secret.is_secret = False
    with transient_settings(accepted):
        output = baseline.format_for_output(results, is_slim_mode=True)
    BASELINE.write_text(json.dumps(output, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    accepted = baseline.load_from_file(str(BASELINE))
    configuration = {key: accepted[key] for key in ("plugins_used", "filters_used")}
    found = scan_all(configuration)
    if "--accept" in sys.argv[1:]:
        accept(accepted, found)
        return 0
    new = SecretsCollection.load_from_baseline({"results": found}) - SecretsCollection.load_from_baseline(accepted)
    for name, secret in new:
        print(f"{name}:{secret.line_number}: looks like a secret: {secret.type}")
    if new:
        print("Take it out; it is in git's history once it was committed, so change it where it opens anything.")
        print("Where it is none: python .ci/find_secrets.py --accept")
    return bool(new)


if __name__ == "__main__":
    sys.exit(main())
