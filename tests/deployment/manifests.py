"""The manifests in docker/kubernetes, as they are written."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "docker" / "kubernetes"

Manifest = dict[str, Any]


def read(name: str) -> Manifest:
    document: Manifest = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return document


KUSTOMIZATION = read("kustomization.yaml")


@cache
def manifests() -> list[Manifest]:
    texts = [(FOLDER / name).read_text(encoding="utf-8") for name in KUSTOMIZATION["resources"]]
    return [manifest for text in texts for manifest in yaml.safe_load_all(text)]


def of_kind(kind: str) -> dict[str, Manifest]:
    """By name."""
    return {each["metadata"]["name"]: each for each in manifests() if each["kind"] == kind}


def pods() -> dict[str, Manifest]:
    """What each Deployment makes pods of, by the Deployment's name."""
    return {name: each["spec"]["template"] for name, each in of_kind("Deployment").items()}


def containers() -> Iterator[tuple[str, Manifest]]:
    """With the name of their Deployment."""
    for name, pod in pods().items():
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            yield name, container


def environment() -> dict[str, str]:
    """What settings.env gives every container."""
    lines = (FOLDER / "settings.env").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value for name, _, value in pairs}


def selected(selector: dict[str, str]) -> set[str]:
    """Names of the Deployments whose pods have these labels."""
    return {name for name, pod in pods().items() if selector.items() <= pod["metadata"]["labels"].items()}
