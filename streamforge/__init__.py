"""StreamForge: a video in over HTTP, a verified HLS + DASH stream out, live progress on the way."""

__version__ = "0.1.0"
