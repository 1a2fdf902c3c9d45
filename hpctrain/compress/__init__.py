"""Fewer bytes on the wire: gradients rounded, thinned out or factored, and what that loses made up for later."""
