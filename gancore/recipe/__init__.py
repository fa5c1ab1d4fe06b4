"""A recipe: which components are composed, with which options."""
