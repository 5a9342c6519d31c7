"""Words of strangers, like titles of tracks, where only text may stand."""


def printable(text: str) -> str:
    """Without control characters, line feeds among them, that would end a line of a manifest."""
    return "".join(char for char in text if char.isprintable())
