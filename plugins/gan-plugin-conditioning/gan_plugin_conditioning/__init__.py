"""Class conditioning: labels for both players, and critics that compare samples with labels."""
