"""How ranks agree: one algorithm a file, each a function over a communicator, and the group that people use."""
