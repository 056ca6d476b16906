"""Training: one process a run, one folder a run."""
