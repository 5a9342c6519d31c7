"""Decoders that may be opened, by FFmpeg's names. It has four hundred and more, most of them for games and cameras of the
nineties, which nobody has looked at since: each is a door for whoever writes a file for it."""

import av

PICTURES = {
    # What people send.
    *("h264", "hevc", "vvc", "av1", "libdav1d", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg1video", "mpeg2video", "mpegvideo"),
    *("mpeg4", "vc1", "wmv1", "wmv2", "wmv3", "theora", "flv", "h261", "h263", "h263i", "h263p"),
    *("msmpeg4v1", "msmpeg4v2", "msmpeg4", "vp6", "vp6a", "vp6f", "svq1", "svq3", "cinepak", "msvideo1", "dirac"),
    *("indeo3", "indeo5"),
    # What is cut.
    *("prores", "prores_raw", "dnxhd", "cfhd", "dvvideo", "mjpeg", "mjpegb", "ljpeg", "jpegls", "jpeg2000", "speedhq", "hap"),
    *("apv", "aic", "hqx", "hq_hqa", "dxv"),
    *("ffv1", "ffvhuff", "huffyuv", "utvideo", "magicyuv", "lagarith", "rawvideo", "v210", "v210x", "v308", "v408", "v410"),
    *("r210", "r10k", "avrp", "avui", "yuv4", "y41p", "012v", "cljr", "8bps", "bitpacked", "wrapped_avframe"),
    # What shows screens, and pictures that move.
    *("png", "apng", "bmp", "tiff", "webp", "gif", "qtrle", "rpza", "smc", "msrle", "tscc2", "zmbv", "flashsv"),
    *("flashsv2", "screenpresso", "camtasia", "mss2", "fraps", "targa"),
}  # fmt: skip

SOUND = {
    *("aac", "aac_latm", "ac3", "eac3", "dca", "truehd", "mlp", "mp1", "mp1float", "mp2", "mp2float", "mp3"),
    *("mp3float", "mp3adu", "mp3adufloat", "flac", "alac", "opus", "libopus", "vorbis", "speex"),
    *("wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice", "amrnb", "amrwb", "libopencore_amrnb", "libopencore_amrwb"),
    *("nellymoser", "gsm", "gsm_ms", "qdm2", "qdmc", "qcelp", "tta", "wavpack", "g722", "g726", "g726le", "mace3", "mace6"),
    *("adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt", "adpcm_swf", "adpcm_yamaha"),
    *("s302m", "dvaudio"),
}  # fmt: skip

UNCODED = "pcm_"

CAPTIONS = "cc_dec"
"""The reader of a track of CEA-608 (`c608` in QuickTime). All other text is read without FFmpeg's decoders."""


def is_accepted(decoder: str) -> bool:
    return decoder in PICTURES or decoder in SOUND or decoder == CAPTIONS or decoder.startswith(UNCODED)


ACCEPTED = ",".join(sorted(name for name in av.codecs_available if is_accepted(name)))
"""Those that are there, as FFmpeg wants to be told."""
