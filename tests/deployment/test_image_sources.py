"""What the image is built from, as far as it can be seen without building it; `make image-test` does."""

import re
from pathlib import Path

import yaml

from streamforge import __version__
from streamforge.settings import ServerSettings

DOCKER = Path(__file__).parents[2] / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")


def test_it_is_labelled_with_the_version_of_the_program() -> None:
    assert re.search(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE)[1] == __version__  # type: ignore[index]


def test_it_shows_the_port_that_the_api_listens_on() -> None:
    assert re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE) == [str(ServerSettings().port)]


def test_every_stage_begins_from_the_same_base() -> None:
    assert len(set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))) == 1


def test_all_that_is_copied_gets_past_the_ignore_file() -> None:
    allowed = set(
        re.findall(r"^!(.+)$", (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert set(re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)) == allowed


def test_compose_gives_containers_as_few_rights_as_they_need() -> None:
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for name in ("api", "worker"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
        assert services[name]["tmpfs"]


def test_compose_gives_workers_no_secret_by_which_callers_are_known() -> None:
    """Whoever takes one over could sign a ticket of any administrator, and the address of any stream."""
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert services["api"]["secrets"] == ["access-secret"]
    assert "secrets" not in services["worker"]
    assert not [name for name in services["worker"]["environment"] if "AUTH" in name]
