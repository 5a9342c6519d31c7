"""What the pipeline does: one file per stage, classes with injected dependencies."""
