"""MP4 and MOV, by FFmpeg's muxer: their decode times can only go up, so they can lie about less than others."""

import io
from fractions import Fraction

import av
from film import TICKS, Film, Packet
from matroska import matroska

CLOCK = Fraction(1, TICKS)


def iso_media(film: Film, kind: str, fragmented: bool = False) -> bytes:
    """What lies before time 0 is hidden by the edit list."""
    options = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    if fragmented:
        options["movflags"] = "frag_keyframe+delay_moov+default_base_moof"
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(matroska(film))) as described,
        av.open(file, "w", format=kind, options=options) as container,
    ):
        streams = [container.add_stream_from_template(stream) for stream in described.streams]
        streams[0].time_base = CLOCK
        for track, packet in film.interleaved:
            container.mux(_stamped(packet, streams[track is film.sound], film.hidden_before))
    return file.getvalue()


def _stamped(packet: Packet, stream: av.stream.Stream, hidden: int) -> av.Packet:
    stamped = av.Packet(packet.data)
    stamped.pts, stamped.dts = max(packet.pts, packet.clock) - hidden, packet.clock - hidden
    stamped.duration = packet.lasts
    stamped.time_base, stamped.stream, stamped.is_keyframe = CLOCK, stream, packet.key
    return stamped
