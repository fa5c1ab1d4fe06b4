"""How samples are drawn from a trained generator: statistics, truncation, and rejection."""
