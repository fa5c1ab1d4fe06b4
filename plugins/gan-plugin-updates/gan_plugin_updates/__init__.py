"""What an update is computed against and from: unrolled critics, accumulated gradients."""
