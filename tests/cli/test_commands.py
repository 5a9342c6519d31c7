"""The command line itself: quick, and every error one sentence with an exit code."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commandline import environment, fresh_streamforge, streamforge
from typer.main import get_command

from streamforge import __version__
from streamforge.cli import app
from streamforge.contracts.tasks import GpuTrial, Sandbox
from streamforge.doctor import Level, gpu_finding, sandbox_finding

VIDEO = Path(__file__).parents[1] / "media" / "bbb-720p-5s.mp4"


def assert_one_sentence(failed: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert failed.returncode == 1
    assert failed.stderr.startswith("streamforge: ")
    assert failed.stderr.count("\n") == 1
    for word in words:
        assert word in failed.stderr


def test_version(tmp_path: Path) -> None:
    assert fresh_streamforge("--version", cwd=tmp_path).stdout == f"streamforge {__version__}\n"


def test_the_command_line_loads_nothing_heavy_before_a_command_needs_it() -> None:
    heavy = {"av", "temporalio", "asyncpg", "starlette", "httpx", "pydantic"}
    script = f"import sys, streamforge.cli; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_every_command_is_in_the_help(tmp_path: Path) -> None:
    text = fresh_streamforge("--help", cwd=tmp_path).stdout
    for command in ("up", "api", "worker", "migrate", "demo", "submit", "plan", "watch", "doctor"):
        assert f" {command} " in text


def test_every_command_that_answers_does_so_in_json_for_programs() -> None:
    def without(command: Any, name: str = "") -> set[str]:
        inner = getattr(command, "commands", {})
        if inner:
            return {each for word, sub in inner.items() for each in without(sub, f"{name} {word}".strip())}
        return set() if any("--json" in option.opts for option in command.params) else {name}

    assert without(get_command(app)) == {"up", "api", "migrate", "backup", "restore", "demo"}


@pytest.mark.parametrize("command", ["api", "worker", "migrate"])
def test_without_an_up_to_join_it_says_how_to_get_one(tmp_path: Path, command: str) -> None:
    refused = fresh_streamforge(command, "--data-dir", "data", cwd=tmp_path)
    assert_one_sentence(refused, "streamforge up", "--data-dir", "STREAMFORGE_DATABASE__DSN")


def test_a_misspelt_setting_is_named(tmp_path: Path) -> None:
    assert_one_sentence(streamforge("worker", cwd=tmp_path, STREAMFORGE_TRANSCODE__PRESETT="fast"), "transcode.presett")
    (tmp_path / "other.yaml").write_text("transcode: {codecs: [vp9]}")
    assert_one_sentence(streamforge("--config", "other.yaml", "worker", cwd=tmp_path), "transcode.codecs.0")


def test_a_settings_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert_one_sentence(streamforge("--config", "missing.yaml", "up", cwd=tmp_path), "missing.yaml")


def test_submit_without_a_server_says_what_to_do(tmp_path: Path) -> None:
    refused = streamforge("submit", str(VIDEO), "--url", "http://127.0.0.1:9", cwd=tmp_path)
    assert_one_sentence(refused, "http://127.0.0.1:9", "streamforge up")


def test_submit_of_a_file_that_is_not_there_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    refused = streamforge("submit", "missing.mp4", cwd=tmp_path)
    assert refused.returncode == 2
    assert "missing.mp4" in refused.stderr


def test_several_videos_cannot_share_a_key(tmp_path: Path) -> None:
    refused = streamforge("submit", str(VIDEO), str(VIDEO), "--key", "one", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--key" in refused.stderr


def test_doctor_says_for_every_part_how_it_is(tmp_path: Path) -> None:
    report = fresh_streamforge("doctor", cwd=tmp_path)
    assert report.returncode == 0, report.stdout
    for part in (
        "Python",
        "encoders",
        "libvmaf",
        "sandbox",
        "GPU",
        "callers",
        "database",
        "Temporal",
        "storage",
        "disk",
    ):
        assert f"✓ {part}" in report.stdout


@pytest.mark.parametrize("there", [[], ["data/storage/input", "data/run", "data/uploads"]])
def test_doctor_changes_nothing_on_disk(tmp_path: Path, there: list[str]) -> None:
    for folder in there:
        (tmp_path / folder).mkdir(parents=True)
    if there:
        (tmp_path / "data/run/lock").touch()

    def what_is_there() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.rglob("*")]}

    before = what_is_there()
    assert streamforge("doctor", cwd=tmp_path).returncode == 0
    assert what_is_there() == before


def test_a_terminal_that_is_not_utf_8_gets_what_it_can_show(tmp_path: Path) -> None:
    report = fresh_streamforge("doctor", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert report.returncode == 0, report.stderr
    assert "\\N{CHECK MARK} Python" in report.stdout


@pytest.mark.parametrize("folder", ["file", "file/below/it"])
def test_doctor_says_of_a_store_that_cannot_be_written_why(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    report = streamforge("doctor", cwd=tmp_path, STREAMFORGE_STORAGE__URL=f"file://{tmp_path}/{folder}")
    assert report.returncode == 1
    assert "✗ storage" in report.stdout
    assert "is not a folder" in " ".join(report.stdout.split()), "it is wrapped where the path is long"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["--port", "7233"], "--port and --temporal-port are both 7233"), (["--ui-port", "8081"], "--port and --ui-port")],
)
def test_two_ports_that_are_the_same_are_one_sentence(tmp_path: Path, arguments: list[str], named: str) -> None:
    refused = streamforge("up", *arguments, cwd=tmp_path)
    assert_one_sentence(refused, named)
    assert list(tmp_path.iterdir()) == []


def test_doctor_says_of_a_gpu_what_works_and_why_the_rest_does_not() -> None:
    works = gpu_finding("A", [GpuTrial(encoder="h264_nvenc")])
    assert (works.level, works.says, works.advice) == (Level.OK, "A; h264_nvenc", "")
    broken = gpu_finding("A", [GpuTrial(encoder="h264_nvenc", failure="no driver")])
    assert (broken.level, broken.says) == (Level.NOTE, "A; h264_nvenc: no driver")
    assert "STREAMFORGE_WORKER__GPU=off" in broken.advice


def test_doctor_fails_and_says_what_to_do_when_a_part_is_away(tmp_path: Path) -> None:
    report = streamforge(
        "doctor", cwd=tmp_path,
        STREAMFORGE_TEMPORAL__ADDRESS="127.0.0.1:9",
        STREAMFORGE_SERVER__HOST="0.0.0.0",
        STREAMFORGE_INPUT__MIN_FREE_DISK_BYTES=str(2**60),
    )  # fmt: skip
    assert report.returncode == 1
    assert "✗ Temporal" in report.stdout
    assert "127.0.0.1:9" in report.stdout
    assert "✗ callers   Others can reach 0.0.0.0" in report.stdout
    assert "✗ disk" in report.stdout
    assert "→ Uploads are refused below" in report.stdout
    assert "✓ database" in report.stdout


@pytest.mark.parametrize("command", ["api", "worker"])
def test_what_still_waits_for_its_database_ends_when_it_is_told_to(tmp_path: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"127.0.0.1:{free.getsockname()[1]}"
    waiting = subprocess.Popen(
        [sys.executable, "-m", "streamforge", command],
        cwd=tmp_path,
        env=environment(
            STREAMFORGE_DATABASE__DSN=f"postgresql://nobody@{nobody}/nothing",
            STREAMFORGE_TEMPORAL__ADDRESS=nobody,
            STREAMFORGE_SERVER__PORT="0",
        ),
        stderr=subprocess.PIPE,
        text=True,
    )
    with waiting:
        assert waiting.stderr is not None
        assert any("away, waiting" in line for line in waiting.stderr)
        waiting.terminate()
        assert waiting.wait(timeout=10) in {-signal.SIGTERM, 128 + signal.SIGTERM}


def test_doctor_says_of_the_sandbox_what_is_in_force_and_what_is_not() -> None:
    whole = Sandbox(landlock=7, system_calls=True, network=True, processes=True)
    told = sandbox_finding(whole, "required")
    assert (told.level, told.says) == (
        Level.OK,
        "Landlock (version 7), system call filter, no network, processes counted",
    )
    in_a_container = Sandbox(landlock=3, system_calls=True, missing={"network": "no namespaces"})
    told = sandbox_finding(in_a_container, "required")
    assert (told.level, told.says) == (
        Level.OK,
        "Landlock (version 3), system call filter; without network: no namespaces",
    )
    old = Sandbox(system_calls=True, missing={"files": "this kernel has no Landlock"})
    assert (sandbox_finding(old, "auto").level, sandbox_finding(old, "required").level) == (Level.NOTE, Level.FAILED)
    assert "docs/security.md" in sandbox_finding(old, "auto").advice
