"""Generators and critics: strided convolutions as in DCGAN, and fully connected layers."""
