"""Optimizers for NumPy and CuPy, equal to their torch.optim namesakes step by step, and learning-rate schedules."""
