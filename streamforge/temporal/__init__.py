"""How processes reach Temporal, and the worker's composition root."""
