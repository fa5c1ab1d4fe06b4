"""A run on disk: directory, checkpoints, metrics, samples. See `docs/reference/files.md` for the layout."""
