"""Write checkpoints, verify them and read them back."""
