"""Scaling studies: what was measured on few ranks, fitted, tells what many would do.

Arithmetic alone: nothing is sent, and no file is read.
"""
