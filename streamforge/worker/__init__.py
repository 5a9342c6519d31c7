"""The worker process: its composition root, and what watches over its activities."""
