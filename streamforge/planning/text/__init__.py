"""Text beside the picture: which tracks, what they are called, cues and WebVTT."""
