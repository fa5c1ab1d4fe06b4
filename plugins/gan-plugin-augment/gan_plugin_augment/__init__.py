"""Augmentation: flip, shift, rotate and recolour the reals, or reals and fakes alike on their way to the critic."""
