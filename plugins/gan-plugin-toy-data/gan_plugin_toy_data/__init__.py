"""Data sets drawn from a seed, without a download."""
