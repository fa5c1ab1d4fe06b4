"""Decode image files to uint8 arrays of one shape, and report the files that cannot be used."""
