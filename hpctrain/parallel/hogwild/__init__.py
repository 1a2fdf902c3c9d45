"""Hogwild: all ranks update weights that they share, each when it is ready, without servers.

Recht et al. 2011, "Hogwild!: a lock-free approach to parallelizing stochastic gradient descent" (NIPS).
"""
