"""Find the labels of images: from a labels file or from class folders."""
