"""Penalties on the gradients of the critic, and a critic whose gradient is bounded exactly."""
