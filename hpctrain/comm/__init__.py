"""Who talks: one small communicator interface, over MPI or in a world of one."""
