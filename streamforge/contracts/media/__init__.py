"""Films: what is known about them, what is planned, and what came out. Crosses worker ↔ child ↔ workflow."""
