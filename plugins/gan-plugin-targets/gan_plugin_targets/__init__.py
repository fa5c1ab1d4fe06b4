"""Changes of the critic's targets."""
