"""`gan compare`: what differs in the recipes of runs, then their figures, curves and pictures."""
