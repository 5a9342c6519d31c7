"""The only place that imports av or runs ffmpeg, always inside child processes."""
