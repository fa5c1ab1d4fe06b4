"""Studies of the tricks, in files of this folder; see `benchmarks.studies.__main__`."""
