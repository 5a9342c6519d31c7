"""Videos to measure with, made by ffmpeg's own sources. Those that take long to make are kept in data/bench."""

import subprocess
from pathlib import Path

from streamforge.media.worker.capabilities import ffmpeg_path

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "data" / "bench"
BUNNY = ROOT / "tests" / "media" / "bbb-720p-5s.mp4"
SPEECH = ROOT / "tests" / "media" / "jfk-speech.flac"
BOTTLES = ROOT / "tests" / "media" / "bottles-360p-40s.mp4"

GRAIN = "noise=alls=3:allf=t"
"""Fine grain that moves, as a camera's: without it, generated pictures are cheaper to encode than real ones."""


def small() -> Path:
    """4 s of 176×144 with sound."""
    sources = ["-f", "lavfi", "-i", "testsrc2=s=176x144:r=25:d=4", "-f", "lavfi", "-i", "sine=f=440:d=4"]
    return _made("small.mp4", *sources, "-c:v", "libx264", "-c:a", "aac")


def full_hd() -> Path:
    """20 s of 1080p24 at about 15 Mbit/s: a fractal under a test picture, with grain. No sound."""
    graph = f"[0:v]format=yuv420p[a];[1:v]format=yuv420p[b];[a][b]blend=all_mode=average,{GRAIN}"
    return _made("1080p24.mp4", *_lavfi("mandelbrot=s=1920x1080:r=24:maxiter=300", "testsrc2=s=1920x1080:r=24"),
                 "-filter_complex", graph, *_x264(20))  # fmt: skip


def fractal() -> Path:
    """10 s that zoom into a fractal, 1080p24."""
    return _made("fractal.mp4", *_lavfi("mandelbrot=s=1920x1080:r=24:maxiter=300"), *_x264(10))


def cuts() -> Path:
    """20 s of 720p25 with grain and a hard cut every 2.5 s: the fractal and the test picture in turn."""
    graph = f"[0:v]format=yuv420p[a];[1:v]format=yuv420p[b];[a][b]overlay=enable='lt(mod(t,5),2.5)',{GRAIN}"
    return _made("cuts.mp4", *_lavfi("mandelbrot=s=1280x720:r=25:maxiter=300", "testsrc2=s=1280x720:r=25"),
                 "-filter_complex", graph, *_x264(20))  # fmt: skip


def bunny() -> Path:
    """Big Buck Bunny three times, 16 s of 720p25, with a key frame every two seconds as streams have them."""
    again = ["-stream_loop", "2", "-i", str(BUNNY), "-an", "-c:v", "libx264", "-preset", "veryfast", "-crf", "12"]
    return _made("bunny.mp4", *again, "-g", "50", "-pix_fmt", "yuv420p")


def gradients() -> Path:
    """20 s of 720p30: slow gradients under a game of life, banding beside hard edges."""
    graph = "[1:v]scale=1280:720:flags=neighbor,format=yuv420p[l];[0:v]format=yuv420p[g];[g][l]blend=all_mode=average"
    sources = _lavfi("gradients=s=1280x720:r=30:speed=0.02:seed=7", "life=s=160x90:r=30:mold=10:ratio=0.15:seed=7")
    return _made("gradients.mp4", *sources, "-filter_complex", graph, *_x264(20))


def ultra_hd() -> Path:
    """20 s of 2160p24 with grain. No sound."""
    return _made("2160p24.mp4", *_lavfi("testsrc2=s=3840x2160:r=24"), "-vf", GRAIN, *_x264(20))


def key_frames_every(frames: int, rate: int) -> Path:
    """5 min of 320×180 in x264's own way, but for where its key frames are."""
    return _made(f"keyint-{frames}-{rate}fps.mp4", *_lavfi(f"testsrc2=s=320x180:r={rate}"), "-t", "300",
                 "-c:v", "libx264", "-preset", "veryfast", "-g", str(frames))  # fmt: skip


def speech(seconds: int) -> Path:
    """The same eleven seconds of speech again and again, with a small picture."""
    loop = ["-stream_loop", "-1", "-i", str(SPEECH)]
    return _made(f"speech-{seconds}s.mp4", *_lavfi("testsrc2=s=176x144:r=5"), *loop, *_x264(seconds), "-c:a", "aac")


def full_hd_with_speech() -> Path:
    """`full_hd` with somebody who speaks in it."""
    loop = ["-stream_loop", "-1", "-i", str(SPEECH)]
    return _made("1080p24-speech.mp4", "-i", str(full_hd()), *loop, "-t", "20", "-c:v", "copy", "-c:a", "aac")


def _lavfi(*sources: str) -> list[str]:
    return [argument for source in sources for argument in ("-f", "lavfi", "-i", source)]


def _x264(seconds: int) -> list[str]:
    return ["-t", str(seconds), "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"]


def _made(name: str, *arguments: str) -> Path:
    path = KEPT / name
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        aside = KEPT / f"new-{name}"
        command = [str(ffmpeg_path()), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments, str(aside)]
        subprocess.run(command, check=True)
        aside.rename(path)
    return path


def looped(clip: Path, seconds: int) -> Path:
    """The clip again and again, without encoding anything."""
    loop = ["-stream_loop", "-1", "-i", str(clip), "-t", str(seconds)]
    return _made(f"{clip.stem}-{seconds}s.mp4", *loop, "-c", "copy", "-movflags", "+faststart")
