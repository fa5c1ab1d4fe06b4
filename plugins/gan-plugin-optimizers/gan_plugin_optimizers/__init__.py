"""Optimizers, learning rate schedules, and sampling from averaged weights."""
