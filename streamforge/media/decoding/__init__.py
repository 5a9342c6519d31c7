"""Pictures out of a source: whole, in order, each at its time."""
