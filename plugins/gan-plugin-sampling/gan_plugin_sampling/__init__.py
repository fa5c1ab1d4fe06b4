"""How samples are drawn from a trained generator: statistics, latents, selection."""
