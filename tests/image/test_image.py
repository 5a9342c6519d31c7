"""What is in the image and what is not."""

import pytest
from containers import IMAGE, inspect_image, once

from streamforge import __version__

pytestmark = pytest.mark.skipif(not IMAGE, reason="`make image-test` builds the image and runs these")


async def test_it_is_the_program_and_says_its_version() -> None:
    assert await once("--version") == f"streamforge {__version__}\n"


async def test_it_runs_as_nobody_in_particular_and_tells_what_it_is() -> None:
    image = await inspect_image()
    config = image["Config"]
    assert config["User"] == "10001:10001", "a number: Kubernetes cannot tell of a name that it is not root"
    assert config["Entrypoint"] == ["streamforge"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["title"] == "StreamForge"
    assert labels["version"] == __version__
    assert labels["licenses"] == "Apache-2.0"
    assert labels["revision"]
    assert image["Healthcheck"]["Test"][0] == "CMD"
    print(f"\nimage: {image['Size'] / 1e6:.0f} MB, of which {await size_of_parts()} MB are packages and code")


async def size_of_parts() -> str:
    return (await once("-c", "du -smc /opt/venv /app | tail -n 1 | cut -f 1", entrypoint="sh")).strip()


async def test_nothing_that_puts_software_together_is_left_in_it() -> None:
    tools = "gcc cc g++ make ld as pip pip3 git curl wget"
    assert await once("-c", f"for tool in {tools}; do command -v $tool; done; true", entrypoint="sh") == ""
    caches = "/var/lib/apt/lists /var/cache/apt/archives /root/.cache /tmp"
    assert await once("-c", f"find {caches} -type f -size +0 2> /dev/null; true", entrypoint="sh") == ""


async def test_what_pip_was_told_while_it_was_built_leaves_no_trace() -> None:
    found = await once(
        "-c", "ls -d /wheels/* /etc/pip.conf /root/.cache /opt/venv/bin/pip* 2> /dev/null; true", entrypoint="sh"
    )
    assert found == ""
    history = str((await inspect_image())["History"])
    assert "find-links" not in history
    assert "no-index" not in history


async def test_its_user_owns_the_data_folder_and_can_change_nothing_else() -> None:
    writable = "find / -xdev -path /proc -prune -o -path /sys -prune -o -path /dev -prune -o -writable ! -type l -print"
    found = (await once("-c", f"{writable} 2> /dev/null; true", entrypoint="sh")).split()
    # Temporary folders are there for everybody; at work the root file system is read-only.
    assert set(found) <= {"/tmp", "/var/tmp", "/run/lock", "/data"}


async def test_no_program_in_it_gives_more_rights_than_its_caller_has() -> None:
    assert await once("-c", "find / -xdev -perm /6000 -type f 2> /dev/null; true", entrypoint="sh") == ""


async def test_byte_code_is_there_as_nothing_can_be_written_at_work() -> None:
    program = "import streamforge.cli, pathlib; print(pathlib.Path(streamforge.cli.__cached__).is_file())"
    assert await once("-c", program, entrypoint="python") == "True\n"


async def test_a_worker_in_it_knows_the_limits_of_its_container() -> None:
    asked = "from streamforge.media.worker.capabilities import cores, memory_bytes; print(cores(), memory_bytes())"
    told = await once("-c", asked, entrypoint="python", options=("--cpus", "1", "--memory", "2g"))
    assert told == f"1 {2 * 2**30}\n"
