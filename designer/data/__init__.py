"""Data sets: readers, the built-in `shapes` generator, transforms. Import the modules; this imports nothing."""
