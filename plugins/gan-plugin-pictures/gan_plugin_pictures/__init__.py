"""Pictures of a run, and animations of its samples."""
