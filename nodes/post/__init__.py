"""Post-processing: what runs after a head, in eval mode only."""
