"""Chunks: decoded once, encoded into every rendition, and proved by decoding them again."""
