"""When each player is updated, and when a run ends."""
