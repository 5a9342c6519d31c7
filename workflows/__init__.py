"""What the pipeline decides: deterministic, one file per workflow, one table of policies."""
