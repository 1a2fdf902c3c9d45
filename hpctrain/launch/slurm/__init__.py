"""Slurm: batch scripts, the profiles of sites, and a queue that is asked and followed."""
