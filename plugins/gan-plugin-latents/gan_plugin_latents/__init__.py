"""Distributions of the latents: normal and uniform."""
