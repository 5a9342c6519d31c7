"""Does a package of the lock file have a vulnerability that is known? Part of `make lint`.

pip-audit asks the OSV database for each. Where it cannot be reached, nothing is known and that is said; AUDIT=required makes
it a failure. AUDIT_URL is the query address of a mirror.
"""

import json
import os
import subprocess
import sys
from typing import Any

ACCEPTED: dict[str, str] = {}
"""What is known and does not concern us, by its id, with the reason."""

UNREACHABLE = ("requests.exceptions.", "pip_audit._service.interface.ServiceError")
"""How pip-audit's last words begin where the service is not there or out of order. Others are a fault of ours."""


def command(lock: str) -> list[str]:
    options = ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "--timeout", "5", "--format", "json"]
    service = ["--vulnerability-service", "osv"]
    mirror = ["--osv-url", os.environ["AUDIT_URL"]] if "AUDIT_URL" in os.environ else []
    accepted = [option for known in ACCEPTED for option in ("--ignore-vuln", known)]
    return [sys.executable, "-m", "pip_audit", "--requirement", lock, *options, *service, *mirror, *accepted]


class Unreachable(Exception):
    """Nobody answered, or not as one who knows."""


def audit(lock: str) -> list[dict[str, Any]]:
    """The packages and what is known of each."""
    asked = subprocess.run(command(lock), capture_output=True, encoding="utf-8", check=False)  # noqa: S603 - a list, no shell
    try:
        packages: list[dict[str, Any]] = json.loads(asked.stdout)["dependencies"]
    except ValueError as error:
        said = (asked.stderr.strip().splitlines() or [f"pip-audit ended with {asked.returncode}"])[-1]
        if not said.startswith(UNREACHABLE):
            raise SystemExit(asked.stderr) from error
        raise Unreachable(said) from error
    return packages


def main(lock: str = "requirements.lock") -> int:
    try:
        packages = audit(lock)
    except Unreachable as error:
        print(f"NOT AUDITED: the packages of {lock} were not compared with what is known: {error}")
        return os.environ.get("AUDIT") == "required"
    known = [(each, found) for each in packages for found in each.get("vulns", [])]
    for each, found in known:
        better = ", ".join(found["fix_versions"]) or "no version yet"
        print(f"{each['name']} {each['version']}: {found['id']}, put right in {better}")
    unknown = [each["name"] for each in packages if "skip_reason" in each]
    if unknown:
        print(f"NOT AUDITED: {', '.join(unknown)}")
    print(f"{len(packages) - len(unknown)} packages compared with what is known: {len(known)} vulnerabilities")
    return bool(known)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
