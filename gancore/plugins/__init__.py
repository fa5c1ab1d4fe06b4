"""Components: how they are declared, found, loaded and called."""
