"""The recipes of gancore: the TOML files in this folder."""
