"""Normalisation layers: batch, instance and layer normalisation, and none."""
