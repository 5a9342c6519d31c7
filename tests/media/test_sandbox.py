"""What a media child cannot do, tried from inside by one that was taken over."""

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
import structlog
from clips import Clips
from hostile import ATTACK, MEASURING, Attack, ChildrenOnAnOldKernel, HostileChildren
from processes import living_children
from test_probe import probe

from streamforge.contracts import tasks
from streamforge.contracts.tasks import SandboxTask
from streamforge.embedded import leftovers
from streamforge.errors import MediaChildCrashed, SandboxMissing, ServiceError, SourceTooExpensive
from streamforge.kernel import landlock, seccomp
from streamforge.kernel.syscalls import machine
from streamforge.media.process.sandbox import MOST_THREADS, THREADS_PER_CORE
from streamforge.media.worker.capabilities import cores
from streamforge.media.worker.children import MediaChildren

pytestmark = pytest.mark.skipif(
    not (landlock.version() and seccomp.is_available()), reason="this kernel has no Landlock or takes no seccomp filter"
)

SECRET = "only-the-worker-knows"
MEMORY = 600 * 2**20
NOT_DONE = {"PermissionError", "IsADirectoryError"}


@pytest.fixture(scope="module")
def hostile() -> Iterator[HostileChildren]:
    secrets = {"STREAMFORGE_DATABASE__DSN": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET, "STREAMFORGE_AUTH__SECRET": SECRET}
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as environment:
        for name, value in secrets.items():
            environment.setenv(name, value)
        children = HostileChildren(memory_bytes=MEMORY, stall_seconds=60, file_bytes=8 * 2**20)
        runner.run(children.__aenter__())
        yield children
        runner.run(children.__aexit__())


@pytest.fixture
def files(tmp_path: Path) -> "Files":
    return Files(tmp_path)


class Files:
    """Of an installation: two jobs' originals, a folder to work in, and what is nobody's business."""

    def __init__(self, folder: Path) -> None:
        self.source, self.other_source = folder / "storage" / "a.mp4", folder / "storage" / "b.mp4"
        self.secrets = folder / "run" / "up.json"
        self.scratch, self.other_scratch = folder / "scratch" / "one", folder / "scratch" / "two"
        for file in (self.source, self.other_source, self.secrets):
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(b"0123456789abc")
        self.scratch.mkdir(parents=True)
        self.other_scratch.mkdir()


async def outcome(
    children: MediaChildren, does: str, at: object = "", files: Files | None = None, **more: object
) -> str:
    seen = {"reads": [files.source], "writes": [files.scratch]} if files else {}
    attack = Attack.model_validate({"does": does, "at": str(at), **seen, **more})
    return (await children.run(ATTACK, attack)).says


# ── the network ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("way", ["tcp", "tcp6", "udp", "unix", "abstract"])
async def test_nobody_can_be_talked_to(hostile: HostileChildren, files: Files, way: str) -> None:
    path = files.scratch / "socket"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(path))
        local.listen()
        attack = Attack(does="connect", at=way, number=server.getsockname()[1], reads=[path])
        assert (await hostile.run(ATTACK, attack)).says == "PermissionError"


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_input_is_read_and_the_scratch_folder_written(hostile: HostileChildren, files: Files) -> None:
    inside = files.scratch / "track"
    assert await outcome(hostile, "read", files.source, files) == "10 bytes"
    assert await outcome(hostile, "make", f"folder:{inside}", files) == "made"
    assert await outcome(hostile, "write", inside / "1.m4s", files) == "1 bytes"
    assert await outcome(hostile, "move", f"{inside / '1.m4s'}:{files.scratch / '2.m4s'}", files) == "moved"
    assert (files.scratch / "2.m4s").read_bytes() == b"x"


async def test_no_other_file_is_read(hostile: HostileChildren, files: Files) -> None:
    private = ["/etc/shadow", "/etc/passwd", "/root/.bashrc", "/proc/1/environ", f"/proc/{os.getpid()}/environ"]
    through_oneself = ["/proc/self/root/etc/shadow", f"/proc/self/cwd/{Path(__file__).name}"]
    for path in [*private, *through_oneself, files.other_source, files.secrets, __file__]:
        assert await outcome(hostile, "read", path, files) in {"PermissionError", "FileNotFoundError"}, path


async def test_no_other_folder_is_looked_into(hostile: HostileChildren, files: Files) -> None:
    for path in ["/", "/proc", "/tmp", "/etc", "/dev", files.source.parent, files.other_scratch, Path.cwd()]:
        assert await outcome(hostile, "look", path, files) == "PermissionError", path


