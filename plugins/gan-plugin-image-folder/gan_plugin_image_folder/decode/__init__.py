"""Read image files into uint8 arrays of one shape."""
