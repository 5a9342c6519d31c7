"""The worker's side of media work: starts children and asks what the machine can do. Imports no codec code."""
