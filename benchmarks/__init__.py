"""Questions about speed, answered by ratios measured side by side. No test depends on them."""
