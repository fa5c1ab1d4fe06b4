"""The recipes that gancore comes with: the TOML files of this folder."""
