"""What the image is made of, as a CycloneDX document: `make sbom`.

cyclonedx-bom reads the image's lock file. Its hashes are those of the files that pip may take; licences and who needs whom
come from the packages as they are installed here, which the lock pins. The same lock gives the same bytes: no time, no
random number, no address of where packages came from, no path of this machine.
"""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = "docker/requirements.lock"
CLASSIFIED = "License :: OSI Approved :: "

Document = dict[str, Any]


def of_the_lock() -> Document:
    options = [
        "--pyproject",
        "pyproject.toml",
        "--output-reproducible",
        "--short-PURLs",
        "--spec-version",
        "1.6",
        "--no-validate",
    ]
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", LOCK, *options]
    made = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True)  # noqa: S603 - a list, no shell
    document: Document = json.loads(made.stdout)
    return document


def installed(component: Document) -> importlib.metadata.Distribution | None:
    """None where another platform or another Python needs the package, or needs it in this version."""
    try:
        found = importlib.metadata.distribution(component["name"])
    except importlib.metadata.PackageNotFoundError:
        return None
    return found if found.version == component["version"] else None


def licences(package: importlib.metadata.Distribution) -> list[Document]:
    told = package.metadata
    classified = [
        each.removeprefix(CLASSIFIED) for each in told.get_all("Classifier", []) if each.startswith(CLASSIFIED)
    ]
    fields = [told[field] for field in ("License-Expression", "License") if field in told]
    named = next(filter(None, fields), " AND ".join(classified))
    if not named or "\n" in named:
        return []
    licence = LicenseFactory().make_from_string(named)
    if isinstance(licence, DisjunctiveLicense):
        return [{"license": {"id": licence.id} if licence.id else {"name": licence.name}}]
    return [{"expression": licence.value}]


def needs(requirements: list[str]) -> set[str]:
    """Names of the packages that are needed here without any extra."""
    parsed = [Requirement(each) for each in requirements]
    return {
        canonicalize_name(each.name) for each in parsed if each.marker is None or each.marker.evaluate({"extra": ""})
    }


def described(component: Document) -> Document:
    hashes = [one for reference in component.get("externalReferences", []) for one in reference.get("hashes", [])]
    # The address of a file is for each machine to say; the format wants one, and the package's own name is one.
    files = {"type": "distribution", "url": component["purl"], "hashes": hashes}
    package = installed(component)
    kept = {key: component[key] for key in ("name", "version", "purl", "type")}
    return {
        "bom-ref": component["purl"],
        **kept,
        **({"licenses": found} if package and (found := licences(package)) else {}),
        "externalReferences": [files],
    }


def dependencies(root: str, components: list[Document]) -> list[Document]:
    by_name: dict[str, list[str]] = {}
    for each in components:
        by_name.setdefault(each["name"], []).append(each["purl"])

    def of(ref: str, requirements: list[str]) -> Document:
        return {"ref": ref, "dependsOn": sorted(purl for name in needs(requirements) for purl in by_name.get(name, []))}

    packages = [(each["purl"], installed(each)) for each in components]
    graph = [of(purl, package.requires or []) if package else {"ref": purl} for purl, package in packages]
    return [of(root, importlib.metadata.requires("streamforge") or []), *graph]


def document() -> Document:
    made = of_the_lock()
    components = [described(each) for each in made["components"]]
    metadata = made["metadata"]
    for tool in metadata["tools"]["components"]:
        tool.pop("externalReferences", None)
    root = metadata["component"]["bom-ref"]
    return {**made, "components": components, "dependencies": dependencies(root, components)}


def main(path: str) -> int:
    text = json.dumps(document(), indent=2, sort_keys=True) + "\n"
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SystemExit(f"This is no CycloneDX document: {error}")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")
    print(f"{path}: {text.count('bom-ref') - 1} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
