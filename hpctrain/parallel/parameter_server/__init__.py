"""Parameter server: some ranks hold the weights and update them; workers push gradients to them and pull weights.

Li et al. 2014, "Scaling distributed machine learning with the parameter server" (OSDI).
"""
