"""Per-title encoding: what is searched for, where in the film, and what follows from it."""
