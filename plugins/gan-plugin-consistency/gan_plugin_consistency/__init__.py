"""Regularisers that compare scores, features and samples of a batch with each other."""
