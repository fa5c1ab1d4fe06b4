"""Data sets generated from a seed, without a download."""
