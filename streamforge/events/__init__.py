"""The event log, its in-memory broadcaster, and replay."""
