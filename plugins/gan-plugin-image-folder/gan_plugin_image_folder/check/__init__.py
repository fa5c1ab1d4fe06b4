"""The command `gan data check`: examine a folder of images before a run."""
