"""Optimizers, learning rates that fall with the step, and samples from an average of the weights."""
