"""Local steps: ranks step alone, and average now and then. Local SGD, DiLoCo, elastic averaging."""
