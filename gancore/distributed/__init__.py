"""Data-parallel training: several processes that train one GAN."""
