"""Initial weights of the generator and the critic."""