async def test_nothing_else_is_written(hostile: HostileChildren, files: Files) -> None:
    python = Path(sys.prefix) / "lib" / "evil.py"
    for path in [files.source, files.other_source, files.other_scratch / "1", files.scratch.parent / "1", python]:
        assert await outcome(hostile, "write", path, files) == "PermissionError", path
    assert await outcome(hostile, "move", f"{files.source}:{files.scratch / 'stolen'}", files) != "moved"
    assert files.source.read_bytes() == b"0123456789abc"


OTHERWISE = [
    *("mode", "mode of an open file", "owner", "attribute", "time"),
    *("length", "length, while it is opened"),
]


@pytest.mark.parametrize("way", OTHERWISE)
async def test_files_are_not_changed_by_ways_that_landlock_does_not_know(
    hostile: HostileChildren, files: Files, way: str
) -> None:
    """Whoever may open the data folder to everybody, or close it to the service, needs to write nothing. And what is its own
    must not become a program that gives its user's rights to whoever starts it."""
    before = [(path, path.stat()) for path in (files.source, files.secrets, files.scratch)]
    for path, was in before:
        if way != "length" or path.is_file():
            assert await outcome(hostile, "change", f"{way}:{path}", files) in NOT_DONE, path
        assert (path.stat().st_mode, path.stat().st_size) == (was.st_mode, was.st_size)


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "pipe", "device", "socket"])
async def test_nothing_is_made_that_the_worker_would_follow_or_wait_at(
    hostile: HostileChildren, files: Files, kind: str
) -> None:
    """It uploads what lies in the folder: a link would hand out any file that it may read."""
    assert await outcome(hostile, "make", f"{kind}:{files.scratch / 'trap'}", files) == "PermissionError"
    assert not os.path.lexists(files.scratch / "trap")


# ── programs and processes ──────────────────────────────────────────────────────────────────────────────────────────
async def test_no_program_is_run(hostile: HostileChildren, files: Files) -> None:
    for program in ("/bin/sh", sys.executable, "ffmpeg"):
        assert await outcome(hostile, "run", program, files) == "PermissionError", program


async def test_who_measures_quality_runs_ffmpeg_and_nothing_else(hostile: HostileChildren) -> None:
    assert (await hostile.run(MEASURING, Attack(does="run", at="ffmpeg"))).says == "exit 0"
    for program in ("/bin/sh", "/usr/bin/env", sys.executable):
        assert (await hostile.run(MEASURING, Attack(does="run", at=program))).says == "PermissionError", program


@pytest.mark.parametrize("task", [ATTACK, MEASURING], ids=lambda task: task.name)
async def test_a_fork_bomb_does_not_go_off(
    hostile: HostileChildren, task: "tasks.Task[Attack, object, object]"
) -> None:
    assert (await hostile.run(task, Attack(does="fork"))).says == "PermissionError"


async def test_threads_without_end_are_an_error(hostile: HostileChildren) -> None:
    with pytest.raises(ServiceError) as caught:
        await hostile.run(ATTACK, Attack(does="start_threads"))
    assert "can't start new thread" in (caught.value.debug or "")


async def test_memory_without_end_is_an_error(hostile: HostileChildren) -> None:
    with pytest.raises(SourceTooExpensive, match="memory"):
        await hostile.run(ATTACK, Attack(does="eat_memory", at="private"))


async def test_memory_that_no_limit_counts_is_not_to_be_had(hostile: HostileChildren) -> None:
    assert await outcome(hostile, "eat_memory", "shared") == "PermissionError"
    assert await outcome(hostile, "eat_memory_file") == "PermissionError"


async def test_a_file_without_end_is_an_error(hostile: HostileChildren, files: Files) -> None:
    with pytest.raises(SourceTooExpensive, match="larger than one may be"):
        await outcome(hostile, "eat_disk", files.scratch / "large", files)
    assert (files.scratch / "large").stat().st_size == 8 * 2**20


@pytest.mark.skipif(landlock.version() < 6, reason="this kernel's Landlock does not know signals")
async def test_no_other_process_is_signalled(hostile: HostileChildren) -> None:
    for pid in (os.getpid(), 0):
        assert await outcome(hostile, "kill", number=pid) == "PermissionError"


@pytest.mark.parametrize("way", ["limits", "priority", "scheduler", "cores"])
async def test_no_other_process_is_disturbed(hostile: HostileChildren, way: str) -> None:
    """By a limit of no CPU time a worker, an API or PostgreSQL of the same user ends."""
    with subprocess.Popen(["sleep", "100"]) as victim:
        assert (await hostile.run(ATTACK, Attack(does="disturb", at=way, number=victim.pid))).says == "PermissionError"
        assert (
            await hostile.run(MEASURING, Attack(does="disturb", at=way, number=victim.pid))
        ).says == "PermissionError"
        victim.kill()


