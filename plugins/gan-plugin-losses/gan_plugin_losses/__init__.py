"""Adversarial losses: binary cross-entropy and Wasserstein."""
