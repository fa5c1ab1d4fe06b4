"""Pictures of a run, each written into a folder of its own whenever the run draws its samples."""

from gan_plugin_pictures.latents import ClassSheet, Interpolation, Neighbourhood
from gan_plugin_pictures.milestones import Milestones
from gan_plugin_pictures.reals import NearestReals, Reals

__all__ = ["ClassSheet", "Interpolation", "Milestones", "NearestReals", "Neighbourhood", "Reals"]
