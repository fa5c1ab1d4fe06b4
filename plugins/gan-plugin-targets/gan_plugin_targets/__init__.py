"""Modifications of the critic's targets: label smoothing and noisy labels."""
