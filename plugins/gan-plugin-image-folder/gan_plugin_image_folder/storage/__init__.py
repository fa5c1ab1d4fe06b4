"""Hold decoded images in memory or in a cache file, and serve batches of them."""
