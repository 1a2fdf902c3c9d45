"""Scaling studies: what was measured on few ranks, fitted, tells what many would do.

The files here are arithmetic alone. `runs/` starts runs and reads what they leave, `report/` writes what comes of it.
"""
