"""The training of a GAN, in torch alone: no files, no processes. Start at `step.py`."""
