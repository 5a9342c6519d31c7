"""What is encrypted is decrypted again by somebody else's code, and is then, bit by bit, what was never encrypted."""

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import av
import pytest
from clips import Clips
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from test_probe import probe

from streamforge.contracts import tasks
from streamforge.contracts.keys import ContentKey
from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.media.plan import Plan, Protection
from streamforge.contracts.media.source import Source
from streamforge.contracts.tasks import AudioTask, EncodeTask
from streamforge.keys import derive
from streamforge.media.cmaf.boxes import boxes, samples
from streamforge.media.worker.children import MediaChildren
from streamforge.packaging.encryption import initialization_vector
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

JOB = UUID("550e8400-e29b-41d4-a716-446655440000")
VIDEO, SOUND = (derive(b"a secret for tests", JOB, kind) for kind in ("video", "audio"))
SCHEMES = ["aes-128", "cbcs"]


@dataclass
class Film:
    """The same film in the clear and encrypted: folders with a folder for each track."""

    plan: Plan
    tracks: list[EncodedTrack]
    clear: Path
    locked: Path

    def names(self, track: str) -> list[str]:
        return [segment.file_name for found in self.tracks if found.name == track for segment in found.segments]

    def joined(self, folder: Path, track: str, target: Path) -> Path:
        parts = ["init.mp4", *self.names(track)]
        target.write_bytes(b"".join((folder / track / name).read_bytes() for name in parts))
        return target


async def made(
    children: MediaChildren, clip: Path, folder: Path, scheme: str, codec: str = "h264", preset: str = "ultrafast"
) -> Film:
    source = await probe(children, clip)
    settings = Settings.model_validate(
        {
            "transcode": {"codecs": [codec], "presets": {codec: preset}, "max_chunk_seconds": 2, "segment_seconds": 2},
            "validation": {"enabled": False},
            "protection": {"scheme": scheme},
        }
    )
    planned = make_plan(source, settings)
    key_ids = {"video": VIDEO.key_id, "audio": SOUND.key_id}
    plan = planned.model_copy(update={"protection": Protection(scheme=scheme, key_ids=key_ids, key_url="/keys/x")})
    await write(children, clip, source, planned.model_copy(update={"protection": None}), folder / "clear", None, None)
    tracks = await write(children, clip, source, plan, folder / "locked", VIDEO, SOUND)
    return Film(plan, tracks, folder / "clear", folder / "locked")


async def write(
    children: MediaChildren,
    clip: Path,
    source: Source,
    plan: Plan,
    folder: Path,
    video: ContentKey | None,
    sound: ContentKey | None,
) -> list[EncodedTrack]:
    tracks = []
    for chunk in plan.chunks:
        target = folder.parent / f"{folder.name}-{chunk.index}"
        task = EncodeTask(path=clip, source=source, plan=plan, chunk=chunk, target=target, key=video)
        tracks += (await children.run(tasks.ENCODE, task)).tracks
        for file in target.glob("*/*"):
            into = folder / file.parent.name
            into.mkdir(parents=True, exist_ok=True)
            file.rename(into / file.name)
    for rendition in plan.audio:
        heard = AudioTask(
            path=clip,
            source=source,
            rendition=rendition,
            segment_seconds=2,
            target=folder,
            protection=plan.protection,
            key=sound,
        )
        tracks.append(await children.run(tasks.AUDIO, heard))
    return tracks


def decoded(path: Path, **options: str) -> list[tuple[int | None, bytes]]:
    """Time and content of every picture or piece of sound."""
    with av.open(str(path), options=options) as container:
        frames = container.decode(container.streams[0])
        return [(frame.pts, frame.to_ndarray().tobytes()) for frame in frames]


def payloads(path: Path, **options: str) -> list[bytes]:
    with av.open(str(path), options=options) as container:
        return [bytes(packet) for packet in container.demux(0) if packet.size]


# ── cbcs ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("codec", "preset"), [("h264", "veryfast"), ("h264", "slower"), ("hevc", "fast")])
async def test_ffmpeg_decrypts_cbcs_to_the_very_samples_that_were_encoded(
    children: MediaChildren, clips: Clips, tmp_path: Path, codec: str, preset: str
) -> None:
    film = await made(children, clips.small, tmp_path, "cbcs", codec, preset)
    for track, key in (("144p", VIDEO), ("audio-0", SOUND)):
        clear = film.joined(film.clear, track, tmp_path / "clear.mp4")
        locked = film.joined(film.locked, track, tmp_path / "locked.mp4")
        samples_of_locked = payloads(locked)
        assert payloads(locked, decryption_key=key.value.hex()) == payloads(clear) != samples_of_locked
        assert decoded(locked, decryption_key=key.value.hex()) == decoded(clear)


