"""Text beside the picture: subtitles and captions read, or heard and written down."""
