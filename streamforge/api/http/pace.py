"""How slow a client may be. What comes or goes byte by byte holds a connection, and what belongs to it, for as long as its client
likes (slow loris), and silence alone does not tell it."""

from streamforge.settings import ServerSettings


class Pace:
    """A client has `server.slow_client_seconds`; each byte that it moves gives it as much again as it may take for one byte
    (`server.min_bytes_per_second`), but never more than it began with. So whoever is steady goes on for days, and a pause is
    forgiven; to have been quick once is no credit for later."""

    def __init__(self, settings: ServerSettings) -> None:
        self._most = self.left = settings.slow_client_seconds
        self._rate = settings.min_bytes_per_second

    def went_on(self, seconds: float, byte_count: int) -> bool:
        """So many bytes were moved in that time. Whether the client may go on for `left` more seconds."""
        earned = 0.0 if byte_count <= 0 else byte_count / self._rate if self._rate else self._most
        self.left = min(self._most, self.left - seconds + earned)
        return self.left > 0
