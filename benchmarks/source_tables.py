def is_shown(key):
    return key in NAMES or key.startswith("critic/") and key.endswith("/wasserstein")
NAMES = {
    "frechet/ratio": "Fréchet/floor", "collapse/ratio": "collapse", "class-accuracy/fake": "class accuracy on fakes",
    "class-accuracy/real": "on reals", "recognition/accuracy": "recognised as asked", "nearest/error": "nearest error",
    "nearest/label-error": "with its label", "colorpicker/palette-usage": "colours used", "modes/count": "modes",
    "modes/high-quality": "high quality", "modes/junk": "junk", "collapse/across": "thickness across",
    "collapse/minor": "minor axis", "collapse/major": "major axis", "monitored/skipped": "skipped",
    "boosted/critic": "critic boosted", "boosted/generator": "generator boosted", "weight-clipping/at-bound": "at the bound",
}
