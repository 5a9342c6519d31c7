"""Videos of every kind, made on demand by ffmpeg's own sources and kept for the run."""

import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av

from streamforge.media.worker.capabilities import ffmpeg_path

MEDIA = Path(__file__).parent / "media"
BUNNY = MEDIA / "bbb-720p-5s.mp4"
BOTTLES = MEDIA / "bottles-360p-40s.mp4"
SPEECH = MEDIA / "jfk-speech.flac"

PICTURE = "testsrc2=s={size}:r={rate}:d={seconds}"
TONE = "sine=f={hertz}:d={seconds}"


def ffmpeg(*arguments: str | Path) -> None:
    command = [str(ffmpeg_path()), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, env=os.environ | {"SVT_LOG": "1"})


def picture(size: str = "176x144", rate: float = 25, seconds: float = 4) -> list[str]:
    return ["-f", "lavfi", "-i", PICTURE.format(size=size, rate=rate, seconds=seconds)]


def tone(seconds: float = 4, hertz: int = 440) -> list[str]:
    return ["-f", "lavfi", "-i", TONE.format(hertz=hertz, seconds=seconds)]


def tones(*hertz: float, layout: str = "5.1", seconds: float = 4, amplitude: float = 0.1) -> list[str]:
    """A tone of its own in each channel, in FFmpeg's order of them. Fades in and out: encoders overshoot at edges."""
    softly = f"min(1,20*t)*min(1,20*({seconds}-t))"
    channels = "|".join(f"{amplitude}*{softly}*sin(2*PI*{each}*t)" for each in hertz)
    return ["-f", "lavfi", "-i", f"aevalsrc='{channels}':channel_layout={layout}:sample_rate=48000:duration={seconds}"]


SUBRIP = """\
1
00:00:00,500 --> 00:00:01,500
Schöne <i>Grüße</i> & <3

2
00:00:02,000 --> 00:00:03,000
{\\an8}Zweite Zeile
mit Umbruch
"""

ADVANCED = """\
[Script Info]
ScriptType: v4.00+
[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Alignment
Style: Default,Arial,16,&Hffffff,2
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:01.00,0:00:02.00,Default,Bob,0,0,0,,{\\b1}Bold{\\b0}, she said,\\Nand left
Dialogue: 1,0:00:01.00,0:00:02.00,Default,Bob,0,0,0,,{\\blur3}Bold, she said,\\Nand left
Dialogue: 0,0:00:02.00,0:00:03.00,Default,,0,0,0,,{\\p1}m 0 0 l 100 0 100 100{\\p0}
"""

X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]

SPECIMENS = {
    "h264 mp4": [*X264, "-bf", "2", "-c:a", "aac"],
    "h264 mp4 index-first": [*X264, "-bf", "2", "-c:a", "aac", "-movflags", "+faststart"],
    "h264 mp4 fragmented": [*X264, "-c:a", "aac", "-movflags", "+frag_keyframe+empty_moov"],
    "h264 mkv": [*X264, "-bf", "2", "-c:a", "libopus"],
    "h264 flv": [*X264, "-ar", "44100", "-c:a", "libmp3lame"],
    "h264 ts": [*X264, "-bf", "2", "-c:a", "aac"],
    "hevc mp4": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-c:a", "aac"],
    "vp8 webm": ["-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libvorbis"],
    "vp9 webm": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"],
    "av1 mkv": ["-c:v", "libsvtav1", "-preset", "12", "-c:a", "flac"],
    "mpeg2 ts": ["-r", "25", "-c:v", "mpeg2video", "-c:a", "mp2"],
    "mpeg2 ts interlaced": ["-vf", "fps=25,setfield=tff", "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-c:a", "mp2"],
    "hevc mkv hdr10": [
        "-vf",
        "format=yuv420p10le,setparams=range=tv:color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc",
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=error",
        "-c:a",
        "aac",
    ],
    "mpeg2 mpg": ["-r", "25", "-c:v", "mpeg2video", "-c:a", "mp2"],
    "mpeg4 avi": ["-c:v", "mpeg4", "-bf", "1", "-c:a", "libmp3lame"],
    "theora ogg": ["-c:v", "libtheora", "-c:a", "libvorbis"],
    "mjpeg mov": ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"],
    "wmv2 asf": ["-c:v", "wmv2", "-c:a", "libmp3lame"],
    "ffv1 nut": ["-c:v", "ffv1", "-c:a", "pcm_s16le"],
}
"""Codec, container and what is special about it: arguments of ffmpeg."""


