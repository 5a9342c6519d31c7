"""CMAF files: boxes, fragments, encryption, copies and downloads."""
