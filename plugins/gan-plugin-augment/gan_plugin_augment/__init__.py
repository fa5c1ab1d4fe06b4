"""Data augmentation: of the reals alone, or of reals and fakes as the critic receives them."""
