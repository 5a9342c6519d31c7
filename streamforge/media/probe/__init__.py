"""What is in a source: every packet read once, and a few pictures looked at."""
