"""Numbered SQL migrations; see streamforge.db.migrations."""
