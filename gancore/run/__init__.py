"""A run and the directory that keeps it."""
