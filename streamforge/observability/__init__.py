"""What operators see of this process: log lines, metrics, traces."""
