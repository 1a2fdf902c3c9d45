"""Where things are: pure arithmetic on ranks, lengths and axes. No MPI, no arrays."""
