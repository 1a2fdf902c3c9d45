"""Gradient synchronisation: how the gradients that ranks computed become the one that is used."""
