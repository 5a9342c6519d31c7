"""Opening hostile files. Every container that came from outside is opened here and nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from streamforge.errors import NotAVideo, NoVideoStream, TruncatedSource, UndecodableSource

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,mxf,nut,ivf,dv,gif,h264,hevc,obu,mpegvideo,m4v,"
    "yuv4mpegpipe,wav,mp3,flac,aac,aiff"
)
"""Formats that hold their media themselves. Playlists and scripts (hls, dash, concat, image2, sdp, …) are left out: a
file that names others would make the server read its own disk or its network for the caller (CVE-2016-1897)."""

OPTIONS = {
    "format_whitelist": CONTAINERS,
    "protocol_whitelist": "file",
    "enable_drefs": "0",  # QuickTime data references point to other files.
    "use_absolute_path": "0",
}


@contextmanager
def open_source(path: Path) -> Iterator[InputContainer]:
    """The container, closed at the end. Raises TruncatedSource or NotAVideo, naming what to do."""
    try:
        container = av.open(str(path), options=OPTIONS, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise _cannot_open(path, error) from error
    with container:
        yield container


def _cannot_open(path: Path, error: Exception) -> Exception:
    with path.open("rb") as file:
        head = file.read(16)
    if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3":
        message = (
            "The video is cut off or damaged: its index is missing, as after an interrupted recording or transfer."
        )
        return TruncatedSource(message, debug=str(error))
    message = "This is not a video in a format that can be read; send MP4, MOV, WebM, MKV, AVI or MPEG-TS, for example."
    return NotAVideo(message, debug=str(error))


def main_video(container: InputContainer) -> VideoStream:
    """The largest real video stream; cover art does not count. Raises NoVideoStream."""
    candidates = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    candidates = [s for s in candidates if s.codec_context is not None]
    if not candidates:
        raise NoVideoStream("The file has no video stream, only sound or pictures; send a file with video.")
    return max(candidates, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height))


def stream_by_index(container: InputContainer, index: int) -> VideoStream:
    stream = container.streams[index]
    if not isinstance(stream, VideoStream):
        raise UndecodableSource("The video stream has vanished from the file.")
    return stream
