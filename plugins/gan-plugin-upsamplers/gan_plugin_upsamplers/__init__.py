"""Layers that double height and width in the generator."""
