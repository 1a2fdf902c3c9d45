"""Pace: whether ranks step together, and how they hear of each other."""
