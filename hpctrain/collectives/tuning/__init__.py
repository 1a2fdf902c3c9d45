"""Which algorithm for how many bytes: tables that were measured, and how one is found for the ranks at hand.

`python -m hpctrain.bench collectives` measures and writes them; those of the package are in `defaults.json`.
"""
