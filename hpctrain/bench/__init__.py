"""How fast this machine is: `python -m hpctrain.bench`."""
