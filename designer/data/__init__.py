"""Data sets: readers, the built-in `shapes` generator, transforms."""
