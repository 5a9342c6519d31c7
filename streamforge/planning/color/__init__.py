"""What the colours of a source are, and which of them a rendition keeps."""
