"""Read a finished stream as a player would: from the manifests down to decoded pictures."""

import asyncio
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

import av
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from streamforge.media.worker.capabilities import ffmpeg_path
from streamforge.planning.text.webvtt import Cue, read_webvtt

DASH = {"m": "urn:mpeg:dash:schema:mpd:2011"}


@dataclass
class Played:
    """What came out of one track. Times in seconds."""

    times: list[float] = field(default_factory=list)
    key_times: list[float] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    samples: int = 0
    rate: int = 0

    @property
    def frame_count(self) -> int:
        return len(self.times)


@dataclass
class Track:
    """One rendition as a manifest describes it: its files in order, and when each should begin (seconds)."""

    name: str
    init: str
    segments: list[tuple[str, float, float]]
    attributes: dict[str, str]


def hls_tracks(master: Path) -> dict[str, Track]:
    """Every media playlist of a master playlist, by the name of its folder."""
    tracks = {}
    lines = master.read_text(encoding="utf-8").splitlines()
    for before, line in pairwise(lines):
        uris = [line] if before.startswith("#EXT-X-STREAM-INF:") else []
        if line.startswith("#EXT-X-MEDIA:TYPE=AUDIO"):
            uris = [attributes_of(line)["URI"]]
        for uri in uris:
            info = before if before.startswith("#EXT-X-STREAM-INF:") and uri == line else line
            tracks[uri.split("/")[0]] = _media_playlist(master.parent / uri, attributes_of(info))
    return tracks


@dataclass
class Subtitles:
    """A text track as a manifest describes it, and what is in its file."""

    attributes: dict[str, str]
    cues: list[Cue]


def hls_texts(master: Path) -> dict[str, Subtitles]:
    """Every subtitle rendition, by its name; its playlist has one segment that lasts as long as the film."""
    found = {}
    for line in master.read_text(encoding="utf-8").splitlines():
        if line.startswith("#EXT-X-MEDIA:TYPE=SUBTITLES"):
            attributes = attributes_of(line)
            playlist = master.parent / attributes["URI"]
            *_, duration, file, end = playlist.read_text().splitlines()
            assert duration.startswith("#EXTINF:")
            assert end == "#EXT-X-ENDLIST"
            found[attributes["NAME"]] = Subtitles(attributes, read_webvtt((playlist.parent / file).read_text()))
    return found


def dash_texts(manifest: Path) -> dict[str, Subtitles]:
    """Every text adaptation set, by its label."""
    found = {}
    for adaptation in ET.parse(manifest).getroot().iterfind("m:Period/m:AdaptationSet[@contentType='text']", DASH):
        label, role = adaptation.findtext("m:Label", "", DASH), adaptation.find("m:Role", DASH)
        assert role is not None
        file = manifest.parent / adaptation.findtext("m:Representation/m:BaseURL", "", DASH)
        found[label] = Subtitles(adaptation.attrib | {"role": role.attrib["value"]}, read_webvtt(file.read_text()))
    return found


def attributes_of(line: str) -> dict[str, str]:
    """An attribute list: commas separate, but not inside quotes."""
    found, rest = {}, line.split(":", 1)[1]
    while rest:
        name, _, rest = rest.partition("=")
        if rest.startswith('"'):
            value, _, rest = rest[1:].partition('"')
            rest = rest.removeprefix(",")
        else:
            value, _, rest = rest.partition(",")
        found[name] = value
    return found


def _media_playlist(path: Path, attributes: dict[str, str]) -> Track:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == "#EXT-X-ENDLIST"
    init = attributes_of(next(line for line in lines if line.startswith("#EXT-X-MAP")))["URI"]
    segments, clock = [], 0.0
    for before, line in pairwise(lines):
        if before.startswith("#EXTINF:"):
            duration = float(before.removeprefix("#EXTINF:").rstrip(","))
            segments.append((str(path.parent / line), clock, duration))
            clock += duration
    return Track(path.parent.name, str(path.parent / init), segments, attributes)


def dash_tracks(manifest: Path) -> dict[str, Track]:
    """Every representation of video and audio, with its SegmentTimeline expanded."""
    root = ET.parse(manifest).getroot()
    tracks = {}
    for adaptation in root.iterfind("m:Period/m:AdaptationSet", DASH):
        if adaptation.get("contentType") in {"text", "image"}:
            continue
        template = adaptation.find("m:SegmentTemplate", DASH)
        assert template is not None
        for representation in adaptation.iterfind("m:Representation", DASH):
            tracks[representation.attrib["id"]] = _representation(manifest, template, representation)
    return tracks


def _representation(manifest: Path, template: ET.Element, representation: ET.Element) -> Track:
    name, timescale = representation.attrib["id"], int(template.attrib["timescale"])

    def resolved(pattern: str, time: int = 0) -> str:
        return urljoin(str(manifest), pattern.replace("$RepresentationID$", name).replace("$Time$", str(time)))

    segments, clock = [], 0
    for entry in template.iterfind("m:SegmentTimeline/m:S", DASH):
        clock = int(entry.get("t", clock))
        duration = int(entry.attrib["d"])
        for _ in range(int(entry.get("r", "0")) + 1):
            segments.append((resolved(template.attrib["media"], clock), clock / timescale, duration / timescale))
            clock += duration
    return Track(name, resolved(template.attrib["initialization"]), segments, dict(representation.attrib))


def play(track: Track, folder: Path) -> Played:
    """Decode a whole track, segment behind segment, as media source extensions do."""
    return decode(_joined(track.init, [path for path, _, _ in track.segments], folder / f"{track.name}.mp4"))


def play_segment(track: Track, number: int, folder: Path) -> Played:
    """One segment alone, as after a seek: it must not need anything before it."""
    return decode(_joined(track.init, [track.segments[number][0]], folder / f"{track.name}-{number}.mp4"))


def decode(path: str | Path) -> Played:
    played = Played()
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.best("video") or container.streams.audio[0]):
            played.times.append(float(Fraction(frame.pts or 0) * (frame.time_base or 0)))
            if isinstance(frame, VideoFrame):
                played.sizes.add((frame.width, frame.height))
                if frame.key_frame:
                    played.key_times.append(played.times[-1])
            elif isinstance(frame, AudioFrame):
                played.samples += frame.samples
                played.rate = frame.sample_rate
    return played


def _joined(init: str, segments: list[str], target: Path) -> Path:
    target.write_bytes(b"".join(Path(part).read_bytes() for part in [init, *segments]))
    return target


async def ffmpeg_decodes(url: str) -> dict[str, int]:
    """How many frames ffmpeg's own demuxers find behind a URL; it picks the best video. Fails on any error."""
    process = await asyncio.create_subprocess_exec(
        str(ffmpeg_path()), "-nostdin", "-v", "error", "-xerror", "-i", url,
        "-map", "0:v:0", "-f", "null", "-progress", "pipe:1", "-",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    progress = dict(line.split("=", 1) for line in out.decode().split() if "=" in line)
    return {"frames": int(progress["frame"])}
