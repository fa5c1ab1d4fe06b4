"""Find the labels of the images: class folders or a labels file."""