async def test_nothing_that_it_has_started_outlives_it(hostile: HostileChildren) -> None:
    for way in ("session", "group"):
        assert (await hostile.run(MEASURING, Attack(does="leave", at=way))).says == "PermissionError"
    mark = uuid4().hex
    with pytest.raises(MediaChildCrashed):
        await hostile.run(MEASURING, Attack(does="die_beside_another", at=mark))
    async with asyncio.timeout(20):
        while any(f"title={mark}" in (each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("lie", ['{{"pid": {pid}}}', '{{"exit": 0}}', '{{"pid": {pid}, "exit": 0}}'])
async def test_a_child_does_not_say_whom_its_worker_kills(hostile: HostileChildren, lie: str) -> None:
    """It is killed itself, whatever it says of itself."""
    others = {process.pid for process in living_children(zygote_of(hostile))}
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as victim:
        attack = Attack(does="lie", at=lie.format(pid=victim.pid))
        lying = asyncio.create_task(hostile.run(ATTACK, attack))
        async with asyncio.timeout(10):
            while not (liars := [p for p in living_children(zygote_of(hostile)) if p.pid not in others]):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)  # Nothing is to happen, and nothing tells when it has not.
            lying.cancel()
            with suppress(asyncio.CancelledError, ServiceError):
                await lying
            while any(leftovers.is_alive(each) for each in liars):
                await asyncio.sleep(0.01)
        assert victim.poll() is None
        victim.kill()


def zygote_of(children: MediaChildren) -> psutil.Process:
    assert children._zygote is not None
    return psutil.Process(children._zygote.pid)


# ── what it holds ───────────────────────────────────────────────────────────────────────────────────────────────────
async def test_it_has_no_secrets(hostile: HostileChildren) -> None:
    found = await outcome(hostile, "environment")
    assert "PATH=" in found
    assert SECRET not in found
    assert "STREAMFORGE" not in found


async def test_it_has_no_open_files_of_others(hostile: HostileChildren, files: Files) -> None:
    """Standard input, output, errors, and the socket to its worker."""
    first, *_, last = (await outcome(hostile, "open_files", files=files)).split(", ")
    assert (first, last) == ("/dev/null", "socket")
    assert len((await outcome(hostile, "open_files", files=files)).split(", ")) == 4


async def test_it_has_no_capabilities_and_gets_none(hostile: HostileChildren) -> None:
    status = dict(line.split(":\t", 1) for line in (await outcome(hostile, "status")).splitlines() if ":\t" in line)
    file_access = 1 << 1
    for kind in ("CapEff", "CapPrm", "CapBnd"):
        assert int(status[kind], 16) & ~file_access == 0, kind
    assert (int(status["CapAmb"], 16), int(status["CapInh"], 16)) == (0, 0)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


async def test_everything_is_limited(hostile: HostileChildren) -> None:
    found = await outcome(hostile, "limits")
    limits = {line[:26].strip(): line[26:].split()[1] for line in found.splitlines()[1:]}
    assert limits["Max data size"] == str(MEMORY)
    assert limits["Max cpu time"] == str(4 * 3600)
    assert limits["Max file size"] == str(8 * 2**20)
    assert limits["Max open files"] == "256"
    assert {limits[f"Max {of}"] for of in ("core file size", "msgqueue size", "realtime priority")} == {"0"}


@pytest.mark.parametrize("descriptor", [1, 2])
async def test_what_it_writes_is_quoted_and_looks_like_no_line_of_the_log(
    files: Files, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, descriptor: int
) -> None:
    """Whoever collects standard errors would take it for a line of the audit log, and a terminal for what moves its cursor."""
    line = json.dumps({"logger": "streamforge.audit", "event": "audited", "owner": "alice"})
    async with HostileChildren(memory_bytes=MEMORY, stall_seconds=60) as children:
        await children.run(ATTACK, Attack(does="speak", at=f"{line}\n\x1b[2J\n", number=descriptor))
    assert capfd.readouterr() == ("", "")
    (said,) = [record.getMessage() for record in caplog.records if "wrote" in record.getMessage()]
    assert said == "media child wrote: " + ascii(line + "\n\x1b[2J")


async def test_what_it_writes_is_not_said_of_the_job_that_needed_the_first_child() -> None:
    """Its owner reads what the log says of it: of the films of others, too, if their children's words were among that."""
    said_of: list[dict[str, object]] = []

    class Contexts(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "wrote" in record.getMessage():
                said_of.append(structlog.contextvars.get_contextvars())

    contexts, log = Contexts(), logging.getLogger("streamforge.media.worker.written")
    log.addHandler(contexts)
    with structlog.contextvars.bound_contextvars(job_id="of the first"):
        async with HostileChildren(memory_bytes=MEMORY, stall_seconds=60) as children:
            await children.run(ATTACK, Attack(does="speak", at="a title", number=2))
    log.removeHandler(contexts)
    assert said_of == [{}]


# ── the kernel ──────────────────────────────────────────────────────────────────────────────────────────────────────
REFUSED = [
    *("socket", "connect", "ptrace", "process_vm_readv", "mount", "unshare", "setns", "keyctl", "add_key", "bpf"),
    *("perf_event_open", "io_uring_setup", "userfaultfd", "open_by_handle_at", "symlinkat", "linkat", "mknodat"),
    *("fchmodat", "fchmod", "fchownat", "setxattr", "fremovexattr", "utimensat", "truncate", "inotify_init1"),
    *("ioprio_set", "migrate_pages", "semop", "msgsnd", "mq_unlink"),
    *("kexec_load", "init_module", "reboot", "syslog", "setuid", "setgroups", "capset", "shmget", "execve", "execveat"),
]


@pytest.mark.parametrize("name", REFUSED)
async def test_the_kernel_refuses(hostile: HostileChildren, name: str) -> None:
    numbers = seccomp.ARCHITECTURES[machine()].numbers | seccomp.ON_ALL
    assert await outcome(hostile, "call", number=numbers[name]) == "PermissionError"


@pytest.mark.skipif(machine() != "x86_64", reason="only this architecture has a second set of numbers")
async def test_calls_by_the_numbers_of_x32_are_refused(hostile: HostileChildren) -> None:
    getpid = 39
    assert await outcome(hostile, "call", number=getpid) == "done"
    assert await outcome(hostile, "call", number=seccomp.X32_BIT | getpid) == "errno 38"


# ── where the kernel has less ───────────────────────────────────────────────────────────────────────────────────────
async def test_what_is_in_force_is_told(children: MediaChildren) -> None:
    found = await children.run(tasks.SANDBOX, SandboxTask())
    assert found.landlock == landlock.version()
    assert found.system_calls


async def test_an_old_kernel_is_told_and_worked_with(clips: Clips) -> None:
    async with ChildrenOnAnOldKernel(memory_bytes=2 * 2**30, stall_seconds=60) as children:
        found = await children.run(tasks.SANDBOX, SandboxTask())
        assert (found.landlock, found.system_calls, found.network, found.processes) == (0, False, False, False)
        assert found.missing["files"] == "this kernel has no Landlock"
        assert (await probe(children, clips.small)).video.frame_count == 100


async def test_an_old_kernel_is_not_worked_with_where_a_sandbox_is_required() -> None:
    async with ChildrenOnAnOldKernel(memory_bytes=2 * 2**30, stall_seconds=60, sandbox="required") as children:
        with pytest.raises(SandboxMissing, match="this kernel has no Landlock"):
            await children.run(tasks.SANDBOX, SandboxTask())


async def test_it_can_be_turned_off(files: Files) -> None:
    async with HostileChildren(memory_bytes=MEMORY, stall_seconds=60, sandbox="off") as children:
        assert await outcome(children, "look", "/", files) != "PermissionError"
        found = await children.run(tasks.SANDBOX, SandboxTask())
        assert set(found.missing.values()) == {"turned off by media.sandbox"}


async def test_where_it_is_required_and_there_work_goes_on(clips: Clips) -> None:
    async with MediaChildren(memory_bytes=2 * 2**30, stall_seconds=60, sandbox="required") as children:
        assert (await probe(children, clips.small)).video.frame_count == 100


AS_NOBODY = """
import asyncio, json, sys
sys.path[:0] = {path}
from hostile import ATTACK, MEASURING, Attack, HostileChildren
from streamforge.contracts import tasks
from streamforge.contracts.tasks import SandboxTask

async def main():
    async with HostileChildren(memory_bytes=600 * 2**20, stall_seconds=60) as children:
        found = await children.run(tasks.SANDBOX, SandboxTask())
        limits = (await children.run(ATTACK, Attack(does="limits"))).says
        threads = ""
        try:
            await children.run(ATTACK, Attack(does="start_threads"))
        except Exception as error:
            threads = error.debug
    print(json.dumps([found.model_dump(), limits, threads]))

asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_has_more_of_it_than_root() -> None:
    """In a user namespace of its own a child's threads can be counted; root's are counted nowhere."""
    here = Path(__file__).parent
    # The interpreter often lies below /root.
    through = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup"]
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *through]
    script = AS_NOBODY.format(path=[str(here), str(here.parent)])
    ran = subprocess.run([*nobody, sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd="/")
    assert ran.returncode == 0, ran.stderr
    found, limits, threads = json.loads(ran.stdout)
    if not found["processes"]:
        pytest.skip(f"no user namespaces here: {found['missing']}")
    assert (found["network"], found["missing"]) == (True, {})
    (most,) = {line.split()[2] for line in limits.splitlines() if line.startswith("Max processes")}
    assert int(most) == MOST_THREADS + THREADS_PER_CORE * cores()
    assert "can't start new thread" in threads
