"""Measure what a composition costs."""
