"""Hold decoded images in memory or in a cache file, and take batches of them."""
