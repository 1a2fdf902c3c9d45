"""`python -m hpctrain.watch`: a run as it goes, seen from outside through its files alone."""
