"""Layers with hand-written backward passes, on NumPy or CuPy: the array module is an argument.

An array here has the shapes of torch (samples first; images are samples, channels, height, width), and a layer
has the names, the results and the gradients of its torch namesake. `module.py` says what a layer is.
"""
