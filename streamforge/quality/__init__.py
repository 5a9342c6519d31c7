"""Which pictures are measured, what their scores come to, and what a rendition must reach. Pure."""