async def test_the_wrong_key_gives_no_picture(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    film = await made(children, clips.small, tmp_path, "cbcs")
    clear = film.joined(film.clear, "144p", tmp_path / "clear.mp4")
    locked = film.joined(film.locked, "144p", tmp_path / "locked.mp4")
    right = {content for _, content in decoded(clear)}
    for options in ({}, {"decryption_key": SOUND.value.hex()}):
        try:
            seen = {content for _, content in decoded(locked, **options)}
        except av.error.InvalidDataError:
            continue
        assert not seen & right


async def test_sizes_and_times_stay_and_every_slice_is_encrypted(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    film = await made(children, clips.small, tmp_path, "cbcs")
    for name in film.names("144p"):
        clear, locked = ((folder / "144p" / name).read_bytes() for folder in (film.clear, film.locked))
        for before, after in zip(fragments(clear), fragments(locked), strict=True):
            pairs = list(zip(samples(before), samples(after), strict=True))
            assert [s.end - s.begin for s, _ in pairs] == [s.end - s.begin for _, s in pairs]
            long_ones = [(s, t) for s, t in pairs if s.end - s.begin > 60]
            assert all(before[s.begin : s.end] != after[t.begin : t.end] for s, t in long_ones)


async def test_one_block_in_ten_of_a_slice_is_encrypted(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    """Which bytes differ, by the map in `senc`."""
    film = await made(children, clips.small, tmp_path, "cbcs")
    name = film.names("144p")[0]
    clear, locked = (fragments((folder / "144p" / name).read_bytes())[0] for folder in (film.clear, film.locked))
    for before, after, found in zip(samples(clear), samples(locked), sample_maps(locked), strict=True):
        assert sum(map(sum, found)) == before.end - before.begin
        was, now = clear[before.begin : before.end], locked[after.begin : after.end]
        at = 0
        for in_the_clear, protected in found:
            assert was[at : at + in_the_clear] == now[at : at + in_the_clear]
            at += in_the_clear
            for block in range(0, protected, 16):
                same = was[at + block : at + block + 16] == now[at + block : at + block + 16]
                whole = min(16, protected - block) == 16
                assert same != (block // 16 % 10 == 0 and whole), (at, block)
            at += protected


async def test_the_boxes_of_an_encrypted_track(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    film = await made(children, clips.small, tmp_path, "cbcs")
    for track, key, entry, pattern in (("144p", VIDEO, b"encv", 0x19), ("audio-0", SOUND, b"enca", 0)):
        init = (film.locked / track / "init.mp4").read_bytes()
        assert [kind for kind, _, _ in boxes(init)] == ["ftyp", "moov"]
        assert entry in init
        assert b"schm" + bytes(4) + b"cbcs" + b"\0\1\0\0" in init
        vector = initialization_vector(key.key_id, track, "init.mp4")
        assert bytes([pattern, 1, 0]) + bytes.fromhex(key.key_id) + b"\x10" + vector in init
        pssh = init.index(b"pssh")
        assert init[pssh + 4] == 1
        assert init[pssh + 8 : pssh + 24].hex() == "1077efecc0b24d02ace33c1e52e2fb4b"
        assert init[pssh + 28 : pssh + 44].hex() == key.key_id


# ── AES-128 ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_whole_files_are_aes_cbc_with_an_initialization_vector_of_their_own(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    film = await made(children, clips.small, tmp_path, "aes-128")
    vectors = set()
    for track, key in (("144p", VIDEO), ("audio-0", SOUND)):
        assert (film.locked / track / "init.mp4").read_bytes() == (film.clear / track / "init.mp4").read_bytes()
        assert len(film.names(track)) > 1
        for name in film.names(track):
            vector = initialization_vector(key.key_id, track, name)
            locked = (film.locked / track / name).read_bytes()
            assert opened(locked, key.value, vector) == (film.clear / track / name).read_bytes()
            vectors.add(vector)
    assert len(vectors) == len(film.names("144p")) + len(film.names("audio-0"))


def opened(data: bytes, key: bytes, vector: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()


# ── both ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_every_attempt_writes_the_same_bytes_of_the_told_sizes(
    children: MediaChildren, clips: Clips, tmp_path: Path, scheme: str
) -> None:
    one, two = [await made(children, clips.small, tmp_path / again, scheme) for again in ("one", "two")]
    for file in one.locked.glob("*/*"):
        assert file.read_bytes() == (two.locked / file.parent.name / file.name).read_bytes()
    for track in one.tracks:
        for segment in track.segments:
            assert (one.locked / track.name / segment.file_name).stat().st_size == segment.size_bytes
        init = (one.locked / track.name / "init.mp4").read_bytes()
        assert len(init) == track.init_size_bytes


async def test_key_frames_of_cbcs_can_be_fetched_alone(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    film = await made(children, clips.small, tmp_path, "cbcs")
    clear = film.joined(film.clear, "144p", tmp_path / "clear.mp4")
    pictures = decoded(clear)
    init = (film.locked / "144p" / "init.mp4").read_bytes()
    for track in film.tracks:
        for segment in track.segments:
            for key_frame in segment.key_frames:
                alone = tmp_path / "alone.mp4"
                data = (film.locked / "144p" / segment.file_name).read_bytes()
                alone.write_bytes(init + data[key_frame.offset :][: key_frame.size_bytes])
                [picture] = decoded(alone, decryption_key=VIDEO.value.hex())
                assert picture in pictures


async def test_a_piece_of_a_file_that_is_encrypted_whole_is_no_key_frame(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    film = await made(children, clips.small, tmp_path, "aes-128")
    assert [segment.key_frames for track in film.tracks for segment in track.segments if segment.key_frames] == []


def fragments(segment: bytes) -> list[bytes]:
    found = list(boxes(segment))
    return [segment[begin:end] for (kind, begin, _), (_, _, end) in pairwise(found) if kind == "moof"]


def sample_maps(fragment: bytes) -> list[list[tuple[int, int]]]:
    """From `senc`, found by way of `saio`, as a demuxer does."""
    saio = fragment.index(b"saio")
    (at,) = struct.unpack_from(">I", fragment, saio + 12)
    senc = fragment.index(b"senc")
    assert at == senc + 12
    sizes = fragment.index(b"saiz") + 13
    found = []
    for number in range(struct.unpack_from(">I", fragment, senc + 8)[0]):
        (count,) = struct.unpack_from(">H", fragment, at)
        found.append([struct.unpack_from(">HI", fragment, at + 2 + 6 * n) for n in range(count)])
        assert fragment[sizes + number] == 2 + 6 * count
        at += 2 + 6 * count
    return found
