"""Stills of a film: poster, thumbnails and sprite sheets."""
