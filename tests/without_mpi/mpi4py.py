"""Stands before the real one where PYTHONPATH names this folder: a machine on which no MPI is installed."""

raise ImportError("there is no mpi4py here")
