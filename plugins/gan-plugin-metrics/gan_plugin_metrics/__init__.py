"""Metrics of samples, of the critic and of gradients."""
