"""Weights under a norm: spectral norm, equalised learning rates, orthogonal regularisation."""
