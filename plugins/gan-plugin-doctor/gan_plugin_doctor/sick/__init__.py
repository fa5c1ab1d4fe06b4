"""Recipes with a fault put in, for `gan run --recipe sick-…`: the TOML files in this folder."""
