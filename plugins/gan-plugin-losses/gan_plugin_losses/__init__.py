"""Adversarial losses, from binary cross-entropy to relativistic and contrastive ones."""
