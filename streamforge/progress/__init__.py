"""How far a job is, and when it will be done. Pure."""
