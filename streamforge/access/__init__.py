"""Who asks, what they may do, and what proves it."""
