"""The headers of H.264 and HEVC, as far as they are read here."""
