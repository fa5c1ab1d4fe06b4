"""Checks around the code of plugins: what it returns, and what it changes."""
