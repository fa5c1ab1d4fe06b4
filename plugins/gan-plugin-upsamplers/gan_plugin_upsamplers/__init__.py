"""Upsampling layers of the generator, which double height and width."""
