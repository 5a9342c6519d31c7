"""What the pipeline decides: deterministic, one file per workflow; how steps are run stands in `running` and `policies`."""