COLORS = {
    "red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "fuchsia": (255, 0, 255),
    "aqua": (0, 255, 255), "white": (255, 255, 255), "gray": (128, 128, 128), "black": (0, 0, 0), "navy": (0, 0, 128),
}  # fmt: skip
"""As HTML names them; a second of each."""


def colors(path: Path, *arguments: str, names: Sequence[str] = tuple(COLORS)) -> Path:
    """A second of each of COLORS that is named, 320×180 at 25 fps."""
    inputs = [argument for name in names for argument in ("-f", "lavfi", "-i", f"color={name}:s=320x180:r=25:d=1")]
    ffmpeg(*inputs, "-filter_complex", f"concat=n={len(names)}", *X264, *arguments, path)
    return path


class Clips:
    """`clips.small` and its kin are paths; each is made the first time it is asked for, by whichever process comes first:
    all processes of a run of tests share the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        """It is there whole or not at all; what `make` needs on the way lies beside its path."""
        path = self._folder / name
        if not path.exists():
            with self._locked(name):
                if not path.exists():
                    workshop = self._folder / "being-made" / name
                    workshop.mkdir(parents=True, exist_ok=True)
                    make(workshop / name)
                    (workshop / name).rename(path)
        return path

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with (self._folder / f"{name}.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def small(self) -> Path:
        """4 s of 176×144 with sound."""
        return self._made("small.mp4", lambda p: ffmpeg(*picture(), *tone(), *X264, "-c:a", "aac", p))

    @property
    def small_bunny(self) -> Path:
        """BUNNY in a quarter of its size and nearly as good, with the same sound: for all that need a real film, and not
        a large one."""
        coding = ["-vf", "scale=640:360", *X264, "-crf", "16", "-c:a", "copy"]
        return self._made("small-bunny.mp4", lambda p: ffmpeg("-i", BUNNY, *coding, p))

    @property
    def tiny_bunny(self) -> Path:
        """… in a quarter of that: to encode and to measure a picture costs in proportion to its size."""
        coding = ["-vf", "scale=320:180", *X264, "-crf", "16", "-c:a", "copy"]
        return self._made("tiny-bunny.mp4", lambda p: ffmpeg("-i", BUNNY, *coding, p))

    @property
    def short_bottles(self) -> Path:
        """The first 24 s of BOTTLES."""
        return self._made("short-bottles.mp4", lambda p: ffmpeg("-i", BOTTLES, "-t", "24", "-c", "copy", p))

    @property
    def webm_without_duration(self) -> Path:
        """VP8 as a browser records it: the header says nothing about its length."""
        args = ["-c:v", "libvpx", "-deadline", "realtime", "-f", "webm"]
        return self._made("live.webm", lambda p: _piped(p, *picture("320x240", 30, 6), *args))

    @property
    def colors(self) -> Path:
        """20 s of flat colours, another one every second: all of COLORS, twice."""
        return self._made("colors.mp4", lambda p: colors(p, names=[*COLORS, *COLORS]))

    @property
    def hdr10(self) -> Path:
        """2 s in the colours of HDR10: HEVC, 10 bits, BT.2020 and PQ."""
        tags = "setparams=range=tv:color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
        coding = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-tag:v", "hvc1"]
        return self._made(
            "hdr10.mp4", lambda p: ffmpeg(*picture("320x180", 25, 2), "-vf", f"format=yuv420p10le,{tags}", *coding, p)
        )

    @property
    def silent(self) -> Path:
        return self._made("silent.mp4", lambda p: ffmpeg(*picture("320x180", 25, 5), *X264, p))

    @property
    def slow(self) -> Path:
        """12.5 fps, long enough for several chunks."""
        return self._made(
            "slow.mp4", lambda p: ffmpeg(*picture("320x180", 12.5, 14), *tone(14), *X264, "-c:a", "aac", p)
        )

    @property
    def slow_and_short(self) -> Path:
        """The same for 8 s."""
        return self._made(
            "slow-and-short.mp4", lambda p: ffmpeg(*picture("320x180", 12.5, 8), *tone(8), *X264, "-c:a", "aac", p)
        )

    @property
    def copyable(self) -> Path:
        """14 s as another service would have encoded it: B-frames, decode times below 0, a key frame every 2.4 s."""
        args = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-bf", "3", "-g", "60"]
        return self._made(
            "copyable.mp4", lambda p: ffmpeg(*picture("320x180", 25, 14), *tone(14), *args, "-c:a", "aac", p)
        )

    @property
    def variable_rate(self) -> Path:
        """Frames dropped in a pattern: gaps of 33, 67 and 100 ms."""
        args = ["-vf", "select='not(mod(n,7)*mod(n,3))'", "-fps_mode", "vfr"]
        return self._made("vfr.mkv", lambda p: ffmpeg(*picture("320x180", 30, 12), *args, *X264, p))

    @property
    def turned(self) -> Path:
        """Filmed with the phone held upright: 320×180 pixels to be shown as 180×320."""

        def make(path: Path) -> None:
            flat = path.with_name("flat.mp4")
            ffmpeg(*picture("320x180", 25, 2), *X264, flat)
            ffmpeg("-display_rotation", "90", "-i", flat, "-c", "copy", path)

        return self._made("turned.mp4", make)

    @property
    def odd(self) -> Path:
        """Odd in both directions, and 4:4:4."""
        return self._made(
            "odd.mkv",
            lambda p: ffmpeg(*picture("640x360", 24, 2), "-vf", "format=yuv444p,scale=321:181", "-c:v", "ffv1", p),
        )

    @property
    def anamorphic(self) -> Path:
        """PAL widescreen: 720×576 samples for a 16:9 picture."""
        return self._made("pal.mp4", lambda p: ffmpeg(*picture("720x576", 25, 2), "-vf", "setsar=64/45", *X264, p))

    @property
    def two_languages(self) -> Path:
        def make(path: Path) -> None:
            tracks = ["-map", "0", "-map", "1", "-map", "2", "-metadata:s:a:0", "language=eng"]
            ffmpeg(
                *picture("320x180", 25, 5), *tone(5, 440), *tone(5, 880), *tracks,
                "-metadata:s:a:1", "language=deu", *X264, "-c:a", "aac", path,
            )  # fmt: skip

        return self._made("two.mp4", make)

    @property
    def surround(self) -> Path:
        """5.1 in English with a tone of its own in each channel, which is 440 Hz in front; a German commentary in stereo,
        880 Hz, and a French one of 5.1, 660 Hz in front."""

        def make(path: Path) -> None:
            ffmpeg(
                *picture("320x180", 25, 5), *tones(440, 440, 440, 60, 1100, 1300, seconds=5), *tone(5, 880),
                *tones(660, 660, 660, 60, 1100, 1300, seconds=5), "-map", "0", "-map", "1", "-map", "2", "-map", "3",
                "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu", "-metadata:s:a:2", "language=fra",
                "-metadata:s:a:1", "title=Regie", "-disposition:a:0", "default", "-disposition:a:1", "comment",
                *X264, "-c:a", "aac", "-ac:a:1", "2", path,
            )  # fmt: skip

        return self._made("surround.mkv", make)

    @property
    def six_tones(self) -> Path:
        """6 s of 5.1 without loss, another tone in each channel."""
        sound = tones(400, 500, 600, 60, 700, 800, seconds=6)
        return self._made("six-tones.mkv", lambda p: ffmpeg(*picture("96x64", 10, 6), *sound, *X264, "-c:a", "flac", p))

    @property
    def many_tracks(self) -> Path:
        """Eighteen audio tracks; of the third nothing can be decoded."""

        def make(path: Path) -> None:
            whole = path.with_name("many-whole.mkv")
            ffmpeg(*picture("96x64", 10, 2), *tone(2), "-map", "0", *["-map", "1"] * 18, *X264, "-c:a", "ac3", whole)
            spoil(whole, path, stream=3)

        return self._made("many.mkv", make)

    @property
    def transport_stream(self) -> Path:
        """MPEG-2 in a transport stream that starts at 1.4 s and has no index."""
        return self._made(
            "a.ts", lambda p: ffmpeg(*picture("320x180", 25, 14), *tone(14), "-c:v", "mpeg2video", "-c:a", "mp2", p)
        )

    @property
    def fast(self) -> Path:
        return self._made("fast.mp4", lambda p: ffmpeg(*picture("320x180", 120, 2), *X264, p))

    @property
    def one_frame(self) -> Path:
        return self._made("one.mp4", lambda p: ffmpeg(*picture("320x180", 25, 0.04), *X264, p))

    @property
    def slide_show(self) -> Path:
        """A second of film, one picture held for nineteen, a second of film."""
        held = "settb=1/25,setpts='if(lt(N,25),N,N+475)'"
        return self._made(
            "slides.mkv",
            lambda p: ffmpeg(*picture("320x180", 25, 2), "-vf", held, "-fps_mode", "passthrough", *X264, p),
        )

    @property
    def slides(self) -> Path:
        """A picture every six seconds, with sound; 36 s."""
        args = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac"]
        return self._made("every-six.mp4", lambda p: ffmpeg(*picture("320x180", 1 / 6, 36), *tone(36), *args, p))

    @property
    def lecture(self) -> Path:
        """A second of film and nine in which nothing moves, three times, with sound; 30 s."""
        held = "settb=1/25,setpts='N+225*floor(N/25)'"
        args = ["-vf", held, "-fps_mode", "passthrough", *X264, "-c:a", "aac"]
        return self._made("lecture.mkv", lambda p: ffmpeg(*picture("320x180", 25, 3), *tone(30), *args, p))

    @property
    def gif(self) -> Path:
        """Five pictures a second and, twice, none for two and a half; 8 s."""
        held = "settb=1/100,setpts='20*N+230*floor(N/8)'"
        args = ["-vf", held, "-fps_mode", "passthrough"]
        return self._made("animated.gif", lambda p: ffmpeg(*picture("320x180", 5, 4), *args, p))

    @property
    def one_picture(self) -> Path:
        """Under 20 s of sound."""
        args = ["-map", "0", "-map", "1", *X264, "-c:a", "aac"]
        return self._made("cover.mp4", lambda p: ffmpeg(*picture("320x180", 25, 0.04), *tone(20), *args, p))

    @property
    def late_sound(self) -> Path:
        """Sound begins a second after the picture."""
        return self._made(
            "late.mkv",
            lambda p: ffmpeg(
                *picture("320x180", 25, 4),
                "-itsoffset",
                "1",
                *tone(3),
                "-map",
                "0",
                "-map",
                "1",
                *X264,
                "-c:a",
                "flac",
                p,
            ),
        )

    @property
    def speech(self) -> Path:
        """11 s: "And so, my fellow Americans, ask not what your country can do for you …"."""
        return self._made(
            "speech.mkv", lambda p: ffmpeg(*picture(seconds=11), "-i", SPEECH, *X264, "-c:a", "libopus", p)
        )

    @property
    def late_speech(self) -> Path:
        """The same, two seconds after the first picture."""
        tracks = ["-itsoffset", "2", "-i", SPEECH, "-map", "0", "-map", "1"]
        return self._made("late-speech.mkv", lambda p: ffmpeg(*picture(seconds=13), *tracks, *X264, "-c:a", "flac", p))

    @property
    def long_speech(self) -> Path:
        """610 s with the same at the beginning and at 595 s, and silence around it."""
        graph = "[1:a]asplit[a][b];[a]apad=whole_dur=595[c];[c][b]concat=n=2:v=0:a=1[s]"
        sound = ["-i", SPEECH, "-filter_complex", graph, "-map", "0:v", "-map", "[s]", "-c:a", "libopus"]
        return self._made("long-speech.mkv", lambda p: ffmpeg(*picture("64x64", 1, 610), *sound, *X264, p))

    @property
    def captioned(self) -> Path:
        """30 s: the same, and then silence; SUBRIP and a third cue as German subtitles; B-frames, as most films have."""

        def make(path: Path) -> None:
            srt = path.with_suffix(".srt")
            srt.write_text(f"{SUBRIP}\n3\n00:00:10,000 --> 00:00:14,000\nEnde\n")
            tracks = ["-i", SPEECH, "-i", srt, "-c:s", "srt", "-metadata:s:s:0", "language=ger"]
            ffmpeg(*picture(seconds=30), *tracks, *X264, "-bf", "2", "-c:a", "libopus", path)

        return self._made("captioned.mkv", make)

    @property
    def silence(self) -> Path:
        return self._made(
            "silence.mp4",
            lambda p: ffmpeg(*picture(seconds=8), "-f", "lavfi", "-i", "anullsrc=d=8", *X264, "-c:a", "aac", p),
        )

    @property
    def music(self) -> Path:
        """Twelve seconds of chords over a beat of noise."""
        chord = "+".join(f"sin(2*PI*{hertz}*t*(1+0.25*mod(floor(t/2),3)))" for hertz in (220, 277, 330, 440))
        beat = "0.3*(random(0)-0.5)*exp(-8*mod(t,0.5))"
        sound = ["-f", "lavfi", "-i", f"aevalsrc='0.15*({chord})*exp(-mod(t,1))+{beat}':d=12"]
        return self._made("music.mp4", lambda p: ffmpeg(*picture(seconds=12), *sound, *X264, "-c:a", "aac", p))

    @property
    def subtitled(self) -> Path:
        """4 s with SubRip in German, the default, and ASS without a language."""

        def make(path: Path) -> None:
            srt, ass = path.with_name("a.srt"), path.with_name("a.ass")
            srt.write_text(SUBRIP)
            ass.write_text(ADVANCED)
            tracks = ["-map", "0", "-map", "1", "-map", "2", "-c:s:0", "srt", "-c:s:1", "ass"]
            german = ["-metadata:s:s:0", "language=ger", "-disposition:s:0", "default+hearing_impaired"]
            ffmpeg(*picture(), "-i", srt, "-i", ass, *tracks, *german, *X264, path)

        return self._made("subtitled.mkv", make)

    def with_subtitles(self, name: str, codec: str = "srt", container: str = "mkv", *options: str) -> Path:
        """4 s with SUBRIP in another format."""

        def make(path: Path) -> None:
            srt = path.with_suffix(".srt")
            srt.write_text(SUBRIP)
            ffmpeg(*picture(), "-i", srt, *X264, "-c:s", codec, *options, path)

        return self._made(f"{name}.{container}", make)

    def in_encoding(self, lines: list[str], encoding: str, language: str) -> Path:
        """A cue for each line, at every second, in that encoding: as old programs wrote them into Matroska."""

        def make(path: Path) -> None:
            held = [line.encode(encoding) for line in lines]
            marks = [f"{number}#".ljust(len(data), "#") for number, data in enumerate(held)]
            srt, clean = path.with_suffix(".srt"), path.with_name(f"clean-{path.name}")
            srt.write_text("".join(f"{n + 1}\n00:00:0{n},0 --> 00:00:0{n},900\n{m}\n\n" for n, m in enumerate(marks)))
            ffmpeg(*picture(), "-i", srt, *X264, "-c:s", "srt", "-metadata:s:s:0", f"language={language}", clean)
            content = clean.read_bytes()
            for mark, data in zip(marks, held, strict=True):
                assert content.count(mark.encode()) == 1
                content = content.replace(mark.encode(), data)
            path.write_bytes(content)

        return self._made(f"{encoding}-{language}.mkv", make)

    @property
    def full_hd(self) -> Path:
        """5 s of 1080p with detail: seconds of work for an encoder."""
        return self._made(
            "hd.mp4",
            lambda p: ffmpeg(*picture("1920x1080", 24, 5), "-vf", "noise=alls=4:allf=t", *X264, "-crf", "30", p),
        )

    @property
    def noise(self) -> Path:
        """Pure noise: no encoder gets this through its bit-rate ceiling well."""
        source = "nullsrc=s=320x180:r=25:d=2,geq=random(1)*255:128:128"
        return self._made("noise.mkv", lambda p: ffmpeg("-f", "lavfi", "-i", source, "-c:v", "ffv1", p))

    @property
    def steady(self) -> Path:
        """10 s with soft edges and grain, as hard everywhere, and a key frame every two seconds."""
        args = ["-vf", "gblur=sigma=1.5,noise=alls=4:allf=t", "-g", "50", *X264, "-crf", "12"]
        return self._made("steady.mp4", lambda p: ffmpeg(*picture("320x180", 25, 10), *args, p))

    @property
    def still(self) -> Path:
        """6 s of colour bars."""
        bars = ["-f", "lavfi", "-i", "smptehdbars=s=320x180:r=25:d=6"]
        return self._made("still.mp4", lambda p: ffmpeg(*bars, *X264, "-crf", "10", p))

    @property
    def half_rotten(self) -> Path:
        """All of the index, but zeros instead of the second half of the pictures."""

        def make(path: Path) -> None:
            whole = path.with_name("index-first.mp4")
            ffmpeg("-i", BUNNY, "-c", "copy", "-movflags", "+faststart", whole)
            data = whole.read_bytes()
            path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))

        return self._made("half-rotten.mp4", make)

    def specimen(self, kind: str) -> Path:
        """2.4 s of 96×64 as one of SPECIMENS, a few kilobytes: to be damaged by the thousand."""
        arguments = [*picture("96x64", 15, 2.4), *tone(2.4), "-g", "10", *SPECIMENS[kind]]
        name = f"{kind.replace(' ', '-')}.{kind.split()[1]}"
        return self._made(name, lambda p: ffmpeg(*arguments, p))

    @property
    def sound_only(self) -> Path:
        return self._made("sound.m4a", lambda p: ffmpeg(*tone(2), "-c:a", "aac", p))

    @property
    def cut_off(self) -> Path:
        """The second half is missing, and with it the index, which MP4 writes last."""

        def make(path: Path) -> None:
            whole = path.with_name("index-last.mp4")
            ffmpeg("-i", BUNNY, "-c", "copy", whole)
            path.write_bytes(whole.read_bytes()[:400_000])

        return self._made("cut.mp4", make)

    @property
    def cut_off_behind_index(self) -> Path:
        """The index is there and promises more frames than there are."""

        def make(path: Path) -> None:
            whole = path.with_name("faststart.mp4")
            ffmpeg("-i", BUNNY, "-c", "copy", "-movflags", "+faststart", whole)
            path.write_bytes(whole.read_bytes()[:500_000])

        return self._made("cut-faststart.mp4", make)


def spoil(whole: Path, path: Path, stream: int) -> None:
    """A copy in which every packet of one stream is noise of the same length."""
    with av.open(str(whole)) as before, av.open(str(path), "w") as after:
        streams = {each.index: after.add_stream_from_template(each) for each in before.streams}
        for packet in before.demux():
            if packet.dts is None:
                continue
            kept = av.Packet(b"\x55" * packet.size) if packet.stream.index == stream else packet
            kept.pts, kept.dts, kept.time_base = packet.pts, packet.dts, packet.time_base
            kept.stream = streams[packet.stream.index]
            after.mux(kept)


def _piped(path: Path, *arguments: str) -> None:
    """Written to a pipe, a muxer cannot go back and fill in the duration."""
    command = [str(ffmpeg_path()), "-hide_banner", "-loglevel", "error", "-nostdin", *arguments, "-"]
    with path.open("wb") as file:
        subprocess.run(command, check=True, stdout=file)
