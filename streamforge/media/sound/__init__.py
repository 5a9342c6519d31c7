"""Sound: decoded, placed on the timeline, mixed, measured, encoded."""
