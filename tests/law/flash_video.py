"""FLV, written with whatever time stamps the packets have; it counts milliseconds in 32 bits."""

from film import TICKS, Film, Packet, Track

SOUND_TAG, PICTURE_TAG = 8, 9
KEY, INTER = 0x10, 0x20
AVC = 7
HEADER, CODED = 0, 1
AAC, MP3 = 0xAF, 0x2E
"""44.1 kHz in both, as FLV says it; AAC's own header knows better. MP3's last bit: one channel."""


def flash_video(film: Film) -> bytes:
    tags = [
        _tag(PICTURE_TAG, 0, bytes([KEY | AVC, HEADER, 0, 0, 0]) + film.pictures.private),
        *([_tag(SOUND_TAG, 0, bytes([AAC, HEADER]) + film.sound.private)] if film.sound.codec == "aac" else []),
        *(_sound(film.sound, p) if track is film.sound else _picture(p) for track, p in film.interleaved),
    ]
    return b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00" + b"".join(tags)


def _picture(packet: Packet) -> bytes:
    later = (_milliseconds(packet.pts) - _milliseconds(packet.dts)) & 0xFFFFFF
    head = bytes([(KEY if packet.key else INTER) | AVC, CODED]) + later.to_bytes(3)
    return _tag(PICTURE_TAG, _milliseconds(packet.dts), head + packet.data)


def _sound(track: Track, packet: Packet) -> bytes:
    head = bytes([AAC, CODED]) if track.codec == "aac" else bytes([MP3])
    return _tag(SOUND_TAG, _milliseconds(packet.pts), head + packet.data)


def _tag(kind: int, time: int, body: bytes) -> bytes:
    stamp = time & 0xFFFFFFFF
    head = bytes([kind]) + len(body).to_bytes(3) + (stamp & 0xFFFFFF).to_bytes(3) + bytes([stamp >> 24]) + bytes(3)
    return head + body + (len(head) + len(body)).to_bytes(4)


STARTS_AT = TICKS // 5
"""Room for pictures that are decoded before time 0."""


def _milliseconds(time: int) -> int:
    return round((time + STARTS_AT) * 1000 / TICKS)
